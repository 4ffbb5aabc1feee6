import InstructionDecoder
import X86

/// An area in memory that an instruction reads or writes piece by piece, after all of it has been checked.
struct MemoryArea {
  let core: Core
  /// The linear address of its first byte.
  let linear: UInt64
  let isStack: Bool

  func load<T: MemoryInteger>(_ offset: UInt64, as type: T.Type) throws(Interruption) -> T {
    try core.load(address(offset), as: type, stack: isStack)
  }

  func store<T: MemoryInteger>(_ value: T, at offset: UInt64) throws(Interruption) {
    try core.store(value, at: address(offset), stack: isStack)
  }

  /// Outside 64-bit mode, linear addresses wrap at 4 GByte.
  @inline(__always)
  private func address(_ offset: UInt64) -> UInt64 {
    let address = linear &+ offset
    return core.is64BitMode ? address : address & 0xFFFF_FFFF
  }

  /// Faults as a write of the `count` bytes at `offset` would.
  func checkWrite(_ offset: UInt64, count: Int) throws(Interruption) {
    try core.checkWrite(address(offset), count: count, stack: isStack)
  }

  /// Faults as a read of the first `count` bytes would, at most a page and a byte.
  func checkRead(count: UInt64) throws(Interruption) {
    _ = try load(0, as: UInt8.self)
    _ = try load(count &- 1, as: UInt8.self)
  }

  /// Stores an 80-bit register in 10 bytes.
  func store(_ value: X87Register, at offset: UInt64) throws(Interruption) {
    try store(value.significand, at: offset)
    try store(value.signAndExponent, at: offset &+ 8)
  }

  /// Loads an 80-bit register from 10 bytes.
  func load(_ offset: UInt64) throws(Interruption) -> X87Register {
    let significand = try load(offset, as: UInt64.self)
    return X87Register(significand: significand, signAndExponent: try load(offset &+ 8, as: UInt16.self))
  }
}

extension Core {
  /// The area of `count` bytes at the instruction's memory operand, after its segment's checks.
  ///
  /// - Parameter alignment: what the address must be a multiple of; else #GP(0).
  func area(
    of instruction: borrowing Instruction, count: Int, access: MemoryAccess, alignment: UInt64 = 1
  ) throws(Interruption) -> MemoryArea {
    let segment = instruction.address.segment
    let linear = try linearAddress(segment, offset(of: instruction), count: count, access: access)
    guard linear & (alignment &- 1) == 0 else { throw raise(.generalProtection) }
    return MemoryArea(core: self, linear: linear, isStack: segment == .ss)
  }
}
