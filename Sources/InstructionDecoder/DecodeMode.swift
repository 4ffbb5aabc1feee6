/// What the code segment and the mode say about the instructions in it: the default sizes of operands and
/// addresses, and whether the 64-bit encodings hold.
///
/// Source: SDM volume 1, "Operand-Size and Address-Size Attributes".
public enum DecodeMode: UInt8, CaseIterable, Sendable {
  /// Real-address mode and virtual-8086 mode: 16-bit defaults, no VEX encodings.
  case real16
  /// Protected or compatibility mode, CS.D = 0: 16-bit defaults.
  case protected16
  /// Protected or compatibility mode, CS.D = 1: 32-bit defaults.
  case protected32
  /// 64-bit mode: 32-bit operands and 64-bit addresses by default.
  case long64
}

/// Why bytes are no instruction.
public enum DecodeFailure: Error, Equatable, Sendable {
  /// The instruction goes on behind the bytes that were given: the fetch of the next byte faults, or must be made.
  case truncated
  /// Undefined: #UD.
  case invalid
  /// Longer than 15 bytes: #GP(0).
  case tooLong
}
