import NestedVMX
import Platform
import Processor
import VMX
import X86

/// The L0 structures that vmcs01 points to.
struct VMCS01Pages {
  var ept01: PhysicalAddress<L0>
  var msrBitmap: PhysicalAddress<L0>
}

/// Makes vmcs01: the controls that L0 wants for L1, adjusted to the processor, and L1's state when it starts.
struct VMCS01Builder {
  let capabilities: VMXCapabilities
  let vmcs: VMCS

  /// The VPID of L1 on a virtual CPU. L2's follow it.
  static func vpid01(of processor: Int) -> UInt64 { UInt64(processor) * NestedVPIDs.perVirtualCPU + 1 }

  static let pinBased: PinBasedControls = [.externalInterruptExiting, .nmiExiting, .virtualNMIs]
  static let primary: PrimaryProcessorBasedControls = [
    .hltExiting, .mwaitExiting, .monitorExiting, .cr8LoadExiting, .cr8StoreExiting, .unconditionalIOExiting,
    .useMSRBitmaps, .useTSCOffsetting, .activateSecondaryControls,
  ]
  /// With several virtual CPUs one that spins is to let the others go on.
  static let primaryOfSeveral: PrimaryProcessorBasedControls = [.pauseExiting]
  static let secondary: SecondaryProcessorBasedControls = [.enableEPT, .unrestrictedGuest]
  /// Taken where the processor has them.
  static let optionalSecondary: SecondaryProcessorBasedControls = [
    .enableVPID, .enableRDTSCP, .enableINVPCID, .enableXSAVES, .enableUserWaitAndPause,
  ]
  static let exit: PrimaryExitControls = [
    .hostAddressSpaceSize, .saveDebugControls, .savePAT, .loadPAT, .saveEFER, .loadEFER,
  ]
  static let entry: EntryControls = [.loadDebugControls, .loadPAT, .loadEFER]

  /// Writes everything but L1's registers.
  func writeControls(
    _ pages: VMCS01Pages, processor: Int = 0, of count: Int = 1
  ) throws(MachineError) {
    vmcs.clear()
    vmcs.revision = capabilities.basic.revision
    let optional = Self.optionalSecondary.intersection(
      SecondaryProcessorBasedControls(
        rawValue: UInt32(truncatingIfNeeded: capabilities.secondaryProcessorBased >> 32)))
    vmcs.pinBasedControls = try adjusted(Self.pinBased)
    vmcs.primaryProcessorBasedControls = try adjusted(
      count > 1 ? Self.primary.union(Self.primaryOfSeveral) : Self.primary)
    vmcs.secondaryProcessorBasedControls = try adjusted(Self.secondary.union(optional))
    vmcs.exitControls = try adjusted(Self.exit)
    vmcs.entryControls = try adjusted(Self.entry)
    if optional.contains(.enableVPID) { vmcs[.vpid] = Self.vpid01(of: processor) }
    let writeBackAndFourLevels: UInt64 = 6 | 3 << 3
    vmcs[.eptPointer] = pages.ept01.rawValue | writeBackAndFourLevels
    vmcs[.msrBitmap] = pages.msrBitmap.rawValue
    vmcs[.vmcsLinkPointer] = .max
    // L0 turns x87 errors into interrupts for an L1 that has CR0.NE = 0.
    vmcs[.exceptionBitmap] = 1 << UInt64(ExceptionVector.floatingPointError.rawValue)
    vmcs[.cr0GuestHostMask] = Self.cr0Mask.rawValue
    vmcs[.cr4GuestHostMask] = CR4.vmxe.rawValue
    writeHostState()
  }

  /// Makes L0 see every write of CR4 that sets a bit which a processor with `features` does not have.
  func own(cr4BitsMissingIn features: ProcessorFeatures) {
    vmcs[.cr4GuestHostMask] |= capabilities.cr4Fixed1 & ~features.controlRegister4.rawValue
  }

