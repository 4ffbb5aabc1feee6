import InstructionDecoder

// AES and carry-less multiplication.
//
// Source: SDM volume 1, "Programming with AES Instructions"; FIPS 197; volume 2 at each instruction.
extension Core {
  func executeCryptography(_ instruction: Instruction) throws(Interruption) {
    let result: Vector
    switch instruction.mnemonic {
    case .aesimc:
      result = AES.inverseMixedColumns(try vector(instruction.operand1, instruction))
    case .aeskeygenassist:
      let source = try vector(instruction.operand1, instruction)
      result = AES.keyGenerationAssist(source, UInt32(truncatingIfNeeded: instruction.immediate))
    case .pclmulqdq:
      let second = try secondSource(instruction)
      let first = firstSource(instruction)
      let control = Int(truncatingIfNeeded: instruction.immediate)
      result = Vector.carrylessProduct(first.quads[control & 1], second.quads[control >> 4 & 1])
    default:
      let key = try secondSource(instruction)
      result = AES.round(instruction.mnemonic, firstSource(instruction), key)
    }
    try setVector(instruction.operand0, instruction, result)
  }
}

extension Vector {
  static func carrylessProduct(_ a: UInt64, _ b: UInt64) -> Vector {
    var product: UInt128 = 0
    for bit in UInt128(0)..<64 where b >> UInt64(bit) & 1 != 0 { product ^= UInt128(a) << bit }
    return Vector(UInt64(truncatingIfNeeded: product), UInt64(truncatingIfNeeded: product >> 64))
  }
}

/// The transformations of the AES state: 16 bytes, column by column.
enum AES {
  /// The product of two elements of GF(2^8) modulo x^8 + x^4 + x^3 + x + 1.
  private static func product(_ a: UInt8, _ b: UInt8) -> UInt8 {
    var result: UInt8 = 0
    var a = a
    for bit in 0..<8 {
      if b >> UInt8(bit) & 1 != 0 { result ^= a }
      a = a << 1 ^ (a & 0x80 != 0 ? 0x1B : 0)
    }
    return result
  }

  /// SubBytes: the multiplicative inverse and an affine transformation.
  private static let substitutions: [UInt8] = (0..<256).map { number in
    let value = UInt8(number)
    // The inverse is the 254th power.
    var inverse: UInt8 = 1
    for _ in 0..<254 { inverse = product(inverse, value) }
    func rotated(_ count: UInt8) -> UInt8 { inverse << count | inverse >> (8 - count) }
    return inverse ^ rotated(1) ^ rotated(2) ^ rotated(3) ^ rotated(4) ^ 0x63
  }

  private static let inverseSubstitutions: [UInt8] = {
    var inverse = [UInt8](repeating: 0, count: 256)
    for (value, substitution) in substitutions.enumerated() { inverse[Int(substitution)] = UInt8(value) }
    return inverse
  }()

  /// The products of every byte with 2, 3, 9, 11, 13 and 14.
  private static let multiples: [[UInt8]] = (0..<16).map { factor in
    (0..<256).map { product(UInt8($0), UInt8(factor)) }
  }

  private static func substituted(_ state: Vector, _ table: [UInt8]) -> Vector {
    var result = Vector()
    for index in 0..<16 { result.bytes[index] = table[Int(state.bytes[index])] }
    return result
  }

  /// ShiftRows: row r moves left by r columns, or right.
  private static func shiftedRows(_ state: Vector, isInverse: Bool) -> Vector {
    var result = Vector()
    for index in 0..<16 {
      let row = index & 3
      let column = (index >> 2) &+ (isInverse ? 4 &- row : row)
      result.bytes[index] = state.bytes[(column & 3) &* 4 &+ row]
    }
    return result
  }

  private static func mixed(_ state: Vector, _ factors: [Int]) -> Vector {
    var result = Vector()
    for index in 0..<16 {
      let column = index & 12
      var value: UInt8 = 0
      for row in 0..<4 {
        let factor = factors[(row &- index) & 3]
        value ^= multiples[factor][Int(state.bytes[column &+ row])]
      }
      result.bytes[index] = value
    }
    return result
  }

  static func inverseMixedColumns(_ state: Vector) -> Vector { mixed(state, [14, 11, 13, 9]) }

  /// AESENC, AESENCLAST, AESDEC, AESDECLAST.
  static func round(_ mnemonic: Mnemonic, _ state: Vector, _ key: Vector) -> Vector {
    let isInverse = mnemonic == .aesdec || mnemonic == .aesdeclast
    var result = shiftedRows(state, isInverse: isInverse)
    result = substituted(result, isInverse ? inverseSubstitutions : substitutions)
    if mnemonic == .aesenc { result = mixed(result, [2, 3, 1, 1]) }
    if mnemonic == .aesdec { result = inverseMixedColumns(result) }
    return Vector(quads: result.quads ^ key.quads)
  }

  static func keyGenerationAssist(_ source: Vector, _ constant: UInt32) -> Vector {
    let words = substituted(source, substitutions).dwords
    func rotated(_ word: UInt32) -> UInt32 { word >> 8 | word << 24 }
    var result = Vector()
    result.dwords[0] = words[1]
    result.dwords[1] = rotated(words[1]) ^ constant
    result.dwords[2] = words[3]
    result.dwords[3] = rotated(words[3]) ^ constant
    return result
  }
}
