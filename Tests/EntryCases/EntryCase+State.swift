import VMX
import X86

extension EntryCase {
  private static let notCanonical: UInt64 = 1 << 47

  static let hostState: [EntryCase] =
    [
      EntryCase("Host CR0 is supported in VMX operation") { $0.vmcs[.hostCR0] &= ~0x20 },
      EntryCase("Host CR4 is supported in VMX operation") { $0.vmcs[.hostCR4] &= ~0x2000 },
      EntryCase("Host CR4.CET needs CR0.WP") { $0.vmcs[.hostCR0] &= ~0x1_0000 },
      bits("Host CR3 is within the physical-address width", .hostCR3, 1 << 46),
      bits("Host IA32_SYSENTER_ESP is canonical", .hostSysenterESP, notCanonical),
      bits("Host IA32_SYSENTER_EIP is canonical", .hostSysenterEIP, notCanonical),
      bits("Host IA32_PERF_GLOBAL_CTRL has no reserved bits", .hostPerfGlobalCtrl, 0x10),
      EntryCase("Host IA32_PAT has memory types") { $0.vmcs[.hostPAT] = 0x0007_0406_0007_0402 },
      bits("Host IA32_EFER has no reserved bits", .hostEFER, 2),
      EntryCase("Host IA32_EFER.LMA and LME agree with the host address-space size") {
        $0.vmcs[.hostEFER] &= ~0x400
      },
      bits("Host IA32_S_CET is possible", .hostSCET, 0xC00),
      bits("Host SSP is possible", .hostSSP, 1),
      bits("Host IA32_INTERRUPT_SSP_TABLE_ADDR is canonical", .hostInterruptSSPTable, notCanonical),
      bits("Host IA32_PKRS has 32 bits", .hostPKRS, 1 << 32),
      EntryCase("Host CS selector is not null") { $0.vmcs[.hostCSSelector] = 0 },
      EntryCase("Host TR selector is not null") { $0.vmcs[.hostTRSelector] = 0 },
      EntryCase("Host SS selector is not null", prepare: { $0.leaveIA32eMode() }) {
        $0.vmcs[.hostSSSelector] = 0
      },
      EntryCase(
        "A 64-bit guest needs IA-32e mode", also: ["Host address-space size agrees with IA-32e mode"],
        { $0.environment.isInIA32eMode = false }),
      EntryCase("Host address-space size agrees with IA-32e mode", prepare: { $0.leaveIA32eMode() }) {
        $0.environment.isInIA32eMode = true
      },
      EntryCase(
        "A 32-bit host has no 64-bit guest", also: ["Host address-space size agrees with IA-32e mode"],
        prepare: { $0.vmcs[.hostEFER] = 0xD01 },
        {
          $0.vmcs.exitControls.remove(.hostAddressSpaceSize)
          $0.vmcs[.hostEFER] = 0
        }),
      bits("A 32-bit host has no PCIDs", .hostCR4, 1 << 17, prepare: { $0.leaveIA32eMode() }),
      bits("A 32-bit host has a 32-bit RIP", .hostRIP, 1 << 32, prepare: { $0.leaveIA32eMode() }),
      EntryCase("A 64-bit host uses PAE") { $0.vmcs[.hostCR4] &= ~0x20 },
      bits("Host RIP is canonical", .hostRIP, notCanonical),
      bits("Host FS base is canonical", .hostFSBase, notCanonical),
      bits("Host GS base is canonical", .hostGSBase, notCanonical),
      bits("Host GDTR base is canonical", .hostGDTRBase, notCanonical),
      bits("Host IDTR base is canonical", .hostIDTRBase, notCanonical),
      bits("Host TR base is canonical", .hostTRBase, notCanonical),
    ]
    + [
      ("ES", VMCSField.hostESSelector), ("CS", .hostCSSelector), ("SS", .hostSSSelector),
      ("DS", .hostDSSelector),
      ("FS", .hostFSSelector), ("GS", .hostGSSelector), ("TR", .hostTRSelector),
    ].map { bits("Host \($0.0) selector has RPL 0 in the GDT", $0.1, 4) }

