import NestedVMX
import VMX
import X86

/// VMCSs as no hypervisor would make them: one that is accepted, with a few changes, or nothing but noise.
package struct RandomVMCS {
  /// Fields of one kind, from which a change takes its field.
  private static let controls: [VMCSField] = Rig.fields.filter { $0.area == .control }
  private static let guestState: [VMCSField] = Rig.fields.filter { $0.area == .guestState }
  private static let words: [ControlWordKind] = [
    .pinBased, .primaryProcessorBased, .secondaryProcessorBased, .exit, .entry, .vmFunction,
  ]
  /// Pages of L1 that its VMCS names.
  private static let places: [UInt64] = [
    RigPlace.virtualAPICPage, RigPlace.apicAccessPage, RigPlace.msrBitmap, RigPlace.ioBitmapA,
    RigPlace.vmreadBitmap, RigPlace.vmwriteBitmap, RigPlace.msrList, RigPlace.eptpList, RigPlace.linkedVMCS,
    RigPlace.postedInterruptDescriptor, RigPlace.l2Data, RigPlace.l2Code, RigPlace.l2IDT, RigPlace.ept,
    RigPlace.ept + 0x1000, RigPlace.ept + 0x2000, RigPlace.ept + 0x3000, RigPlace.pdptes,
    RigPlace.exceptionInformation,
  ]

  /// What L2 executes.
  private static let programs: [[UInt8]] = [
    [0x0F, 0x01, 0xC1], [0xF4], [0x0F, 0xA2, 0xF4], [0x0F, 0x31, 0xEB, 0xFC], [0xEB, 0xFE],
    [0x0F, 0x0B], [0xCC], [0xCD, 0x20], [0xE4, 0x60, 0xE6, 0x80], [0x0F, 0x32, 0x0F, 0x30],
    [0xF3, 0x90, 0xEB, 0xFC],
    [0x0F, 0x20, 0xC0, 0x0F, 0x22, 0xC0], [0x0F, 0x20, 0xD8, 0x0F, 0x22, 0xD8, 0x0F, 0x22, 0xE0],
    [0x44, 0x0F, 0x22, 0xC0, 0x44, 0x0F, 0x20, 0xC0], [0x8B, 0x03, 0x89, 0x03, 0xEB, 0xFA],
    [0x0F, 0x78, 0xCA, 0x0F, 0x79, 0xCA, 0xEB, 0xF8], [0x0F, 0x01, 0xD4, 0xEB, 0xFB],
    [0xF3, 0xA4, 0xF3, 0xAB],
    [0xFB, 0xF4, 0xEB, 0xFC], [0x9D, 0x90, 0x9C, 0xEB, 0xFB], [0x8E, 0xD0, 0x0F, 0x0B],
    [0xF3, 0x6C, 0xF3, 0x6E],
    [0x0F, 0x01, 0x03, 0x0F, 0x00, 0xC8], [0x0F, 0xC7, 0x3B, 0xEB, 0xFB], [0xCF], [0x48, 0xCF],
    [0x66, 0x0F, 0x38, 0x80, 0x0B], [0x0F, 0x01, 0x3B, 0xEB, 0xFB],
  ]

  package var choices: Choices
  /// Whether anything but L2's code has been written to memory.
  package private(set) var hasWrittenMemory = false

  package init(_ choices: Choices) { self.choices = choices }

  /// Writes a VMCS and what else is random.
  package mutating func write(_ vmcs: VMCS, _ memory: RigMemory) {
    if choices.oneIn(16) {
      writeNoise(vmcs)
    } else {
      writeBase(vmcs, memory)
      // From 1 to 8 changes, few of them more often than many.
      for _ in 0...min(choices.below(8), choices.below(8)) { change(vmcs) }
    }
    if choices.oneIn(4) {
      for _ in 0...choices.below(4) { disturb(memory) }
    }
    var program = choices.element(of: Self.programs)
    if choices.oneIn(4) { program = (0..<16).map { _ in UInt8(truncatingIfNeeded: choices.below(256)) } }
    memory.store(program + [0x0F, 0x01, 0xC1], at: RigPlace.l2Code)
  }

  /// Random values in the registers that L2 finds.
  package mutating func write(_ registers: UnsafeMutablePointer<RegisterFile>) {
    for register in GeneralRegister.allCases where register != .rsp { registers[register] = choices.value() }
  }

  // MARK: Accepted VMCSs

  private mutating func writeBase(_ vmcs: VMCS, _ memory: RigMemory) {
    RigVMCS.write(vmcs)
    switch choices.below(8) {
    case 0, 1: break
    case 2, 3: vmcs.secondaryProcessorBasedControls.formUnion([.enableEPT])
    case 4:
      hasWrittenMemory = true
      useAll(vmcs, memory)
    case 5:
      hasWrittenMemory = true
      enterProtectedMode(vmcs, memory, pae: true)
    case 6: enterProtectedMode(vmcs, memory, pae: false)
    default: enterRealAddressMode(vmcs)
    }
    if choices.oneIn(4) { inject(vmcs) }
    if choices.oneIn(4) { useLists(vmcs, memory) }
  }

  /// Everything that L0 offers and that goes together.
  private func useAll(_ vmcs: VMCS, _ memory: RigMemory) {
    let offered = Rig.offered
    func allowed<Word: ControlWord>(_ word: Word) -> Word {
      offered.adjusted(word)
    }
    vmcs.pinBasedControls = allowed([
      .externalInterruptExiting, .nmiExiting, .virtualNMIs, .processPostedInterrupts,
    ])
    vmcs.primaryProcessorBasedControls.formUnion([
      .useTPRShadow, .useIOBitmaps, .useMSRBitmaps, .useTSCOffsetting,
    ])
    vmcs.secondaryProcessorBasedControls = allowed([
      .virtualizeAPICAccesses, .enableEPT, .enableVPID, .apicRegisterVirtualization,
      .virtualInterruptDelivery,
      .enableVMFunctions, .vmcsShadowing, .enablePML, .eptViolationVE, .useTSCScaling, .unrestrictedGuest,
      .modeBasedExecuteControlForEPT, .enableINVPCID, .enableRDTSCP, .enableXSAVES, .pauseLoopExiting,
      .enableUserWaitAndPause,
    ])
    vmcs.exitControls.insert(.acknowledgeInterruptOnExit)
    vmcs.vmFunctionControls = .eptpSwitching
    vmcs[.eptPointer] |= 1 << 6
    vmcs[.vmcsLinkPointer] = RigPlace.linkedVMCS
    memory[RigPlace.linkedVMCS] = UInt64(vmcs.revision) | 1 << 31
    memory[RigPlace.eptpList] = vmcs[.eptPointer]
  }

  /// L2 in 32-bit protected mode with paging, perhaps in virtual-8086 mode.
  private mutating func enterProtectedMode(_ vmcs: VMCS, _ memory: RigMemory, pae: Bool) {
    vmcs.entryControls.remove(.ia32eModeGuest)
    vmcs[.guestEFER] = 0
    vmcs[.guestCSSelector] = RigPlace.code32Selector
    vmcs[.guestCSAccessRights] = 0xC09B
    vmcs[.guestCR4] = pae ? 0x2020 : 0x2010
    vmcs[.guestCR3] = pae ? RigPlace.pdptes : RigPlace.pageDirectory
    if pae {
      // The page directories of the 64-bit structures serve as well.
      let fields: [VMCSField] = [.guestPDPTE0, .guestPDPTE1, .guestPDPTE2, .guestPDPTE3]
      for (index, field) in fields.enumerated() {
        let entry = RigPlace.pageTables + 0x2000 + UInt64(index) << 12 | 1
        memory[RigPlace.pdptes + UInt64(index) * 8] = entry
        vmcs[field] = entry
      }
    }
    if choices.oneIn(2) { vmcs.secondaryProcessorBasedControls.insert(.enableEPT) }
    if choices.oneIn(4) { enterVirtual8086Mode(vmcs) }
  }

  private func enterVirtual8086Mode(_ vmcs: VMCS) {
    vmcs[.guestRFLAGS] |= 1 << 17
    for segment in [GuestSegment.cs, .ss, .ds, .es, .fs, .gs] {
      vmcs[segment.selectorField] = 0x1000
      vmcs[segment.baseField] = 0x1_0000
      vmcs[segment.limitField] = 0xFFFF
      vmcs[segment.accessRightsField] = 0xF3
    }
    vmcs[.guestRIP] = 0x100
  }

  private func enterRealAddressMode(_ vmcs: VMCS) {
    vmcs.entryControls.remove(.ia32eModeGuest)
    vmcs.secondaryProcessorBasedControls.formUnion([.enableEPT, .unrestrictedGuest])
    vmcs[.guestEFER] = 0
    vmcs[.guestCR0] = 0x30
    vmcs[.guestCR4] = 0x2000
    for segment in [GuestSegment.ss, .ds, .es, .fs, .gs] {
      vmcs[segment.selectorField] = 0x1000
      vmcs[segment.baseField] = 0x1_0000
      vmcs[segment.limitField] = 0xFFFF
      vmcs[segment.accessRightsField] = 0x93
    }
    vmcs[.guestCSSelector] = 0
    vmcs[.guestCSBase] = RigPlace.l2Code
    vmcs[.guestCSLimit] = 0xFFFF
    vmcs[.guestCSAccessRights] = 0x9B
    vmcs[.guestRIP] = 0
  }

  private mutating func inject(_ vmcs: VMCS) {
    let vector = UInt64(choices.below(32))
    let kind = UInt64(choices.below(8))
    let hasErrorCode = choices.oneIn(2) ? UInt64(1) << 11 : 0
    vmcs[.entryInterruptionInformation] = 1 << 31 | kind << 8 | vector | hasErrorCode
    vmcs[.entryInstructionLength] = UInt64(choices.below(17))
    vmcs[.guestRFLAGS] |= 1 << 9
  }

  private mutating func useLists(_ vmcs: VMCS, _ memory: RigMemory) {
    let indices: [UInt64] = [
      0xC000_0081, 0xC000_0082, 0xC000_0084, 0xC000_0102, 0x10, 0x174, 0x277, 0x1D9, 0xC000_0080, 0xC000_0100,
      0x808, 0x3B,
    ]
    hasWrittenMemory = true
    for position: UInt64 in 0..<4 {
      memory[RigPlace.msrList + position * 16] = choices.element(of: indices)
      memory[RigPlace.msrList + position * 16 + 8] = choices.oneIn(2) ? choices.value() : 0
    }
    for field in [VMCSField.entryMSRLoadCount, .exitMSRStoreCount, .exitMSRLoadCount] where choices.oneIn(2) {
      vmcs[field] = UInt64(choices.below(5))
    }
  }

  // MARK: Changes

  private mutating func change(_ vmcs: VMCS) {
    switch choices.below(8) {
    case 0, 1, 2:
      let field = choices.element(of: Self.words).field
      vmcs[field] ^= 1 << UInt64(choices.below(32))
    case 3: flip(choices.element(of: Self.controls), vmcs)
    case 4, 5: flip(choices.element(of: Self.guestState), vmcs)
    case 6: vmcs[choices.element(of: Self.guestState)] = choices.value()
    default: vmcs[choices.element(of: Rig.fields)] = choices.value()
    }
  }

  private mutating func flip(_ field: VMCSField, _ vmcs: VMCS) {
    vmcs[field] ^= 1 << UInt64(choices.below(field.width == .w16 ? 16 : field.width == .w32 ? 32 : 64))
  }

  private mutating func disturb(_ memory: RigMemory) {
    hasWrittenMemory = true
    let place = choices.element(of: Self.places) + UInt64(choices.below(512)) * 8
    memory[place] = choices.value()
  }

  private mutating func writeNoise(_ vmcs: VMCS) {
    vmcs.clear()
    vmcs.revision =
      choices.oneIn(32) ? UInt32(truncatingIfNeeded: choices.word()) : VirtualCapabilities.revision
    for field in Rig.fields { vmcs[field] = choices.value() }
  }
}
