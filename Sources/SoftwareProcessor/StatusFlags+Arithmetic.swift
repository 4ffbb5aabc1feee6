// The operations that set the flags. Operands may have any bits above their size; results are sign-extended from it.
extension StatusFlags {
  /// The sum of `left` and `right`; ADD.
  @inline(always)
  mutating func add(_ left: UInt64, _ right: UInt64, _ size: OperandSize) -> UInt64 {
    self.left = size.extended(left)
    self.right = size.extended(right)
    result = size.extended(left &+ right)
    origin = .addition
    return result
  }

  /// The difference of `left` and `right`; SUB, CMP and NEG.
  @inline(always)
  mutating func subtract(_ left: UInt64, _ right: UInt64, _ size: OperandSize) -> UInt64 {
    self.left = size.extended(left)
    self.right = size.extended(right)
    result = size.extended(left &- right)
    origin = .subtraction
    return result
  }

  /// A logical result: CF and OF clear, AF too, which is undefined.
  @inline(always)
  mutating func logic(_ value: UInt64, _ size: OperandSize) -> UInt64 {
    result = size.extended(value)
    bits = 0
    origin = .result
    return result
  }

  /// A result with these CF, AF and OF.
  @inline(always)
  mutating func set(_ value: UInt64, _ size: OperandSize, bits: UInt64) {
    self.bits = bits
    result = size.extended(value)
    origin = .result
  }

  /// `left` + `right` + CF; ADC.
  @inline(always)
  mutating func addWithCarry(_ left: UInt64, _ right: UInt64, _ size: OperandSize) -> UInt64 {
    let carryIn: UInt64 = carry ? 1 : 0
    let sum = left &+ right &+ carryIn
    let carries = (left & right) | ((left | right) & ~sum)
    let overflows = (left ^ sum) & (right ^ sum)
    set(sum, size, bits: Self.bits(carries: carries, overflows: overflows, size))
    return result
  }

  /// `left` - `right` - CF; SBB.
  @inline(always)
  mutating func subtractWithBorrow(_ left: UInt64, _ right: UInt64, _ size: OperandSize) -> UInt64 {
    let borrowIn: UInt64 = carry ? 1 : 0
    let difference = left &- right &- borrowIn
    let borrows = (~left & right) | ((~left | right) & difference)
    let overflows = (left ^ right) & (left ^ difference)
    set(difference, size, bits: Self.bits(carries: borrows, overflows: overflows, size))
    return result
  }

  /// `value` + 1, keeping CF; INC.
  @inline(always)
  mutating func increment(_ value: UInt64, _ size: OperandSize) -> UInt64 {
    let sum = value &+ 1
    let overflows = size.truncated(sum) == size.signBit ? Self.of : 0
    set(sum, size, bits: (carry ? Self.cf : 0) | overflows | (sum & 0xF == 0 ? Self.af : 0))
    return result
  }

  /// `value` - 1, keeping CF; DEC.
  @inline(always)
  mutating func decrement(_ value: UInt64, _ size: OperandSize) -> UInt64 {
    let difference = value &- 1
    let overflows = size.truncated(value) == size.signBit ? Self.of : 0
    set(difference, size, bits: (carry ? Self.cf : 0) | overflows | (value & 0xF == 0 ? Self.af : 0))
    return result
  }

  /// CF, AF and OF from the carries out of each bit, and from a word whose sign bit is the overflow.
  @inline(always)
  private static func bits(carries: UInt64, overflows: UInt64, _ size: OperandSize) -> UInt64 {
    let top = size.bits &- 1
    let cf = carries &>> top & 1
    let of = overflows &>> top & 1
    return cf | (carries & 8) &<< 1 | of &<< 11
  }

  /// Changes only the flags of `mask`.
  @inline(always)
  mutating func replace(_ mask: UInt64, with newBits: UInt64) {
    value = value & ~mask | newBits & mask
  }

  /// Whether the condition of a Jcc, SETcc or CMOVcc opcode holds.
  ///
  /// Source: SDM volume 2, "Encoding of Conditional Test (tttn) Field".
  @inline(always)
  func holds(_ condition: UInt8) -> Bool {
    let plain: Bool =
      switch condition &>> 1 & 7 {
      case 0: overflow
      case 1: carry
      case 2: zero
      case 3: carry || zero
      case 4: sign
      case 5: parity
      case 6: sign != overflow
      default: zero || sign != overflow
      }
    return plain != (condition & 1 != 0)
  }
}
