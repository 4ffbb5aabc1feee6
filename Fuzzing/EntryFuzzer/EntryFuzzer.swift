import NestedRig

/// What libFuzzer calls: the input decides of up to eight VMCSs that L1 enters one after the other on one machine, and
/// of what is in memory and registers. A broken promise traps, and libFuzzer keeps the input.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = UnsafeRawBufferPointer(start: start, count: count)
  let limit = 8
  // Each VMCS has its part of the input, so that a change of one leaves the others alone.
  let share = max(count / limit, min(count, 64))
  let parts = share == 0 ? 0 : min(limit, (count + share - 1) / share)
  let script = FuzzScript { number in
    guard number < parts else { return nil }
    let end = min(count, (number + 1) * share)
    return Choices(bytes: UnsafeRawBufferPointer(rebasing: bytes[number * share..<end]))
  }
  do {
    try Rig().runAll(script, count: parts)
  } catch {
    fatalError("\(error)")
  }
  if !script.problems.isEmpty { fatalError(script.problems.joined(separator: "\n")) }
  return 0
}
