import InstructionDecoder
import Translation
import X86

/// Arithmetic, logic, shifts and bits.
///
/// Source: SDM volume 2, "Instruction Set Reference". Flags that an instruction leaves undefined stay as they were.
extension InstructionEmulator {
  private var size: UInt8 { instruction.operand0.size }

  func moveConditionally() throws(GuestFault) {
    let source = try value(instruction.operand1)
    // The destination is written in any case, which clears the upper half of a 32-bit one.
    try store(
      meets(instruction.condition) ? source : try value(instruction.operand0), to: instruction.operand0)
  }

  func combine() throws(GuestFault) {
    let right = try value(instruction.operand1)
    let size = size
    let carry: UInt64 = flags.contains(.cf) ? 1 : 0
    var new: RFLAGS = []
    let mnemonic = instruction.mnemonic
    if mnemonic == .cmp || mnemonic == .test {
      let left = try value(instruction.operand0)
      new =
        mnemonic == .cmp
        ? ArithmeticResult(left, minus: right, borrow: 0, size).flags
        : ArithmeticResult(logical: left & right, size).flags
    } else {
      try update { left in
        let result =
          switch mnemonic {
          case .add: ArithmeticResult(left, plus: right, carry: 0, size)
          case .adc: ArithmeticResult(left, plus: right, carry: carry, size)
          case .sub: ArithmeticResult(left, minus: right, borrow: 0, size)
          case .sbb: ArithmeticResult(left, minus: right, borrow: carry, size)
          case .or: ArithmeticResult(logical: left | right, size)
          case .and: ArithmeticResult(logical: left & right, size)
          default: ArithmeticResult(logical: left ^ right, size)
          }
        new = result.flags
        return result.value
      }
    }
    // The logical instructions leave AF undefined.
    let isLogical = mnemonic == .or || mnemonic == .and || mnemonic == .xor || mnemonic == .test
    setFlags(new, mask: isLogical ? RFLAGS.status.subtracting(.af) : .status)
  }

  func modify() throws(GuestFault) {
    let size = size
    var new: RFLAGS = []
    let mnemonic = instruction.mnemonic
    try update { value in
      let result =
        switch mnemonic {
        case .inc: ArithmeticResult(value, plus: 1, carry: 0, size)
        case .dec: ArithmeticResult(value, minus: 1, borrow: 0, size)
        case .neg: ArithmeticResult(0, minus: value, borrow: 0, size)
        default: ArithmeticResult(logical: ~value & Width.mask(size), size)
        }
      new = result.flags
      return result.value
    }
    switch mnemonic {
    case .not: break
    case .neg: setFlags(new)
    default: setFlags(new, mask: RFLAGS.status.subtracting(.cf))
    }
  }

  // MARK: Shifts and rotates

  func shift() throws(GuestFault) {
    let size = size
    let count = try value(instruction.operand1) & (size == 8 ? 63 : 31)
    let mnemonic = instruction.mnemonic
    let old = flags
    var result = ShiftResult(value: 0, flags: old)
    try update { value in
      result = ShiftResult(mnemonic, value, count: count, size, old)
      return result.value
    }
    if count != 0 { setFlags(result.flags) }
  }

  func shiftDouble() throws(GuestFault) {
    let size = size
    let bits = Width.bits(size)
    let filler = try value(instruction.operand1)
    let count = try value(instruction.operand2) & (size == 8 ? 63 : 31)
    let isLeft = instruction.mnemonic == .shld
    var new: RFLAGS = []
    try update { value in
      guard count != 0, count <= bits else { return value }
      let wide = isLeft ? (high: value, low: filler) : (high: filler, low: value)
      var result: UInt64
      let carry: Bool
      if isLeft {
        result = (count == 64 ? 0 : wide.high << count) | wide.low >> (bits &- count)
        carry = value >> (bits &- count) & 1 != 0
      } else {
        result = (count == 64 ? 0 : wide.low >> count) | wide.high << (bits &- count)
        carry = value >> (count &- 1) & 1 != 0
      }
      result &= Width.mask(size)
      new = ArithmeticResult(logical: result, size).flags
      if carry { new.insert(.cf) }
      if (result ^ value) & Width.sign(size) != 0 { new.insert(.of) }
      return result
    }
    if count != 0, count <= bits { setFlags(new, mask: RFLAGS.status.subtracting(.af)) }
  }

  // MARK: Bits

  func testBit() throws(GuestFault) {
    let operand = instruction.operand0
    let size = operand.size
    let source = instruction.operand1
    let number = try value(source)
    let bit: UInt64 = 1 << (number & (Width.bits(size) &- 1))
    var adjustment: UInt64 = 0
    // A bit number in a register reaches beyond the operand in memory.
    if operand.kind == .memory, source.kind == .general {
      let signed = Int64(bitPattern: signExtended(number, size))
      let words = signed >> Int64(Width.bits(size).trailingZeroBitCount)
      adjustment = UInt64(bitPattern: words) &* UInt64(size)
    }
    let mnemonic = instruction.mnemonic
    let isWrite = mnemonic != .bt
    let old: UInt64
    if operand.kind == .memory {
      let linear = try operandAddress(size: size, isWrite ? .write : .read, adjustment: adjustment)
      if isWrite { try space.probe(linear, size: size, .write) }
      old = try space.load(linear, size: size)
      if isWrite { try space.store(changed(old, bit, mnemonic), at: linear, size: size) }
    } else {
      old = try value(operand)
      if isWrite { try store(changed(old, bit, mnemonic), to: operand) }
    }
    setFlags(old & bit != 0 ? .cf : [], mask: .cf)
  }