  static let guestRegisters: [EntryCase] = [
    EntryCase("Guest CR0 is supported in VMX operation") { $0.vmcs[.guestCR0] &= ~0x20 },
    EntryCase(
      "Guest CR0.PG needs CR0.PE",
      prepare: { $0.vmcs.secondaryProcessorBasedControls.insert(.unrestrictedGuest) },
      { $0.vmcs[.guestCR0] &= ~1 }),
    EntryCase("Guest CR4 is supported in VMX operation") { $0.vmcs[.guestCR4] &= ~0x2000 },
    EntryCase("Guest CR4.CET needs CR0.WP") { $0.vmcs[.guestCR0] &= ~0x1_0000 },
    bits("Guest IA32_DEBUGCTL has no reserved bits", .guestDebugCtl, 8),
    EntryCase(
      "A 64-bit guest uses paging",
      prepare: { $0.vmcs.secondaryProcessorBasedControls.insert(.unrestrictedGuest) },
      { $0.vmcs[.guestCR0] &= ~0x8000_0000 }),
    EntryCase("A 64-bit guest uses PAE") { $0.vmcs[.guestCR4] &= ~0x20 },
    bits("A 32-bit guest has no PCIDs", .guestCR4, 1 << 17, prepare: { $0.leaveIA32eModeInGuest() }),
    bits("Guest CR3 is within the physical-address width", .guestCR3, 1 << 46),
    bits("Guest DR7 has 32 bits", .guestDR7, 1 << 32),
    bits("Guest IA32_SYSENTER_ESP is canonical", .guestSysenterESP, notCanonical),
    bits("Guest IA32_SYSENTER_EIP is canonical", .guestSysenterEIP, notCanonical),
    bits("Guest IA32_PERF_GLOBAL_CTRL has no reserved bits", .guestPerfGlobalCtrl, 0x10),
    EntryCase("Guest IA32_PAT has memory types") { $0.vmcs[.guestPAT] = 0x0307_0406_0007_0406 },
    bits("Guest IA32_EFER has no reserved bits", .guestEFER, 2),
    bits(
      "Guest IA32_EFER.LMA agrees with the VM-entry controls", .guestEFER, 0x500,
      prepare: { $0.leaveIA32eModeInGuest() }),
    EntryCase("Guest IA32_EFER.LME agrees with LMA") { $0.vmcs[.guestEFER] &= ~0x100 },
    bits("Guest IA32_BNDCFGS is possible", .guestBndcfgs, 4),
    bits("Guest UINV is a vector", .guestUINV, 0x100),
    bits("Guest IA32_S_CET is possible", .guestSCET, 0x40),
    bits("Guest SSP is possible", .guestSSP, 2),
    bits("Guest IA32_INTERRUPT_SSP_TABLE_ADDR is canonical", .guestInterruptSSPTable, notCanonical),
    bits("Guest IA32_PKRS has 32 bits", .guestPKRS, 1 << 32),
  ]

