// Shifts and rotates of `value` by `count`, which is masked (at most 31, for quadwords 63) and not zero. `value` is
// zero-extended, and so is what they return. OF is as for a count of 1, where alone it is defined, for every count.
extension StatusFlags {
  @inline(always)
  mutating func shiftLeft(_ value: UInt64, by count: UInt64, _ size: OperandSize) -> UInt64 {
    let new = size.truncated(value &<< count)
    let carry = count <= size.bits ? value &>> (size.bits &- count) & 1 : 0
    let top = new &>> (size.bits &- 1) & 1
    set(new, size, bits: carry | (top ^ carry) &<< 11)
    return new
  }

  @inline(always)
  mutating func shiftRight(_ value: UInt64, by count: UInt64, _ size: OperandSize) -> UInt64 {
    let new = value &>> count
    let carry = value &>> (count &- 1) & 1
    let overflow = value &>> (size.bits &- 1) & 1
    set(new, size, bits: carry | overflow &<< 11)
    return new
  }

  @inline(always)
  mutating func shiftRightArithmetic(_ value: UInt64, by count: UInt64, _ size: OperandSize) -> UInt64 {
    let signed = Int64(bitPattern: size.extended(value))
    let new = size.truncated(UInt64(bitPattern: signed &>> Int64(truncatingIfNeeded: count)))
    let carry = UInt64(bitPattern: signed &>> Int64(truncatingIfNeeded: count &- 1)) & 1
    set(new, size, bits: carry)
    return new
  }

  @inline(always)
  mutating func rotateLeft(_ value: UInt64, by count: UInt64, _ size: OperandSize) -> UInt64 {
    let turn = count & (size.bits &- 1)
    let new = turn == 0 ? value : size.truncated(value &<< turn | value &>> (size.bits &- turn))
    let carry = new & 1
    let top = new &>> (size.bits &- 1) & 1
    replace(Self.cf | Self.of, with: carry | (top ^ carry) &<< 11)
    return new
  }

  @inline(always)
  mutating func rotateRight(_ value: UInt64, by count: UInt64, _ size: OperandSize) -> UInt64 {
    let turn = count & (size.bits &- 1)
    let new = turn == 0 ? value : size.truncated(value &>> turn | value &<< (size.bits &- turn))
    let top = new &>> (size.bits &- 1) & 1
    let second = new &>> (size.bits &- 2) & 1
    replace(Self.cf | Self.of, with: top | (top ^ second) &<< 11)
    return new
  }

  mutating func rotateLeftThroughCarry(_ value: UInt64, by count: UInt64, _ size: OperandSize) -> UInt64 {
    var carryBit: UInt64 = carry ? 1 : 0
    var new = value
    for _ in 0..<count % (size.bits &+ 1) {
      let out = new &>> (size.bits &- 1) & 1
      new = size.truncated(new &<< 1 | carryBit)
      carryBit = out
    }
    let top = new &>> (size.bits &- 1) & 1
    replace(Self.cf | Self.of, with: carryBit | (top ^ carryBit) &<< 11)
    return new
  }

  mutating func rotateRightThroughCarry(_ value: UInt64, by count: UInt64, _ size: OperandSize) -> UInt64 {
    var carryBit: UInt64 = carry ? 1 : 0
    var new = value
    for _ in 0..<count % (size.bits &+ 1) {
      let out = new & 1
      new = new &>> 1 | carryBit &<< (size.bits &- 1)
      carryBit = out
    }
    let top = new &>> (size.bits &- 1) & 1
    let second = new &>> (size.bits &- 2) & 1
    replace(Self.cf | Self.of, with: carryBit | (top ^ second) &<< 11)
    return new
  }
}
