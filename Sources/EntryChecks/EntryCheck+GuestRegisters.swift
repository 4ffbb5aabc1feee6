import VMX
import X86

extension EntryCheck {
  /// The checks on the guest's control registers, debug registers and MSRs.
  ///
  /// Source: SDM volume 3, "Checks on Guest Control Registers, Debug Registers, and MSRs".
  public static let guestRegisters: InlineArray<23, EntryCheck> = [
    EntryCheck(
      .guestRegisters, .guestCR0, "Guest CR0 is supported in VMX operation",
      "the bits of IA32_VMX_CR0_FIXED0 are 1, and those not of IA32_VMX_CR0_FIXED1 are 0"
    ) { vmcs, field in vmcs.isGuestCR0Unsupported(field) },
    EntryCheck(
      .guestRegisters, .guestCR0, "Guest CR0.PG needs CR0.PE",
      "PE is 1 if PG is 1"
    ) { vmcs, _ in vmcs.guestCR0.contains(.pg) && !vmcs.guestCR0.contains(.pe) },
    EntryCheck(
      .guestRegisters, .guestCR4, "Guest CR4 is supported in VMX operation",
      "the bits of IA32_VMX_CR4_FIXED0 are 1, and those not of IA32_VMX_CR4_FIXED1 are 0"
    ) { vmcs, field in !vmcs.environment.capabilities.cr4.permits(vmcs[field]) },
    EntryCheck(
      .guestRegisters, .guestCR4, "Guest CR4.CET needs CR0.WP",
      "CET is 0 if WP is 0"
    ) { vmcs, _ in vmcs.guestCR4.contains(.cet) && !vmcs.guestCR0.contains(.wp) },
    EntryCheck(
      .guestRegisters, .guestDebugCtl, "Guest IA32_DEBUGCTL has no reserved bits",
      "reserved bits are 0"
    ) { vmcs, field in
      vmcs.entry.contains(.loadDebugControls) && vmcs[field] & ~vmcs.environment.definedDebugCtl != 0
    },
    EntryCheck(
      .guestRegisters, .guestCR0, "A 64-bit guest uses paging",
      "PG is 1 if IA-32e mode guest is 1"
    ) { vmcs, _ in vmcs.isIA32eModeGuest && !vmcs.guestCR0.contains(.pg) },
    EntryCheck(
      .guestRegisters, .guestCR4, "A 64-bit guest uses PAE",
      "PAE is 1 if IA-32e mode guest is 1"
    ) { vmcs, _ in vmcs.isIA32eModeGuest && !vmcs.guestCR4.contains(.pae) },
    EntryCheck(
      .guestRegisters, .guestCR4, "A 32-bit guest has no PCIDs",
      "PCIDE is 0 if IA-32e mode guest is 0"
    ) { vmcs, _ in !vmcs.isIA32eModeGuest && vmcs.guestCR4.contains(.pcide) },
    EntryCheck(
      .guestRegisters, .guestCR3, "Guest CR3 is within the physical-address width",
      "no bit beyond the physical-address width is 1"
    ) { vmcs, field in vmcs.isInvalidCR3(field) },
    EntryCheck(
      .guestRegisters, .guestDR7, "Guest DR7 has 32 bits",
      "bits 63:32 are 0 if load debug controls is 1"
    ) { vmcs, field in vmcs.entry.contains(.loadDebugControls) && vmcs[field] >> 32 != 0 },
    EntryCheck(
      .guestRegisters, .guestSysenterESP, "Guest IA32_SYSENTER_ESP is canonical",
      "it is a canonical address"
    ) { vmcs, field in vmcs.isNotCanonical(field) },
    EntryCheck(
      .guestRegisters, .guestSysenterEIP, "Guest IA32_SYSENTER_EIP is canonical",
      "it is a canonical address"
    ) { vmcs, field in vmcs.isNotCanonical(field) },
    EntryCheck(
      .guestRegisters, .guestPerfGlobalCtrl, "Guest IA32_PERF_GLOBAL_CTRL has no reserved bits",
      "reserved bits are 0"
    ) { vmcs, field in
      vmcs.entry.contains(.loadPerfGlobalCtrl) && vmcs[field] & ~vmcs.environment.definedPerfGlobalCtrl != 0
    },
    EntryCheck(
      .guestRegisters, .guestPAT, "Guest IA32_PAT has memory types",
      "each byte is 0, 1, 4, 5, 6 or 7"
    ) { vmcs, field in vmcs.entry.contains(.loadPAT) && !MemoryType.isValidPAT(vmcs[field]) },
    EntryCheck(
      .guestRegisters, .guestEFER, "Guest IA32_EFER has no reserved bits",
      "reserved bits are 0"
    ) { vmcs, field in vmcs.entry.contains(.loadEFER) && vmcs[field] & ~vmcs.environment.definedEFER != 0 },
    EntryCheck(
      .guestRegisters, .guestEFER, "Guest IA32_EFER.LMA agrees with the VM-entry controls",
      "LMA is IA-32e mode guest"
    ) { vmcs, field in
      vmcs.entry.contains(.loadEFER) && EFER(rawValue: vmcs[field]).contains(.lma) != vmcs.isIA32eModeGuest
    },
    EntryCheck(
      .guestRegisters, .guestEFER, "Guest IA32_EFER.LME agrees with LMA",
      "LME is LMA if CR0.PG is 1"
    ) { vmcs, field in
      vmcs.entry.contains(.loadEFER) && vmcs.guestCR0.contains(.pg)
        && EFER(rawValue: vmcs[field]).contains(.lma) != EFER(rawValue: vmcs[field]).contains(.lme)
    },
    EntryCheck(
      .guestRegisters, .guestBndcfgs, "Guest IA32_BNDCFGS is possible",
      "bits 11:2 are 0, and bits 63:12 are of a canonical address"
    ) { vmcs, field in
      vmcs.entry.contains(.loadBndcfgs) && (vmcs[field] & 0xFFC != 0 || vmcs.isNotCanonical(field))
    },
    EntryCheck(
      .guestRegisters, .guestUINV, "Guest UINV is a vector",
      "bits 15:8 are 0"
    ) { vmcs, field in vmcs.entry.contains(.loadUINV) && vmcs[field] & 0xFF00 != 0 },
    EntryCheck(
      .guestRegisters, .guestSCET, "Guest IA32_S_CET is possible",
      "bits 9:6 are 0, bits 11:10 are not both 1, and bits 63:12 are of a canonical address"
    ) { vmcs, field in vmcs.entry.contains(.loadCETState) && vmcs.isInvalidSCET(field) },
    EntryCheck(
      .guestRegisters, .guestSSP, "Guest SSP is possible",
      "bits 1:0 are 0, and it is a canonical address"
    ) { vmcs, field in
      vmcs.entry.contains(.loadCETState) && (vmcs[field] & 3 != 0 || vmcs.isNotCanonical(field))
    },
    EntryCheck(
      .guestRegisters, .guestInterruptSSPTable, "Guest IA32_INTERRUPT_SSP_TABLE_ADDR is canonical",
      "it is a canonical address"
    ) { vmcs, field in vmcs.entry.contains(.loadCETState) && vmcs.isNotCanonical(field) },
    EntryCheck(
      .guestRegisters, .guestPKRS, "Guest IA32_PKRS has 32 bits",
      "bits 63:32 are 0"
    ) { vmcs, field in vmcs.entry.contains(.loadPKRS) && vmcs[field] >> 32 != 0 },
  ]
}
