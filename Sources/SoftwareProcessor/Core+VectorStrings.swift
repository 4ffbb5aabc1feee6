import InstructionDecoder
import X86

// PCMPESTRM, PCMPESTRI, PCMPISTRM and PCMPISTRI.
//
// Source: SDM volume 2, "Imm8 Control Byte Operation for PCMPESTRI / PCMPESTRM / PCMPISTRI / PCMPISTRM".
extension Core {
  func executeStringComparison(_ instruction: Instruction) throws(Interruption) {
    let second = try vector(instruction.operand1, instruction, isAligned: false)
    let first = self[vector: instruction.operand0.register]
    let control = UInt8(truncatingIfNeeded: instruction.immediate)
    let isExplicit = instruction.mnemonic == .pcmpestrm || instruction.mnemonic == .pcmpestri
    var comparison = StringComparison(control, first, second)
    if isExplicit {
      comparison.firstLength = explicitLength(self[.rax], instruction, comparison.count)
      comparison.secondLength = explicitLength(self[.rdx], instruction, comparison.count)
    }
    let result = comparison.result
    if instruction.mnemonic == .pcmpestri || instruction.mnemonic == .pcmpistri {
      writeRegister(1, UInt64(comparison.index(result)), .dword)
    } else {
      try setWholeVector(0, instruction, comparison.mask(result))
    }
    var bits: UInt64 = 0
    if result != 0 { bits |= StatusFlags.cf }
    if comparison.secondLength < comparison.count { bits |= StatusFlags.zf }
    if comparison.firstLength < comparison.count { bits |= StatusFlags.sf }
    if result & 1 != 0 { bits |= StatusFlags.of }
    flags.pointee.value = bits
  }

  /// The magnitude of rAX or rDX, at most the number of elements.
  private func explicitLength(
    _ value: UInt64, _ instruction: Instruction, _ count: Int
  ) -> Int {
    let isWide = is64BitMode && instruction.operandSize == 8
    let length = Int64(bitPattern: isWide ? value : OperandSize.dword.extended(value))
    return Int(truncatingIfNeeded: min(length.magnitude, UInt64(count)))
  }
}

/// The comparison of the elements of two strings.
private struct StringComparison {
  private let control: UInt8
  private let first: Vector
  private let second: Vector
  /// How many elements a vector has.
  let count: Int
  /// How many elements of each are valid.
  var firstLength: Int
  var secondLength: Int

  /// With the lengths that zeros end.
  init(_ control: UInt8, _ first: Vector, _ second: Vector) {
    self.control = control
    self.first = first
    self.second = second
    count = control & 1 == 0 ? 16 : 8
    firstLength = 0
    secondLength = 0
    firstLength = implicitLength(first)
    secondLength = implicitLength(second)
  }

  private func implicitLength(_ vector: Vector) -> Int {
    for index in 0..<count where element(vector, index) == 0 { return index }
    return count
  }

  private func element(_ vector: Vector, _ index: Int) -> Int {
    switch control & 3 {
    case 0: Int(vector.bytes[index])
    case 1: Int(vector.words[index])
    case 2: Int(vector.signedBytes[index])
    default: Int(vector.signedWords[index])
    }
  }

  /// One bit for each element of the second string: IntRes2.
  var result: UInt32 {
    var bits: UInt32 = 0
    for index in 0..<count where aggregate(index) { bits |= 1 << UInt32(index) }
    let all: UInt32 = count == 16 ? 0xFFFF : 0xFF
    switch control >> 4 & 3 {
    case 1: return bits ^ all
    case 3: return bits ^ ((1 << UInt32(secondLength)) &- 1)
    default: return bits
    }
  }

  /// The aggregation of the comparisons of the second string's element `index`: IntRes1.
  private func aggregate(_ index: Int) -> Bool {
    switch control >> 2 & 3 {
    case 0: return index < secondLength && isAny(index)
    case 1: return index < secondLength && isInRange(index)
    case 2:
      // Elements that are invalid in both are equal; in one, not.
      let isFirst = index < firstLength
      let isSecond = index < secondLength
      return isFirst && isSecond ? element(first, index) == element(second, index) : isFirst == isSecond
    default: return isSubstring(index)
    }
  }

  private func isAny(_ index: Int) -> Bool {
    let value = element(second, index)
    for other in 0..<firstLength where element(first, other) == value { return true }
    return false
  }

  private func isInRange(_ index: Int) -> Bool {
    let value = element(second, index)
    for pair in stride(from: 0, to: firstLength - 1, by: 2)
    where element(first, pair) <= value && value <= element(first, pair + 1) {
      return true
    }
    return false
  }

  /// Whether the first string, as far as it fits, is at `start` of the second.
  private func isSubstring(_ start: Int) -> Bool {
    for offset in 0..<(count - start) where offset < firstLength {
      let index = start + offset
      guard index < secondLength, element(first, offset) == element(second, index) else { return false }
    }
    return true
  }

  /// The index of the first or the last element whose bit is set, or the number of elements.
  func index(_ result: UInt32) -> Int {
    guard result != 0 else { return count }
    return control & 0x40 == 0 ? result.trailingZeroBitCount : 31 - result.leadingZeroBitCount
  }

  /// The bits, or an element of ones for each.
  func mask(_ result: UInt32) -> Vector {
    guard control & 0x40 != 0 else { return Vector(UInt64(result)) }
    var mask = Vector()
    for index in 0..<count where result >> UInt32(index) & 1 != 0 {
      if count == 16 { mask.bytes[index] = 0xFF } else { mask.words[index] = 0xFFFF }
    }
    return mask
  }
}
