import InstructionDecoder
import X86

// Conversions between integers and the formats of floating-point values.
extension Core {
  func executeConversion(_ instruction: Instruction) throws(Interruption) {
    switch instruction.mnemonic {
    case .cvtsi2ss, .cvtsi2sd: try executeConvertFromInteger(instruction)
    case .cvtss2si, .cvttss2si, .cvtsd2si, .cvttsd2si: try executeConvertToInteger(instruction)
    case .cvtss2sd, .cvtsd2ss: try executeConvertScalar(instruction)
    case .cvtpi2ps, .cvtpi2pd, .cvtps2pi, .cvttps2pi, .cvtpd2pi, .cvttpd2pi:
      try executeConvertMMX(instruction)
    default: try executeConvertPacked(instruction)
    }
  }

  private func executeConvertFromInteger(_ instruction: Instruction) throws(Interruption) {
    let operand = secondOperand(instruction)
    let value = Int64(bitPattern: OperandSize(operand.size).extended(try value(of: operand, instruction)))
    var result = firstSource(instruction)
    var environment = vectorEnvironment
    if instruction.mnemonic == .cvtsi2ss {
      result.dwords[0] = Binary32.converted(value, &environment)
    } else {
      result.quads[0] = Binary64.converted(value, &environment)
    }
    try complete(environment)
    try setVector(instruction.operand0, instruction, result)
  }

  private func executeConvertToInteger(_ instruction: Instruction) throws(Interruption) {
    let source = try vector(instruction.operand1, instruction)
    var environment = vectorEnvironment
    let isTruncating = instruction.mnemonic == .cvttss2si || instruction.mnemonic == .cvttsd2si
    let rounding = isTruncating ? RoundingControl.towardZero : nil
    let isSingle = instruction.mnemonic == .cvtss2si || instruction.mnemonic == .cvttss2si
    let result: UInt64
    if instruction.operand0.size == 8 {
      let value =
        isSingle
        ? Binary32.integer(source.dwords[0], as: Int64.self, rounding: rounding, &environment)
        : Binary64.integer(source.quads[0], as: Int64.self, rounding: rounding, &environment)
      result = UInt64(bitPattern: value)
    } else {
      let value =
        isSingle
        ? Binary32.integer(source.dwords[0], as: Int32.self, rounding: rounding, &environment)
        : Binary64.integer(source.quads[0], as: Int32.self, rounding: rounding, &environment)
      result = UInt64(UInt32(bitPattern: value))
    }
    try complete(environment)
    writeRegister(instruction.operand0.register, result, OperandSize(instruction.operand0.size))
  }

  private func executeConvertScalar(_ instruction: Instruction) throws(Interruption) {
    let source = try secondSource(instruction)
    var result = firstSource(instruction)
    var environment = vectorEnvironment
    if instruction.mnemonic == .cvtss2sd {
      result.quads[0] = Binary64.converted(source.dwords[0], from: Binary32.self, &environment)
    } else {
      result.dwords[0] = Binary32.converted(source.quads[0], from: Binary64.self, &environment)
    }
    try complete(environment)
    try setVector(instruction.operand0, instruction, result)
  }

  /// Between two integers of 32 bits in an MMX register and the low elements of an XMM register.
  private func executeConvertMMX(_ instruction: Instruction) throws(Interruption) {
    let source = try vector(instruction.operand1, instruction)
    var environment = vectorEnvironment
    var result = instruction.operand0.kind == .vector ? self[vector: instruction.operand0.register] : Vector()
    for index in 0..<2 {
      switch instruction.mnemonic {
      case .cvtpi2ps: result.dwords[index] = Binary32.converted(source.signedDwords[index], &environment)
      case .cvtpi2pd: result.quads[index] = Binary64.converted(source.signedDwords[index], &environment)
      case .cvtps2pi, .cvttps2pi:
        let rounding = instruction.mnemonic == .cvttps2pi ? RoundingControl.towardZero : nil
        result.dwords[index] = UInt32(
          bitPattern: Binary32.integer(source.dwords[index], as: Int32.self, rounding: rounding, &environment)
        )
      default:
        let rounding = instruction.mnemonic == .cvttpd2pi ? RoundingControl.towardZero : nil
        result.dwords[index] = UInt32(
          bitPattern: Binary64.integer(source.quads[index], as: Int32.self, rounding: rounding, &environment))
      }
    }
    // The x87 FPU's state changes even if #XM keeps the result from being written.
    if environment.isFaulting, instruction.operand0.kind == .mmx || instruction.operand1.kind == .mmx {
      enterMMX(isEmpty: false)
    }
    try complete(environment)
    try setVector(instruction.operand0, instruction, result)
  }

  private func executeConvertPacked(_ instruction: Instruction) throws(Interruption) {
    let source = try vector(instruction.operand1, instruction)
    var result = Vector()
    var environment = vectorEnvironment
    let singles = elementCount(instruction, 4)
    let doubles = elementCount(instruction, 8)
    switch instruction.mnemonic {
    case .cvtdq2ps:
      for index in 0..<singles {
        result.dwords[index] = Binary32.converted(source.signedDwords[index], &environment)
      }
    case .cvtps2dq, .cvttps2dq:
      let rounding = instruction.mnemonic == .cvttps2dq ? RoundingControl.towardZero : nil
      for index in 0..<singles {
        result.dwords[index] = UInt32(
          bitPattern: Binary32.integer(source.dwords[index], as: Int32.self, rounding: rounding, &environment)
        )
      }
    case .cvtpd2dq, .cvttpd2dq:
      let rounding = instruction.mnemonic == .cvttpd2dq ? RoundingControl.towardZero : nil
      for index in 0..<doubles {
        result.dwords[index] = UInt32(
          bitPattern: Binary64.integer(source.quads[index], as: Int32.self, rounding: rounding, &environment))
      }
    case .cvtdq2pd:
      for index in 0..<doubles {
        result.quads[index] = Binary64.converted(source.signedDwords[index], &environment)
      }
    case .cvtps2pd:
      for index in 0..<doubles {
        result.quads[index] = Binary64.converted(source.dwords[index], from: Binary32.self, &environment)
      }
    case .cvtpd2ps:
      for index in 0..<doubles {
        result.dwords[index] = Binary32.converted(source.quads[index], from: Binary64.self, &environment)
      }
    case .vcvtph2ps:
      for index in 0..<singles {
        result.dwords[index] = Binary32.converted(half: source.words[index], &environment)
      }
    default: return try executeConvertToHalf(instruction, source, singles)
    }
    try complete(environment)
    try setVector(instruction.operand0, instruction, result)
  }

  /// VCVTPS2PH, whose destination may be memory: what is raised counts only if the store does not fault.
  private func executeConvertToHalf(
    _ instruction: Instruction, _ source: Vector, _ count: Int
  ) throws(Interruption) {
    var result = Vector()
    var environment = vectorEnvironment
    let control = UInt32(truncatingIfNeeded: instruction.immediate)
    let rounding = control & 4 != 0 ? environment.rounding : RoundingControl(bits: control)
    for index in 0..<count {
      result.words[index] = Binary16.converted(
        single: source.dwords[index], rounding: rounding, &environment)
    }
    if environment.isFaulting { try complete(environment) }
    try setVector(instruction.operand0, instruction, result)
    try complete(environment)
  }
}
