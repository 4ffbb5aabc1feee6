import InstructionDecoder

// RCPPS, RCPSS, RSQRTPS and RSQRTSS: approximations, of which the SDM only bounds the error. These are what Intel's
// processors give: the reciprocal in the middle of one of 2048 intervals (of 1024 for each of two binades for the square
// root), rounded to 12 fraction bits.
extension Core {
  func executeReciprocal(_ instruction: Instruction) throws(Interruption) {
    let isScalar = instruction.mnemonic == .rcpss || instruction.mnemonic == .rsqrtss
    let isRoot = instruction.mnemonic == .rsqrtps || instruction.mnemonic == .rsqrtss
    let source = try vector(isScalar ? secondOperand(instruction) : instruction.operand1, instruction)
    var result = firstSource(instruction)
    for index in 0..<(isScalar ? 1 : elementCount(instruction, 4)) {
      result.dwords[index] =
        isRoot
        ? Binary32.approximateReciprocalRoot(source.dwords[index])
        : Binary32.approximateReciprocal(source.dwords[index])
    }
    try setVector(instruction.operand0, instruction, result)
  }
}

extension Binary32 {
  private static var infinity: UInt32 { 0x7F80_0000 }
  private static var indefinite: UInt32 { 0xFFC0_0000 }
  private static var quietBit: UInt32 { 0x40_0000 }

  /// Denormals count as zeros, and tiny results become zeros, whatever MXCSR says; nothing is raised.
  static func approximateReciprocal(_ bits: UInt32) -> UInt32 {
    let sign = bits & signBit
    let magnitude = bits & ~signBit
    if magnitude > infinity { return bits | quietBit }
    if magnitude == infinity { return sign }
    let exponent = magnitude >> 23
    if exponent == 0 { return sign | infinity }
    // 2 / middle, where the middle is (4096 + 2 i + 1) / 4096, with 12 fraction bits.
    let interval = magnitude >> 12 & 0x7FF
    let fraction = ((1 << 26) / (4097 + 2 * interval) + 1) / 2 - 4096
    // The exponent field of 1/x is 253 minus that of x.
    guard exponent < 253 else { return sign }
    return sign | (253 - exponent) << 23 | fraction << 11
  }

  static func approximateReciprocalRoot(_ bits: UInt32) -> UInt32 {
    let magnitude = bits & ~signBit
    if magnitude > infinity { return bits | quietBit }
    let exponent = magnitude >> 23
    if exponent == 0 { return bits & signBit | infinity }
    if bits & signBit != 0 { return indefinite }
    if magnitude == infinity { return 0 }
    // x = middle × 2^(even); the middle is in 1..<4, and 2 / its root in 1..<2.
    let isOdd = exponent & 1 == 0
    let middle = (1 + (Double(magnitude >> 13 & 0x3FF) + 0.5) / 1024) * (isOdd ? 2 : 1)
    let fraction = UInt32((2 / middle.squareRoot() - 1) * 4096 + 0.5)
    let even = Int32(exponent) - 127 - (isOdd ? 1 : 0)
    return UInt32(126 - even / 2) << 23 | fraction << 11
  }
}
