/// The size of an integer operand, in bytes: 1, 2, 4 or 8. With a constant size, all of this folds to constants.
struct OperandSize: Equatable {
  var bytes: UInt8

  @inline(always)
  init(_ bytes: UInt8) { self.bytes = bytes }

  static var byte: OperandSize { OperandSize(1) }
  static var word: OperandSize { OperandSize(2) }
  static var dword: OperandSize { OperandSize(4) }
  static var qword: OperandSize { OperandSize(8) }

  @inline(always)
  var bits: UInt64 { UInt64(bytes) &* 8 }

  /// Ones in the operand's bits.
  @inline(always)
  var mask: UInt64 { ~0 &>> (64 &- bits) }

  /// The most significant bit.
  @inline(always)
  var signBit: UInt64 { 1 &<< (bits &- 1) }

  /// `value`'s low bits, zero-extended.
  @inline(always)
  func truncated(_ value: UInt64) -> UInt64 { value & mask }

  /// `value`'s low bits, sign-extended.
  @inline(always)
  func extended(_ value: UInt64) -> UInt64 {
    let unused = Int64(truncatingIfNeeded: 64 &- bits)
    return UInt64(bitPattern: (Int64(bitPattern: value) &<< unused) &>> unused)
  }
}