  /// Takes away the instructions that a processor with `features` does not have, as far as VMX has a control for them:
  /// they are undefined then.
  func withhold(instructionsMissingIn features: ProcessorFeatures) {
    var missing: SecondaryProcessorBasedControls = []
    if !features.signatureEDX.contains(.rdtscp) { missing.insert(.enableRDTSCP) }
    if !features.extendedEBX.contains(.invpcid) { missing.insert(.enableINVPCID) }
    if !features.extendedECX.contains(.waitpkg) { missing.insert(.enableUserWaitAndPause) }
    if !features.extendedState.contains(.xsaves) { missing.insert(.enableXSAVES) }
    vmcs.secondaryProcessorBasedControls.subtract(missing)
  }

  /// What L0 wants set, or a sentence naming what the processor lacks of it.
  private func adjusted<Word: ControlWord>(_ wanted: Word) throws(MachineError) -> Word {
    guard capabilities.allows(wanted) else {
      let missing = UInt64(wanted.rawValue) & ~capabilities.capability(of: Word.kind).allowed1
      let bit = UInt8(truncatingIfNeeded: missing.trailingZeroBitCount)
      throw .processorLacks("\"\(Word.name(ofBit: bit) ?? "a control")\"")
    }
    return capabilities.adjusted(wanted)
  }

  /// The bits of CR0 that L1 does not write directly: VMX operation fixes NE, L0 keeps caching on.
  static let cr0Mask: CR0 = [.ne, .nw, .cd]

  /// L0 itself never runs on the processor; its state has to pass the checks, no more.
  private func writeHostState() {
    let cr0: CR0 = [.pe, .ne, .wp, .pg]
    vmcs[.hostCR0] = capabilities.cr0.adjusted(cr0.rawValue)
    vmcs[.hostCR4] = capabilities.cr4.adjusted(CR4.pae.rawValue)
    vmcs[.hostCSSelector] = 0x8
    vmcs[.hostTRSelector] = 0x10
    vmcs[.hostEFER] = EFER([.lme, .lma]).rawValue
    vmcs[.hostPAT] = MSRPolicy.resetPAT
  }
}

// MARK: L1's state when it starts

/// A segment register's fields in a VMCS.
struct SegmentFields {
  var selector: VMCSField
  var base: VMCSField
  var limit: VMCSField
  var accessRights: VMCSField

  static let all: [SegmentFields] = [es, cs, ss, ds, fs, gs, ldtr, tr]
  static let es = SegmentFields(
    selector: .guestESSelector, base: .guestESBase, limit: .guestESLimit, accessRights: .guestESAccessRights)
  static let cs = SegmentFields(
    selector: .guestCSSelector, base: .guestCSBase, limit: .guestCSLimit, accessRights: .guestCSAccessRights)
  static let ss = SegmentFields(
    selector: .guestSSSelector, base: .guestSSBase, limit: .guestSSLimit, accessRights: .guestSSAccessRights)
  static let ds = SegmentFields(
    selector: .guestDSSelector, base: .guestDSBase, limit: .guestDSLimit, accessRights: .guestDSAccessRights)
  static let fs = SegmentFields(
    selector: .guestFSSelector, base: .guestFSBase, limit: .guestFSLimit, accessRights: .guestFSAccessRights)
  static let gs = SegmentFields(
    selector: .guestGSSelector, base: .guestGSBase, limit: .guestGSLimit, accessRights: .guestGSAccessRights)
  static let ldtr = SegmentFields(
    selector: .guestLDTRSelector, base: .guestLDTRBase, limit: .guestLDTRLimit,
    accessRights: .guestLDTRAccessRights)
  static let tr = SegmentFields(
    selector: .guestTRSelector, base: .guestTRBase, limit: .guestTRLimit, accessRights: .guestTRAccessRights)
}

extension VMCS01Builder {
  /// Segment access rights as the VMCS holds them (SDM volume 3, "Guest Register State").
  private enum Rights {
    static let code32: UInt64 = 0xC09B
    static let code64: UInt64 = 0xA09B
    static let data: UInt64 = 0xC093
    static let taskState: UInt64 = 0x8B
    static let unusable: UInt64 = 0x1_0000
  }

