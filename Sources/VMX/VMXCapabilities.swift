/// The values of the VMX capability MSRs of a processor.
///
/// Source: SDM volume 3, appendix "VMX Capability Reporting Facility".
public struct VMXCapabilities: Equatable, Sendable {
  public var basic: VMXBasicInformation
  public var pinBased: UInt64 = 0
  public var primaryProcessorBased: UInt64 = 0
  public var exit: UInt64 = 0
  public var entry: UInt64 = 0
  public var miscellaneous: VMXMiscellaneousData
  /// The bits of CR0 that must be 1 in VMX operation.
  public var cr0Fixed0: UInt64 = 0
  /// The bits of CR0 that may be 1 in VMX operation.
  public var cr0Fixed1: UInt64 = 0
  /// The bits of CR4 that must be 1 in VMX operation.
  public var cr4Fixed0: UInt64 = 0
  /// The bits of CR4 that may be 1 in VMX operation.
  public var cr4Fixed1: UInt64 = 0
  public var vmcsEnumeration: UInt64 = 0
  public var secondaryProcessorBased: UInt64 = 0
  public var eptAndVPID: EPTAndVPIDCapability
  public var truePinBased: UInt64 = 0
  public var truePrimaryProcessorBased: UInt64 = 0
  public var trueExit: UInt64 = 0
  public var trueEntry: UInt64 = 0
  public var vmFunction: UInt64 = 0
  public var tertiaryProcessorBased: UInt64 = 0
  public var secondaryExit: UInt64 = 0

  /// Capabilities that allow nothing.
  @inlinable
  public init() {
    basic = VMXBasicInformation(rawValue: 0)
    miscellaneous = VMXMiscellaneousData(rawValue: 0)
    eptAndVPID = EPTAndVPIDCapability(rawValue: 0)
  }

  /// The index of IA32_VMX_BASIC, the first of the VMX capability MSRs.
  @inlinable public static var firstMSR: UInt32 { 0x480 }
  /// The index of IA32_VMX_EXIT_CTLS2, the last of the VMX capability MSRs.
  @inlinable public static var lastMSR: UInt32 { 0x493 }

  /// The value that RDMSR of `index` reads, or nil if it is no VMX capability MSR of this processor.
  public func value(ofMSR index: UInt32) -> UInt64? {
    switch index {
    case 0x480: basic.rawValue
    case 0x481: pinBased
    case 0x482: primaryProcessorBased
    case 0x483: exit
    case 0x484: entry
    case 0x485: miscellaneous.rawValue
    case 0x486: cr0Fixed0
    case 0x487: cr0Fixed1
    case 0x488: cr4Fixed0
    case 0x489: cr4Fixed1
    case 0x48A: vmcsEnumeration
    case 0x48B: hasSecondaryControls ? secondaryProcessorBased : nil
    case 0x48C: hasEPTOrVPID ? eptAndVPID.rawValue : nil
    case 0x48D: basic.hasTrueControls ? truePinBased : nil
    case 0x48E: basic.hasTrueControls ? truePrimaryProcessorBased : nil
    case 0x48F: basic.hasTrueControls ? trueExit : nil
    case 0x490: basic.hasTrueControls ? trueEntry : nil
    case 0x491: allows(SecondaryProcessorBasedControls.enableVMFunctions) ? vmFunction : nil
    case 0x492: allows(PrimaryProcessorBasedControls.activateTertiaryControls) ? tertiaryProcessorBased : nil
    case 0x493: allows(PrimaryExitControls.activateSecondaryControls) ? secondaryExit : nil
    default: nil
    }
  }

  @inlinable
  public var hasSecondaryControls: Bool {
    allows(PrimaryProcessorBasedControls.activateSecondaryControls)
  }

  @inlinable
  public var hasEPTOrVPID: Bool {
    allows(SecondaryProcessorBasedControls.enableEPT) || allows(SecondaryProcessorBasedControls.enableVPID)
  }

  /// Which settings of the controls of `kind` are allowed. The TRUE MSRs decide if there are any; a word that this
  /// processor lacks allows nothing.
  @inlinable
  public func capability(of kind: ControlWordKind) -> ControlCapability {
    let hasTrueControls = basic.hasTrueControls
    switch kind {
    case .pinBased: return ControlCapability(msr: hasTrueControls ? truePinBased : pinBased)
    case .primaryProcessorBased:
      return ControlCapability(msr: hasTrueControls ? truePrimaryProcessorBased : primaryProcessorBased)
    case .exit: return ControlCapability(msr: hasTrueControls ? trueExit : exit)
    case .entry: return ControlCapability(msr: hasTrueControls ? trueEntry : entry)
    case .secondaryProcessorBased: return ControlCapability(msr: secondaryProcessorBased)
    case .tertiaryProcessorBased: return ControlCapability(allowed0: 0, allowed1: tertiaryProcessorBased)
    case .secondaryExit: return ControlCapability(allowed0: 0, allowed1: secondaryExit)
    case .vmFunction: return ControlCapability(allowed0: 0, allowed1: vmFunction)
    }
  }

  /// Whether `controls` may all be 1.
  @inlinable
  public func allows<Word: ControlWord>(_ controls: Word) -> Bool {
    capability(of: Word.kind).allows(controls)
  }

  /// `word` with every control set or cleared that must be: the usual way to make a word of controls.
  @inlinable
  public func adjusted<Word: ControlWord>(_ word: Word) -> Word {
    Word(
      rawValue: Word.RawValue(truncatingIfNeeded: capability(of: Word.kind).adjusted(UInt64(word.rawValue))))
  }

  /// The settings of CR0 that are allowed in VMX operation.
  @inlinable
  public var cr0: ControlCapability { ControlCapability(allowed0: cr0Fixed0, allowed1: cr0Fixed1) }

  /// The settings of CR4 that are allowed in VMX operation.
  @inlinable
  public var cr4: ControlCapability { ControlCapability(allowed0: cr4Fixed0, allowed1: cr4Fixed1) }
}