  static let guestOtherState: [EntryCase] =
    [
      bits("GDTR base is canonical", .guestGDTRBase, notCanonical),
      bits("IDTR base is canonical", .guestIDTRBase, notCanonical),
      bits("GDTR limit has 16 bits", .guestGDTRLimit, 0x1_0000),
      bits("IDTR limit has 16 bits", .guestIDTRLimit, 0x1_0000),
      bits(
        "RIP outside 64-bit mode has 32 bits", .guestRIP, 1 << 32, prepare: { $0.leaveIA32eModeInGuest() }),
      bits("RIP in 64-bit mode is within the linear-address width", .guestRIP, 1 << 48),
      EntryCase("RFLAGS has no reserved bits") { $0.vmcs[.guestRFLAGS] &= ~2 },
      EntryCase(
        "RFLAGS.VM is of protected mode",
        prepare: {
          $0.enterVirtual8086Mode()
          $0.vmcs.secondaryProcessorBasedControls.insert(.unrestrictedGuest)
        }, { $0.vmcs[.guestCR0] = 0x1_0030 }),
      EntryCase("RFLAGS.IF lets the injected interrupt in", prepare: { $0.inject(0x8000_0020) }) {
        $0.vmcs[.guestRFLAGS] = 2
      },
      EntryCase("Activity state is supported") { $0.vmcs[.guestActivityState] = 4 },
      EntryCase("HLT state is at privilege level 0", prepare: { $0.enterUserMode() }) {
        $0.vmcs[.guestActivityState] = 1
      },
      EntryCase(
        "Blocking by STI or MOV SS is of the active state",
        prepare: { $0.vmcs[.guestInterruptibilityState] = 1 },
        { $0.vmcs[.guestActivityState] = 1 }),
      EntryCase("Injected event wakes the activity state", prepare: { $0.inject(0x8000_0020) }) {
        $0.vmcs[.guestActivityState] = 3
      },
      EntryCase("Entry to SMM is not to the wait-for-SIPI state", prepare: { $0.enterSMM() }) {
        $0.vmcs[.guestActivityState] = 3
      },
      bits("Interruptibility state has no reserved bits", .guestInterruptibilityState, 1 << 5),
      bits("Blocking by STI and by MOV SS exclude each other", .guestInterruptibilityState, 3),
      EntryCase(
        "Blocking by STI needs RFLAGS.IF", prepare: { $0.vmcs[.guestInterruptibilityState] = 1 },
        { $0.vmcs[.guestRFLAGS] = 2 }),
      bits(
        "Injected interrupt is not blocked", .guestInterruptibilityState, 1,
        prepare: { $0.inject(0x8000_0020) }),
      bits(
        "Injected NMI is not blocked by MOV SS", .guestInterruptibilityState, 2,
        prepare: { $0.inject(0x8000_0202) }),
      bits("Blocking by SMI is of SMM", .guestInterruptibilityState, 4),
      EntryCase("Entry to SMM blocks SMIs", prepare: { $0.enterSMM() }) {
        $0.vmcs[.guestInterruptibilityState] = 0
      },
      bits(
        "Injected NMI is not blocked by a virtual NMI", .guestInterruptibilityState, 8,
        prepare: { $0.inject(0x8000_0202) }),
      bits("Enclave interruption excludes blocking by MOV SS", .guestInterruptibilityState, 0x12),
      bits("Pending debug exceptions have no reserved bits", .guestPendingDebugExceptions, 1 << 13),
      bits(
        "Pending single-step exception agrees with RFLAGS.TF", .guestPendingDebugExceptions, 1 << 14,
        prepare: { $0.vmcs[.guestInterruptibilityState] = 2 }),
      bits("VMCS link pointer is aligned", .vmcsLinkPointer, 0x10),
      bits("VMCS link pointer is within the physical-address width", .vmcsLinkPointer, 1 << 46),
      EntryCase("Linked VMCS has the revision identifier of the processor") {
        $0.memory[EntryMachine.linkedVMCS] = 1 << 31
      },
      EntryCase("Linked VMCS is a shadow VMCS just with VMCS shadowing") {
        $0.memory[EntryMachine.linkedVMCS] = $0.revision
      },
      EntryCase("VMCS link pointer is not that of the VMCS itself") {
        $0.environment.currentVMCSPointer = EntryMachine.linkedVMCS
      },
    ]
    + [VMCSField.guestPDPTE0, .guestPDPTE1, .guestPDPTE2, .guestPDPTE3].enumerated().map {
      bits("PDPTE \($0) has no reserved bits", $1, 3, prepare: { $0.leaveIA32eModeInGuest() })
    }
}
