import InstructionDecoder
import Translation
import X86

/// Exchanges, multiplication and division, the stack, and strings.
extension InstructionEmulator {
  /// XCHG and XADD: two operands, either of which may be the one in memory.
  func exchange() throws(GuestFault) {
    let isAddition = instruction.mnemonic == .xadd
    let memoryIsSecond = instruction.operand1.kind == .memory
    let first = memoryIsSecond ? instruction.operand1 : instruction.operand0
    let second = memoryIsSecond ? instruction.operand0 : instruction.operand1
    let other = try value(second)
    let size = first.size
    guard first.kind == .memory else { throw .notEmulated }
    let linear = try operandAddress(size: size, .write)
    try space.probe(linear, size: size, .write)
    let old = try space.load(linear, size: size)
    let sum = ArithmeticResult(old, plus: other, carry: 0, size)
    try space.store(isAddition ? sum.value : other, at: linear, size: size)
    try store(old, to: second)
    if isAddition { setFlags(sum.flags) }
  }

  func compareAndExchange() throws(GuestFault) {
    let size = instruction.operand0.size
    let accumulator = guest[.rax] & Width.mask(size)
    let source = try value(instruction.operand1)
    var found: UInt64 = 0
    try update { old in
      found = old
      return old == accumulator ? source : old
    }
    if found != accumulator { setRegister(.rax, found, size: size) }
    setFlags(ArithmeticResult(accumulator, minus: found, borrow: 0, size).flags)
  }

  /// CMPXCHG8B and CMPXCHG16B: two halves of `size` bytes.
  func compareAndExchangeDouble(size: UInt8) throws(GuestFault) {
    let linear = try operandAddress(size: size &* 2, .write)
    guard size == 4 || linear & 15 == 0 else { throw .exception(.generalProtection) }
    try space.probe(linear, size: size &* 2, .write)
    let upper = linear &+ UInt64(size)
    let low = try space.load(linear, size: size)
    let high = try space.load(upper, size: size)
    let mask = Width.mask(size)
    let isEqual = low == guest[.rax] & mask && high == guest[.rdx] & mask
    try space.store(isEqual ? guest[.rbx] : low, at: linear, size: size)
    try space.store(isEqual ? guest[.rcx] : high, at: upper, size: size)
    if !isEqual {
      setRegister(.rax, low, size: size)
      setRegister(.rdx, high, size: size)
    }
    setFlags(isEqual ? .zf : [], mask: .zf)
  }

  // MARK: Multiplication and division

  func multiplyOrDivide() throws(GuestFault) {
    switch instruction.mnemonic {
    case .imul where instruction.operandCount > 1: try multiplyTruncating()
    case .mul, .imul: try multiply()
    default: try divide()
    }
  }

  private func multiplyTruncating() throws(GuestFault) {
    let size = instruction.operand0.size
    let isThree = instruction.operandCount > 2
    let left = signExtended(try value(isThree ? instruction.operand1 : instruction.operand0), size)
    let second = isThree ? instruction.operand2 : instruction.operand1
    let right = signExtended(try value(second), second.size)
    let product = Int64(bitPattern: left).multipliedFullWidth(by: Int64(bitPattern: right))
    let result = product.low & Width.mask(size)
    let fits =
      signExtended(result, size) == product.low && product.high == Int64(bitPattern: product.low) >> 63
    try store(result, to: instruction.operand0)
    setFlags(fits ? [] : [.cf, .of], mask: [.cf, .of])
  }

  private func multiply() throws(GuestFault) {
    let size = instruction.operand0.size
    let source = try value(instruction.operand0)
    let accumulator = guest[.rax] & Width.mask(size)
    var low: UInt64
    var high: UInt64
    if instruction.mnemonic == .mul {
      (high, low) = accumulator.multipliedFullWidth(by: source)
    } else {
      let product = Int64(bitPattern: signExtended(accumulator, size)).multipliedFullWidth(
        by: Int64(bitPattern: signExtended(source, size)))
      (high, low) = (UInt64(bitPattern: product.high), product.low)
    }
    if size < 8 { high = low >> Width.bits(size) }
    low &= Width.mask(size)
    high &= Width.mask(size)
    let expected = instruction.mnemonic == .mul ? 0 : low & Width.sign(size) != 0 ? Width.mask(size) : 0
    setWide(low: low, high: high, size)
    setFlags(high == expected ? [] : [.cf, .of], mask: [.cf, .of])
  }

