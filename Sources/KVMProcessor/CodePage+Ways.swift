import InstructionDecoder

/// What was found out of the ways that a virtual CPU can take through a page.
struct KnownWays {
  fileprivate var loops: [Int: Bool] = [:]
  /// By the place where a run begins, times 4096, plus the place where it ends.
  fileprivate var lengths: [Int: UInt64] = [:]

  /// More than a guest's busy pages have; what a guest has beyond is found out anew.
  fileprivate static let greatestCount = 4096
}

// How long a run may have been, whose ends are known.
extension CodePage {
  /// Where control may go behind `instruction` at `offset`, and whether the software processor executes it.
  func ways(of instruction: Instruction, at offset: Int) -> (places: [Int], isSite: Bool) {
    instruction.ways(from: offset, followsReturns: linear != nil)
  }

  /// Where the virtual CPU may go from `offset` without leaving KVM.
  private func ways(from offset: Int) -> [Int] {
    guard !isKnownSite(offset), let instruction = decoded(offset) else { return [] }
    let places = ways(of: instruction, at: offset).places
    // A return leads anywhere.
    return places.isEmpty ? [Self.size] : places
  }

  /// The number of instructions of the shortest way from `start` to `end` within the page; 1 if there is none, as in a run
  /// that left the page.
  func shortestWay(from start: Int, to end: Int) -> UInt64 {
    if start == end { return 0 }
    if let known = knownWays.lengths[start << 12 | end] { return known }
    let length = findShortestWay(from: start, to: end)
    if knownWays.lengths.count >= KnownWays.greatestCount { knownWays.lengths = [:] }
    knownWays.lengths[start << 12 | end] = length
    return length
  }

  /// Searches in breadth.
  private func findShortestWay(from start: Int, to end: Int) -> UInt64 {
    var seen: Set<Int> = [start]
    var front = [start]
    var length: UInt64 = 0
    while !front.isEmpty {
      length += 1
      front = front.flatMap(ways(from:)).filter { 0..<Self.size ~= $0 && seen.insert($0).inserted }
      if seen.contains(end) { return length }
    }
    return 1
  }

  /// Whether the virtual CPU may come to an instruction twice without leaving KVM, from `start` on: so a run's length cannot
  /// be told from where it ends.
  func mayLoop(from start: Int) -> Bool {
    if let known = knownWays.loops[start] { return known }
    let found = findLoop(from: start)
    knownWays.loops[start] = found
    return found
  }

  /// Searches in depth for a way back to an instruction that is being followed.
  private func findLoop(from start: Int) -> Bool {
    var open: Set<Int> = []
    var closed: Set<Int> = []
    var waiting = [start]
    while let offset = waiting.last {
      if open.contains(offset) || closed.contains(offset) {
        waiting.removeLast()
        if open.remove(offset) != nil { closed.insert(offset) }
        continue
      }
      open.insert(offset)
      for next in ways(from: offset) {
        // Behind a branch out of the page anything may be.
        if !(0..<Self.size ~= next) || open.contains(next) { return true }
        waiting.append(next)
      }
    }
    return false
  }
}

extension Instruction {
  /// Where control may go behind the instruction at `offset` of a page, by offsets from the page's beginning, and whether
  /// the software processor executes it. With `followsReturns` a call is taken to return behind itself.
  fileprivate func ways(from offset: Int, followsReturns: Bool) -> (places: [Int], isSite: Bool) {
    let next = offset + Int(length)
    // An instruction that is no branch may have any immediate.
    let target = next &+ Int(truncatingIfNeeded: Int64(bitPattern: immediate))
    // The instruction pointer is cut to 16 bits.
    let isNarrow = operandSize == 2
    switch instructionClass {
    case .plain: return ([next], readsPage(next))
    case .directBranch:
      if isNarrow { return ([], true) }
      // Without following returns, what a called function returns to is decoded when it returns.
      return (followsReturns && mnemonic == .call ? [target, next] : [target], false)
    case .conditionalBranch: return isNarrow ? ([], true) : ([next, target], false)
    case .nearReturn: return ([], isNarrow || !followsReturns)
    case .sensitive:
      // A call through a register or memory comes back behind itself.
      return (followsReturns && mnemonic == .call && next < 4096 ? [next] : [], true)
    }
  }
}

extension Instruction {
  /// Whether it reads from the page that it is in, where the software processor alone sees what stands there. `next` is the
  /// offset of the instruction behind it. Of an address made of registers that is not known.
  fileprivate func readsPage(_ next: Int) -> Bool {
    guard address.base == MemoryAddress.instructionPointer, mnemonic != .lea, let operand = memoryOperand
    else { return false }
    let first = next &+ Int(truncatingIfNeeded: address.displacement)
    return first &+ Int(operand.size) > 0 && first < 4096
  }
}
