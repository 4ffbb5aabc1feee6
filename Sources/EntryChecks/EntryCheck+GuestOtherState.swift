import VMX
import X86

extension EntryCheck {
  /// The checks on the guest's descriptor tables, RIP, RFLAGS, non-register state and PDPTEs.
  ///
  /// Source: SDM volume 3, "Checks on Guest Descriptor-Table Registers" and the sections after it.
  public static let guestOtherState: InlineArray<34, EntryCheck> = [
    EntryCheck(
      .guestDescriptorTables, .guestGDTRBase, "GDTR base is canonical",
      "it is a canonical address"
    ) { vmcs, field in vmcs.isNotCanonical(field) },
    EntryCheck(
      .guestDescriptorTables, .guestIDTRBase, "IDTR base is canonical",
      "it is a canonical address"
    ) { vmcs, field in vmcs.isNotCanonical(field) },
    EntryCheck(
      .guestDescriptorTables, .guestGDTRLimit, "GDTR limit has 16 bits",
      "bits 31:16 are 0"
    ) { vmcs, field in vmcs[field] >> 16 != 0 },
    EntryCheck(
      .guestDescriptorTables, .guestIDTRLimit, "IDTR limit has 16 bits",
      "bits 31:16 are 0"
    ) { vmcs, field in vmcs[field] >> 16 != 0 },
    EntryCheck(
      .guestRIPAndRFLAGS, .guestRIP, "RIP outside 64-bit mode has 32 bits",
      "bits 63:32 are 0 if IA-32e mode guest is 0 or CS.L is 0"
    ) { vmcs, field in !(vmcs.isIA32eModeGuest && vmcs.rights(.cs).isLong) && vmcs[field] >> 32 != 0 },
    EntryCheck(
      .guestRIPAndRFLAGS, .guestRIP, "RIP in 64-bit mode is within the linear-address width",
      "bits 63:N are identical, where N is the linear-address width"
    ) { vmcs, field in
      vmcs.isIA32eModeGuest && vmcs.rights(.cs).isLong && vmcs.exceedsLinearWidth(field)
    },
    EntryCheck(
      .guestRIPAndRFLAGS, .guestRFLAGS, "RFLAGS has no reserved bits",
      "bits 63:22, 15, 5 and 3 are 0, and bit 1 is 1"
    ) { vmcs, field in vmcs[field] & ~RFLAGS.defined.rawValue != 0 || vmcs[field] & 2 == 0 },
    EntryCheck(
      .guestRIPAndRFLAGS, .guestRFLAGS, "RFLAGS.VM is of protected mode",
      "VM is 0 if IA-32e mode guest is 1 or CR0.PE is 0"
    ) { vmcs, _ in vmcs.isVirtual8086 && (vmcs.isIA32eModeGuest || !vmcs.guestCR0.contains(.pe)) },
    EntryCheck(
      .guestRIPAndRFLAGS, .guestRFLAGS, "RFLAGS.IF lets the injected interrupt in",
      "IF is 1 if an external interrupt is injected"
    ) { vmcs, _ in vmcs.injects(.externalInterrupt) && !vmcs.guestRFLAGS.contains(.if) },
    EntryCheck(
      .guestNonRegisterState, .guestActivityState, "Activity state is supported",
      "it is 0 to 3 and a state of IA32_VMX_MISC"
    ) { vmcs, _ in vmcs.isActivityUnsupported },
    EntryCheck(
      .guestNonRegisterState, .guestActivityState, "HLT state is at privilege level 0",
      "it is not 1 if the DPL of SS is not 0"
    ) { vmcs, field in vmcs[field] == 1 && vmcs.rights(.ss).dpl != 0 },
    EntryCheck(
      .guestNonRegisterState, .guestActivityState, "Blocking by STI or MOV SS is of the active state",
      "it is 0 if the interruptibility state has blocking by STI or MOV SS"
    ) { vmcs, field in
      vmcs[field] != 0 && !vmcs.interruptibility.isDisjoint(with: [.blockingBySTI, .blockingByMOVSS])
    },
    EntryCheck(
      .guestNonRegisterState, .guestActivityState, "Injected event wakes the activity state",
      "the event is one that the state does not block"
    ) { vmcs, _ in vmcs.event.isValid && vmcs.isEventBlockedByActivity },
    EntryCheck(
      .guestNonRegisterState, .guestActivityState, "Entry to SMM is not to the wait-for-SIPI state",
      "it is not 3 if entry to SMM is 1"
    ) { vmcs, field in vmcs[field] == 3 && vmcs.entry.contains(.entryToSMM) },
    EntryCheck(
      .guestNonRegisterState, .guestInterruptibilityState, "Interruptibility state has no reserved bits",
      "bits 31:5 are 0"
    ) { vmcs, field in vmcs[field] & ~UInt64(InterruptibilityState.defined.rawValue) != 0 },
    EntryCheck(
      .guestNonRegisterState, .guestInterruptibilityState, "Blocking by STI and by MOV SS exclude each other",
      "bits 0 and 1 are not both 1"
    ) { vmcs, _ in vmcs.interruptibility.isSuperset(of: [.blockingBySTI, .blockingByMOVSS]) },
    EntryCheck(
      .guestNonRegisterState, .guestInterruptibilityState, "Blocking by STI needs RFLAGS.IF",
      "bit 0 is 0 if RFLAGS.IF is 0"
    ) { vmcs, _ in vmcs.interruptibility.contains(.blockingBySTI) && !vmcs.guestRFLAGS.contains(.if) },
    EntryCheck(
      .guestNonRegisterState, .guestInterruptibilityState, "Injected interrupt is not blocked",
      "bits 0 and 1 are 0 if an external interrupt is injected"
    ) { vmcs, _ in
      vmcs.injects(.externalInterrupt)
        && !vmcs.interruptibility.isDisjoint(with: [.blockingBySTI, .blockingByMOVSS])
    },
    EntryCheck(
      .guestNonRegisterState, .guestInterruptibilityState, "Injected NMI is not blocked by MOV SS",
      "bit 1 is 0 if an NMI is injected"
    ) { vmcs, _ in vmcs.injects(.nmi) && vmcs.interruptibility.contains(.blockingByMOVSS) },
    EntryCheck(
      .guestNonRegisterState, .guestInterruptibilityState, "Blocking by SMI is of SMM",
      "bit 2 is 0 outside SMM"
    ) { vmcs, _ in vmcs.interruptibility.contains(.blockingBySMI) && !vmcs.environment.isInSMM },
    EntryCheck(
      .guestNonRegisterState, .guestInterruptibilityState, "Entry to SMM blocks SMIs",
      "bit 2 is 1 if entry to SMM is 1"
    ) { vmcs, _ in vmcs.entry.contains(.entryToSMM) && !vmcs.interruptibility.contains(.blockingBySMI) },
    EntryCheck(
      .guestNonRegisterState, .guestInterruptibilityState, "Injected NMI is not blocked by a virtual NMI",
      "bit 3 is 0 if virtual NMIs is 1 and an NMI is injected"
    ) { vmcs, _ in
      vmcs.pinBased.contains(.virtualNMIs) && vmcs.injects(.nmi)
        && vmcs.interruptibility.contains(.blockingByNMI)
    },
    EntryCheck(
      .guestNonRegisterState, .guestInterruptibilityState, "Enclave interruption excludes blocking by MOV SS",
      "bit 1 is 0 if bit 4 is 1"
    ) { vmcs, _ in vmcs.interruptibility.isSuperset(of: [.enclaveInterruption, .blockingByMOVSS]) },
    EntryCheck(
      .guestNonRegisterState, .guestPendingDebugExceptions, "Pending debug exceptions have no reserved bits",
      "bits 11:4, 13, 15 and 63:16 are 0"
    ) { vmcs, field in vmcs[field] & ~0x500F != 0 },
    EntryCheck(
      .guestNonRegisterState, .guestPendingDebugExceptions,
      "Pending single-step exception agrees with RFLAGS.TF",
      "bit 14, BS, is RFLAGS.TF and not IA32_DEBUGCTL.BTF while events are blocked or the state is HLT"
    ) { vmcs, _ in vmcs.isPendingSingleStepWrong },
    EntryCheck(
      .guestNonRegisterState, .vmcsLinkPointer, "VMCS link pointer is aligned",
      "bits 11:0 are 0", qualification: .invalidLinkPointer
    ) { vmcs, field in vmcs[field] != .max && vmcs.isUnaligned(field) },
    EntryCheck(
      .guestNonRegisterState, .vmcsLinkPointer, "VMCS link pointer is within the physical-address width",
      "no bit beyond the physical-address width is 1", qualification: .invalidLinkPointer
    ) { vmcs, field in vmcs[field] != .max && vmcs.exceedsPhysicalWidth(field) },
    EntryCheck(
      .guestNonRegisterState, .vmcsLinkPointer, "Linked VMCS has the revision identifier of the processor",
      "bits 30:0 of its first four bytes are the revision identifier of IA32_VMX_BASIC",
      qualification: .invalidLinkPointer, memory: .linkedVMCS
    ) { vmcs, _ in vmcs.isLinkedRevisionWrong },
    EntryCheck(
      .guestNonRegisterState, .vmcsLinkPointer, "Linked VMCS is a shadow VMCS just with VMCS shadowing",
      "bit 31 of its first four bytes is VMCS shadowing", qualification: .invalidLinkPointer,
      memory: .linkedVMCS
    ) { vmcs, _ in vmcs.isLinkedShadowIndicatorWrong },
    EntryCheck(
      .guestNonRegisterState, .vmcsLinkPointer, "VMCS link pointer is not that of the VMCS itself",
      "it is not the current-VMCS pointer", qualification: .invalidLinkPointer
    ) { vmcs, field in vmcs[field] != .max && vmcs[field] == vmcs.environment.currentVMCSPointer },
    EntryCheck(
      .guestPDPTEs, .guestPDPTE0, "PDPTE 0 has no reserved bits",
      "bits 2:1, 8:5 and those beyond the physical-address width are 0 if it is present",
      qualification: .pdpteLoading, memory: .pdptes
    ) { vmcs, _ in vmcs.isInvalidPDPTE(vmcs.pdptes?.pdpte0) },
    EntryCheck(
      .guestPDPTEs, .guestPDPTE1, "PDPTE 1 has no reserved bits",
      "bits 2:1, 8:5 and those beyond the physical-address width are 0 if it is present",
      qualification: .pdpteLoading, memory: .pdptes
    ) { vmcs, _ in vmcs.isInvalidPDPTE(vmcs.pdptes?.pdpte1) },
    EntryCheck(
      .guestPDPTEs, .guestPDPTE2, "PDPTE 2 has no reserved bits",
      "bits 2:1, 8:5 and those beyond the physical-address width are 0 if it is present",
      qualification: .pdpteLoading, memory: .pdptes
    ) { vmcs, _ in vmcs.isInvalidPDPTE(vmcs.pdptes?.pdpte2) },
    EntryCheck(
      .guestPDPTEs, .guestPDPTE3, "PDPTE 3 has no reserved bits",
      "bits 2:1, 8:5 and those beyond the physical-address width are 0 if it is present",
      qualification: .pdpteLoading, memory: .pdptes
    ) { vmcs, _ in vmcs.isInvalidPDPTE(vmcs.pdptes?.pdpte3) },
  ]
}