  /// Writes the state in which the image expects to be started; `registers` get what the protocol passes.
  func writeInitialState(_ plan: BootPlan, registers: UnsafeMutablePointer<RegisterFile>) {
    let is64Bit = plan.bootProtocol.is64Bit
    writeSegments(StartSegments(plan), codeRights: is64Bit ? Rights.code64 : Rights.code32)
    writeControlRegisters(is64Bit: is64Bit, pageTables: plan.place.pageTables)
    vmcs[.guestRIP] = plan.entry
    vmcs[.guestRFLAGS] = RFLAGS.fixed1.rawValue
    vmcs[.guestDR7] = DR7.initial.rawValue
    vmcs[.guestPAT] = MSRPolicy.resetPAT
    registers.pointee = RegisterFile()
    switch plan.bootProtocol {
    case .pvh:
      registers.pointee.rbx = plan.place.startInfo
    case .multiboot:
      registers.pointee.rax = UInt64(BootInformation.multibootMagic)
      registers.pointee.rbx = plan.place.multiboot
    case .entry64:
      registers.pointee.rdi = plan.place.startInfo
      registers.pointee.rsi = plan.place.linuxParameters
    case .linux:
      registers.pointee.rsi = plan.place.linuxParameters
    }
  }

  /// The GDT and the selectors that an image is started with.
  private struct StartSegments {
    var gdt: UInt64
    var code: UInt64
    var data: UInt64

    init(_ plan: BootPlan) {
      gdt = plan.bootProtocol == .linux ? plan.place.linuxGDT : plan.place.gdt
      switch plan.bootProtocol {
      case .pvh, .multiboot: (code, data) = (0x8, 0x10)
      case .entry64: (code, data) = (0x18, 0x10)
      case .linux: (code, data) = (0x10, 0x18)
      }
    }
  }

  private func writeSegments(_ start: StartSegments, codeRights: UInt64) {
    for segment in SegmentFields.all {
      vmcs[segment.selector] = start.data
      vmcs[segment.limit] = 0xFFFF_FFFF
      vmcs[segment.accessRights] = Rights.data
    }
    vmcs[.guestCSSelector] = start.code
    vmcs[.guestCSAccessRights] = codeRights
    vmcs[.guestLDTRSelector] = 0
    vmcs[.guestLDTRLimit] = 0
    vmcs[.guestLDTRAccessRights] = Rights.unusable
    vmcs[.guestTRSelector] = 0x20
    vmcs[.guestTRLimit] = 0x67
    vmcs[.guestTRAccessRights] = Rights.taskState
    vmcs[.guestGDTRBase] = start.gdt
    vmcs[.guestGDTRLimit] = UInt64(BootInformation.descriptors.count * 8 - 1)
  }

  private func writeControlRegisters(is64Bit: Bool, pageTables: UInt64) {
    let cr0: CR0 = is64Bit ? [.pe, .et, .wp, .pg] : [.pe, .et]
    let cr4: CR4 = is64Bit ? [.pae] : []
    let efer: EFER = is64Bit ? [.lme, .lma] : []
    vmcs[.guestCR0] = cr0.rawValue | fixedCR0
    vmcs[.cr0ReadShadow] = cr0.rawValue
    vmcs[.guestCR4] = cr4.rawValue | fixedCR4
    vmcs[.cr4ReadShadow] = cr4.rawValue
    vmcs[.guestCR3] = is64Bit ? pageTables : 0
    vmcs[.guestEFER] = efer.rawValue
    if is64Bit { vmcs.entryControls.insert(.ia32eModeGuest) }
  }

  /// What VMX operation fixes to 1 in an unrestricted guest: PE and PG are the guest's own.
  var fixedCR0: UInt64 { capabilities.cr0Fixed0 & ~CR0([.pe, .pg]).rawValue }
  var fixedCR4: UInt64 { capabilities.cr4Fixed0 }
}
