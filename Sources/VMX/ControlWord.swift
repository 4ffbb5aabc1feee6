/// A word of VMX controls: one bit per control.
public protocol ControlWord: OptionSet, Hashable, Sendable
where Element == Self, RawValue: FixedWidthInteger & UnsignedInteger {
  /// Which word this is.
  static var kind: ControlWordKind { get }
  /// The SDM's name of each control of this word, lowest bit first.
  static var controlCount: Int { get }
  /// The control and its name by position, from 0 up to ``controlCount`` - 1.
  static func control(at position: Int) -> ControlName
}

extension ControlWord {
  /// The SDM's name of the control at `bit`, or nil if the SDM reserves it.
  public static func name(ofBit bit: UInt8) -> StaticString? {
    for position in 0..<controlCount {
      let control = control(at: position)
      if control.bit == bit { return control.name }
    }
    return nil
  }

  /// Every control that the SDM defines in this word.
  public static var all: Self {
    var bits: RawValue = 0
    for position in 0..<controlCount { bits |= 1 << RawValue(control(at: position).bit) }
    return Self(rawValue: bits)
  }
}

/// The name of one control.
public struct ControlName: Sendable {
  /// The control as a word: one bit is 1.
  public let mask: UInt64
  /// The SDM's name, such as "HLT exiting".
  public let name: StaticString

  @inlinable
  init(_ mask: UInt64, _ name: StaticString) {
    self.mask = mask
    self.name = name
  }

  /// The bit of the control in its word.
  @inlinable
  public var bit: UInt8 { UInt8(truncatingIfNeeded: mask.trailingZeroBitCount) }
}

/// A word of VMX controls by name: each has a VMCS field and a capability MSR.
public enum ControlWordKind: UInt8, CaseIterable, Sendable {
  case pinBased
  case primaryProcessorBased
  case secondaryProcessorBased
  case tertiaryProcessorBased
  case exit
  case secondaryExit
  case entry
  case vmFunction

  /// The VMCS field of the word.
  @inlinable
  public var field: VMCSField {
    switch self {
    case .pinBased: .pinBasedControls
    case .primaryProcessorBased: .primaryProcessorBasedControls
    case .secondaryProcessorBased: .secondaryProcessorBasedControls
    case .tertiaryProcessorBased: .tertiaryProcessorBasedControls
    case .exit: .exitControls
    case .secondaryExit: .secondaryExitControls
    case .entry: .entryControls
    case .vmFunction: .vmFunctionControls
    }
  }

  /// The SDM's name of the control at `bit` of the word, or nil if the SDM reserves it.
  public func name(ofBit bit: UInt8) -> StaticString? {
    switch self {
    case .pinBased: PinBasedControls.name(ofBit: bit)
    case .primaryProcessorBased: PrimaryProcessorBasedControls.name(ofBit: bit)
    case .secondaryProcessorBased: SecondaryProcessorBasedControls.name(ofBit: bit)
    case .tertiaryProcessorBased: TertiaryProcessorBasedControls.name(ofBit: bit)
    case .exit: PrimaryExitControls.name(ofBit: bit)
    case .secondaryExit: SecondaryExitControls.name(ofBit: bit)
    case .entry: EntryControls.name(ofBit: bit)
    case .vmFunction: VMFunctionControls.name(ofBit: bit)
    }
  }
}