  private func divide() throws(GuestFault) {
    let size = instruction.operand0.size
    let divisor = try value(instruction.operand0)
    guard divisor != 0 else { throw .exception(.divideError) }
    let mask = Width.mask(size)
    var low = guest[.rax] & mask
    var high = size == 1 ? guest[.rax] >> 8 & 0xFF : guest[.rdx] & mask
    if instruction.mnemonic == .div {
      guard high < divisor else { throw .exception(.divideError) }
      if size < 8 {
        let dividend = high << Width.bits(size) | low
        return setWide(low: dividend / divisor, high: dividend % divisor, size)
      }
      let (quotient, remainder) = divisor.dividingFullWidth((high, low))
      return setWide(low: quotient, high: remainder, size)
    }
    // Magnitudes first, then signs (SDM volume 2, "IDIV—Signed Divide").
    if size < 8 {
      let wide = signExtended(high << Width.bits(size) | low, min(size &* 2, 8))
      high = Int64(bitPattern: wide) < 0 ? .max : 0
      low = wide
    }
    let isNegative = Int64(bitPattern: high) < 0
    if isNegative {
      low = ~low &+ 1
      high = ~high &+ (low == 0 ? 1 : 0)
    }
    let signedDivisor = Int64(bitPattern: signExtended(divisor, size))
    guard high < signedDivisor.magnitude else { throw .exception(.divideError) }
    let (quotient, remainder) = signedDivisor.magnitude.dividingFullWidth((high, low))
    let isQuotientNegative = isNegative != (signedDivisor < 0)
    let limit = Width.sign(size)
    guard isQuotientNegative ? quotient <= limit : quotient < limit else { throw .exception(.divideError) }
    setWide(
      low: isQuotientNegative ? 0 &- quotient : quotient, high: isNegative ? 0 &- remainder : remainder, size)
  }

  /// Writes AX, or rDX:rAX.
  private func setWide(low: UInt64, high: UInt64, _ size: UInt8) {
    if size == 1 { return setRegister(.rax, (high & 0xFF) << 8 | low & 0xFF, size: 2) }
    setRegister(.rax, low, size: size)
    setRegister(.rdx, high, size: size)
  }

  // MARK: The stack

  /// PUSH and POP of memory, CALL and JMP through memory.
  mutating func moveThroughStack() throws(GuestFault) {
    let size = instruction.operandSize
    switch instruction.mnemonic {
    case .push: try push(try value(instruction.operand0), size)
    case .pop: try pop(size)
    default:
      guard instruction.operand0.kind == .memory else { throw .notEmulated }
      let destination = try value(instruction.operand0)
      guard isCodeAddress(destination & Width.mask(size)) else { throw .exception(.generalProtection) }
      if instruction.mnemonic == .call {
        try push(guest[.guestRIP] &+ UInt64(instruction.length), size)
      }
      target = destination & Width.mask(size)
    }
  }

  /// Whether a near jump to `offset` does not fault (SDM volume 2, "JMP—Jump").
  private func isCodeAddress(_ offset: UInt64) -> Bool {
    space.is64Bit ? AddressForm.isCanonical(offset) : offset <= guest.vmcs[.guestCSLimit]
  }

  /// The bits of RSP that the stack segment uses.
  var stackMask: UInt64 {
    if space.is64Bit { return .max }
    let rights = SegmentAccessRights(
      rawValue: UInt32(truncatingIfNeeded: guest.vmcs[.guestSSAccessRights]))
    return rights.isBig ? 0xFFFF_FFFF : 0xFFFF
  }

  private func push(_ value: UInt64, _ size: UInt8) throws(GuestFault) {
    let pointer = (guest[.rsp] &- UInt64(size)) & stackMask
    let linear = try space.linear(.ss, pointer, size: UInt64(size), .write)
    try space.store(value, at: linear, size: size)
    guest[.rsp] = guest[.rsp] & ~stackMask | pointer
  }

  private func pop(_ size: UInt8) throws(GuestFault) {
    let pointer = guest[.rsp] & stackMask
    let value = try space.load(try space.linear(.ss, pointer, size: UInt64(size), .read), size: size)
    let old = guest[.rsp]
    // An address that names RSP means it after the pop.
    guest[.rsp] = old & ~stackMask | (pointer &+ UInt64(size)) & stackMask
    do throws(GuestFault) {
      try store(value, to: instruction.operand0)
    } catch {
      guest[.rsp] = old
      throw error
    }
  }
}