  private func changed(_ value: UInt64, _ bit: UInt64, _ mnemonic: Mnemonic) -> UInt64 {
    switch mnemonic {
    case .bts: value | bit
    case .btr: value & ~bit
    default: value ^ bit
    }
  }

  func countBits() throws(GuestFault) {
    let size = size
    let source = try value(instruction.operand1)
    let trailing = source == 0 ? Width.bits(size) : UInt64(source.trailingZeroBitCount)
    let leading = UInt64(source.leadingZeroBitCount) &- (64 &- Width.bits(size))
    switch instruction.mnemonic {
    case .bsf, .bsr:
      let isForward = instruction.mnemonic == .bsf
      if source != 0 {
        try store(isForward ? trailing : 63 &- UInt64(source.leadingZeroBitCount), to: instruction.operand0)
      }
      setFlags(source == 0 ? .zf : [], mask: .zf)
    case .popcnt:
      try store(UInt64(source.nonzeroBitCount), to: instruction.operand0)
      setFlags(source == 0 ? .zf : [])
    default:
      let result = instruction.mnemonic == .tzcnt ? trailing : leading
      try store(result, to: instruction.operand0)
      var new: RFLAGS = source == 0 ? .cf : []
      if result == 0 { new.insert(.zf) }
      setFlags(new, mask: [.cf, .zf])
    }
  }
}

/// A sum, difference or logical result, and the flags that it sets.
struct ArithmeticResult {
  var value: UInt64
  var flags: RFLAGS

  init(_ left: UInt64, plus right: UInt64, carry: UInt64, _ size: UInt8) {
    let mask = Width.mask(size)
    let value = (left &+ right &+ carry) & mask
    self.init(logical: value, size)
    let carries = left & right | (left | right) & ~value
    if carries & Width.sign(size) != 0 { flags.insert(.cf) }
    if carries & 8 != 0 { flags.insert(.af) }
    if (left ^ value) & (right ^ value) & Width.sign(size) != 0 { flags.insert(.of) }
  }

  init(_ left: UInt64, minus right: UInt64, borrow: UInt64, _ size: UInt8) {
    let mask = Width.mask(size)
    let value = (left &- right &- borrow) & mask
    self.init(logical: value, size)
    let borrows = ~left & right | (~left | right) & value
    if borrows & Width.sign(size) != 0 { flags.insert(.cf) }
    if borrows & 8 != 0 { flags.insert(.af) }
    if (left ^ right) & (left ^ value) & Width.sign(size) != 0 { flags.insert(.of) }
  }

  /// A result whose CF, OF and AF are 0.
  init(logical value: UInt64, _ size: UInt8) {
    self.value = value & Width.mask(size)
    flags = []
    if self.value == 0 { flags.insert(.zf) }
    if self.value & Width.sign(size) != 0 { flags.insert(.sf) }
    if UInt8(truncatingIfNeeded: self.value).nonzeroBitCount & 1 == 0 { flags.insert(.pf) }
  }
}

/// What a shift or rotate makes of a value; `flags` are all six, those that it does not change as they were.
struct ShiftResult {
  var value: UInt64
  var flags: RFLAGS

  init(value: UInt64, flags: RFLAGS) {
    self.value = value
    self.flags = flags
  }

  /// `count` is masked already; 0 changes nothing. The shifts are made one bit at a time, as the SDM writes them.
  init(_ mnemonic: Mnemonic, _ value: UInt64, count: UInt64, _ size: UInt8, _ old: RFLAGS) {
    self.value = value
    flags = old
    guard count != 0 else { return }
    let sign = Width.sign(size)
    let mask = Width.mask(size)
    var carry = old.contains(.cf)
    for _ in 0..<count {
      let high = self.value & sign != 0
      let low = self.value & 1 != 0
      switch mnemonic {
      case .rol: (self.value, carry) = ((self.value << 1 | (high ? 1 : 0)) & mask, high)
      case .ror: (self.value, carry) = (self.value >> 1 | (low ? sign : 0), low)
      case .rcl: (self.value, carry) = ((self.value << 1 | (carry ? 1 : 0)) & mask, high)
      case .rcr: (self.value, carry) = (self.value >> 1 | (carry ? sign : 0), low)
      case .shr: (self.value, carry) = (self.value >> 1, low)
      case .sar: (self.value, carry) = (self.value >> 1 | (high ? sign : 0), low)
      default: (self.value, carry) = ((self.value << 1) & mask, high)
      }
    }
    setFlags(mnemonic, from: value, carry: carry, count, sign, size)
  }

  private mutating func setFlags(
    _ mnemonic: Mnemonic, from old: UInt64, carry: Bool, _ count: UInt64, _ sign: UInt64, _ size: UInt8
  ) {
    let isRotate = mnemonic == .rol || mnemonic == .ror || mnemonic == .rcl || mnemonic == .rcr
    if !isRotate {
      let keptAF = flags.intersection(.af)
      flags = ArithmeticResult(logical: value, size).flags.union(keptAF)
    }
    flags.remove(.cf)
    if carry { flags.insert(.cf) }
    let high = value & sign != 0
    let next = value & sign >> 1 != 0
    let overflow =
      switch mnemonic {
      case .ror, .rcr: high != next
      case .shr: old & sign != 0
      case .sar: false
      default: high != carry
      }
    flags.remove(.of)
    if overflow { flags.insert(.of) }
  }
}
