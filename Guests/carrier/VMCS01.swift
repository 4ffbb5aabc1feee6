import CHypervisor
import CInstructions
import NestedVMX
import VMX
import X86

/// Makes vmcs01: the controls under which the guest has the machine to itself, but for VMX and the carrier's memory.
struct VMCS01 {
  let vmcs: VMCS
  let capabilities: VMXCapabilities

  /// CPUID and VMX instructions exit in any case, and no port, no interrupt and no HLT.
  static var primary: PrimaryProcessorBasedControls { [.useMSRBitmaps, .activateSecondaryControls] }
  static var secondary: SecondaryProcessorBasedControls { [.enableEPT, .unrestrictedGuest] }
  /// Taken where the processor has them.
  static var optionalSecondary: SecondaryProcessorBasedControls {
    [.enableVPID, .enableRDTSCP, .enableINVPCID, .enableXSAVES, .enableUserWaitAndPause]
  }
  static var exit: PrimaryExitControls {
    [.hostAddressSpaceSize, .saveDebugControls, .savePAT, .loadPAT, .saveEFER, .loadEFER]
  }
  static var entry: EntryControls { [.loadDebugControls, .loadPAT, .loadEFER] }

  /// The VPID of the guest; those of its own guests follow it.
  private static var vpid: UInt64 { 1 }

  func write(ept01: EPT01, msrBitmap: UInt64, _ start: GuestStart) {
    writeControls(ept01: ept01, msrBitmap: msrBitmap)
    writeHostState()
    writeGuestState(start)
  }

  private func writeControls(ept01: EPT01, msrBitmap: UInt64) {
    vmcs.pinBasedControls = granted([] as PinBasedControls)
    vmcs.primaryProcessorBasedControls = granted(Self.primary)
    var secondary = granted(Self.secondary)
    for bit in 0..<32 {
      let control = SecondaryProcessorBasedControls(rawValue: 1 << UInt32(bit))
      if Self.optionalSecondary.contains(control), capabilities.allows(control) { secondary.insert(control) }
    }
    vmcs.secondaryProcessorBasedControls = secondary
    vmcs.exitControls = granted(Self.exit)
    vmcs.entryControls = granted(Self.entry)
    if secondary.contains(.enableVPID) { vmcs[.vpid] = Self.vpid }
    vmcs[.eptPointer] = ept01.pointer.rawValue
    vmcs[.msrBitmap] = msrBitmap
    vmcs[.vmcsLinkPointer] = .max
    vmcs[.cr0GuestHostMask] = CR0.ne.rawValue
    vmcs[.cr4GuestHostMask] = CR4.vmxe.rawValue
  }

  /// `desired` and the controls that must be 1; ends the run if a desired one must be 0.
  private func granted<Word: ControlWord>(_ desired: Word) -> Word {
    let excess = capabilities.capability(of: Word.kind).excess(in: UInt64(desired.rawValue))
    if excess != 0 { refuse(Word.name(ofBit: UInt8(truncatingIfNeeded: excess.trailingZeroBitCount))) }
    return capabilities.adjusted(desired)
  }

  private func refuse(_ control: StaticString?) -> Never {
    Serial.write("failed: this processor does not offer the control \"")
    Serial.write(control ?? "reserved")
    Serial.writeLine("\"")
    finish(.failure)
  }

  /// What the carrier has now, and what it never changes.
  private func writeHostState() {
    HostState.forEachField { field, value in vmcs[field] = value }
    vmcs[.hostPAT] = rdmsr(ModelSpecificRegister.pat.rawValue)
    vmcs[.hostEFER] = rdmsr(ModelSpecificRegister.efer.rawValue)
  }

  /// 32-bit protected mode without paging, and flat segments (Xen, "PVH specification").
  private func writeGuestState(_ start: GuestStart) {
    let code = SegmentAccessRights(type: 11, isCodeOrData: true, isBig: true, isGranular: true)
    let data = SegmentAccessRights(type: 3, isCodeOrData: true, isBig: true, isGranular: true)
    let busyTSS = SegmentAccessRights(type: SystemSegmentType.tss32Busy.rawValue, isCodeOrData: false)
    for segment in GuestSegment.allCases {
      let rights =
        switch segment {
        case .cs: code
        case .ldtr: SegmentAccessRights.unusable
        case .tr: busyTSS
        default: data
        }
      vmcs[segment.limitField] = rights.isGranular ? 0xFFFF_FFFF : 0x67
      vmcs[segment.accessRightsField] = UInt64(rights.rawValue)
    }
    let free: UInt64 = CR0.pe.rawValue | CR0.pg.rawValue
    vmcs[.guestCR0] = capabilities.cr0Fixed0 & ~free | CR0.pe.rawValue | CR0.et.rawValue
    vmcs[.cr0ReadShadow] = CR0.pe.rawValue | CR0.et.rawValue
    vmcs[.guestCR4] = capabilities.cr4Fixed0
    vmcs[.guestRIP] = start.entry
    vmcs[.guestRFLAGS] = RFLAGS.fixed1.rawValue
    vmcs[.guestDR7] = DR7.initial.rawValue
    vmcs[.guestPAT] = rdmsr(ModelSpecificRegister.pat.rawValue)
  }
}
