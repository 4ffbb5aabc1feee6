import InstructionDecoder
import X86

// MARK: - Multiplication

extension Core {
  /// MUL and one-operand IMUL: rDX:rAX (AX for bytes) = rAX × operand.
  func executeMultiply(_ instruction: borrowing Instruction) throws(Interruption) {
    let size = OperandSize(instruction.operand0.size)
    let factor = try value(of: instruction.operand0, instruction)
    let isSigned = instruction.mnemonic == .imul
    let (high, low) = product(readRegister(0, size), factor, size, isSigned: isSigned)
    if size == .byte {
      writeRegister(0, high &<< 8 | low, .word)
    } else {
      writeRegister(0, low, size)
      writeRegister(2, high, size)
    }
    let fits = isSigned ? high == size.truncated(size.extended(low) & size.signBit != 0 ? ~0 : 0) : high == 0
    flags.pointee.set(low, size, bits: fits ? 0 : StatusFlags.cf | StatusFlags.of)
  }

  /// IMUL with two or three operands.
  func executeMultiplySigned(_ instruction: borrowing Instruction) throws(Interruption) {
    let size = OperandSize(instruction.operand0.size)
    let hasImmediate = instruction.operandCount == 3
    let left = try value(of: instruction.operand1, instruction)
    let right =
      hasImmediate ? instruction.immediate : readRegister(instruction.operand0.register, size)
    let (high, low) = product(left, right, size, isSigned: true)
    writeRegister(instruction.operand0.register, low, size)
    let fits = high == size.truncated(low & size.signBit != 0 ? ~0 : 0)
    flags.pointee.set(low, size, bits: fits ? 0 : StatusFlags.cf | StatusFlags.of)
  }

  /// MULX: an unsigned product of rDX without flags; the high half is written last.
  func executeMultiplyWithoutFlags(_ instruction: borrowing Instruction) throws(Interruption) {
    let size = OperandSize(instruction.operand0.size)
    let factor = try value(of: instruction.operand2, instruction)
    let (high, low) = product(readRegister(2, size), factor, size, isSigned: false)
    writeRegister(instruction.operand1.register, low, size)
    writeRegister(instruction.operand0.register, high, size)
  }

  /// Both halves of a product, zero-extended.
  private func product(
    _ left: UInt64, _ right: UInt64, _ size: OperandSize, isSigned: Bool
  ) -> (high: UInt64, low: UInt64) {
    if isSigned {
      let a = Int64(bitPattern: size.extended(left))
      let b = Int64(bitPattern: size.extended(right))
      let wide = a.multipliedFullWidth(by: b)
      if size == .qword { return (UInt64(bitPattern: wide.high), wide.low) }
      return (size.truncated(wide.low &>> size.bits), size.truncated(wide.low))
    }
    let wide = size.truncated(left).multipliedFullWidth(by: size.truncated(right))
    if size == .qword { return (wide.high, wide.low) }
    return (size.truncated(wide.low &>> size.bits), size.truncated(wide.low))
  }
}

// MARK: - Division

extension Core {
  /// DIV and IDIV: rAX = rDX:rAX (AX for bytes) / operand, rDX the remainder. #DE if the quotient does not fit. The
  /// flags are undefined and stay.
  func executeDivide(_ instruction: borrowing Instruction) throws(Interruption) {
    let size = OperandSize(instruction.operand0.size)
    let divisor = try value(of: instruction.operand0, instruction)
    let isByte = size == .byte
    let low = readRegister(0, size)
    let high = isByte ? self[.rax] &>> 8 & 0xFF : readRegister(2, size)
    let divided =
      instruction.mnemonic == .idiv
      ? signedQuotient(high, low, divisor, size) : unsignedQuotient(high, low, divisor, size)
    guard let (quotient, remainder) = divided else { throw raise(.divideError) }
    if isByte {
      writeRegister(0, (remainder & 0xFF) &<< 8 | quotient & 0xFF, .word)
    } else {
      writeRegister(0, quotient, size)
      writeRegister(2, remainder, size)
    }
  }

  private func unsignedQuotient(
    _ high: UInt64, _ low: UInt64, _ divisor: UInt64, _ size: OperandSize
  ) -> (UInt64, UInt64)? {
    // The quotient fits exactly when the high half is below the divisor; this also excludes zero.
    guard high < divisor else { return nil }
    if size == .qword { return divisor.dividingFullWidth((high, low)) }
    let dividend = high &<< size.bits | low
    return (dividend / divisor, dividend % divisor)
  }

  private func signedQuotient(
    _ high: UInt64, _ low: UInt64, _ divisor: UInt64, _ size: OperandSize
  ) -> (UInt64, UInt64)? {
    let isNegative = size.extended(high) & 1 << 63 != 0
    let divisorIsNegative = size.extended(divisor) & 1 << 63 != 0
    var (magnitudeHigh, magnitudeLow) = (high, low)
    if isNegative {
      magnitudeLow = size.truncated(0 &- low)
      magnitudeHigh = size.truncated(~high &+ (magnitudeLow == 0 ? 1 : 0))
    }
    let magnitude = size.truncated(divisorIsNegative ? 0 &- divisor : divisor)
    guard let (quotient, remainder) = unsignedQuotient(magnitudeHigh, magnitudeLow, magnitude, size)
    else { return nil }
    let negative = isNegative != divisorIsNegative
    guard quotient <= (negative ? size.signBit : size.signBit &- 1) else { return nil }
    return (negative ? 0 &- quotient : quotient, isNegative ? 0 &- remainder : remainder)
  }
}

// MARK: - Sign extension of the accumulator

extension Core {
  /// CBW, CWDE and CDQE: the low half of rAX sign-extended into all of it.
  func executeExtendAccumulator(_ instruction: borrowing Instruction) {
    let half = OperandSize(instruction.operandSize &>> 1)
    writeRegister(0, half.extended(self[.rax]), OperandSize(instruction.operandSize))
  }

  /// CWD, CDQ and CQO: the sign of rAX in all bits of rDX.
  func executeSignToData(_ instruction: borrowing Instruction) {
    let size = OperandSize(instruction.operandSize)
    writeRegister(2, self[.rax] & size.signBit != 0 ? ~0 : 0, size)
  }
}
