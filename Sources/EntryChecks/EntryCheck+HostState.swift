import VMX
import X86

extension EntryCheck {
  /// The checks on the host-state area.
  ///
  /// Source: SDM volume 3, "Checks on Host Control Registers, MSRs, and SSP" and the two sections after it.
  public static let hostState: InlineArray<36, EntryCheck> = [
    EntryCheck(
      .hostRegisters, .hostCR0, "Host CR0 is supported in VMX operation",
      "the bits of IA32_VMX_CR0_FIXED0 are 1, and those not of IA32_VMX_CR0_FIXED1 are 0"
    ) { vmcs, field in !vmcs.environment.capabilities.cr0.permits(vmcs[field]) },
    EntryCheck(
      .hostRegisters, .hostCR4, "Host CR4 is supported in VMX operation",
      "the bits of IA32_VMX_CR4_FIXED0 are 1, and those not of IA32_VMX_CR4_FIXED1 are 0"
    ) { vmcs, field in !vmcs.environment.capabilities.cr4.permits(vmcs[field]) },
    EntryCheck(
      .hostRegisters, .hostCR4, "Host CR4.CET needs CR0.WP",
      "CET is 0 if WP is 0"
    ) { vmcs, field in
      CR4(rawValue: vmcs[field]).contains(.cet) && !CR0(rawValue: vmcs[.hostCR0]).contains(.wp)
    },
    EntryCheck(
      .hostRegisters, .hostCR3, "Host CR3 is within the physical-address width",
      "no bit beyond the physical-address width is 1"
    ) { vmcs, field in vmcs.isInvalidCR3(field) },
    EntryCheck(
      .hostRegisters, .hostSysenterESP, "Host IA32_SYSENTER_ESP is canonical",
      "it is a canonical address"
    ) { vmcs, field in vmcs.isNotCanonical(field) },
    EntryCheck(
      .hostRegisters, .hostSysenterEIP, "Host IA32_SYSENTER_EIP is canonical",
      "it is a canonical address"
    ) { vmcs, field in vmcs.isNotCanonical(field) },
    EntryCheck(
      .hostRegisters, .hostPerfGlobalCtrl, "Host IA32_PERF_GLOBAL_CTRL has no reserved bits",
      "reserved bits are 0"
    ) { vmcs, field in
      vmcs.exit.contains(.loadPerfGlobalCtrl) && vmcs[field] & ~vmcs.environment.definedPerfGlobalCtrl != 0
    },
    EntryCheck(
      .hostRegisters, .hostPAT, "Host IA32_PAT has memory types",
      "each byte is 0, 1, 4, 5, 6 or 7"
    ) { vmcs, field in vmcs.exit.contains(.loadPAT) && !MemoryType.isValidPAT(vmcs[field]) },
    EntryCheck(
      .hostRegisters, .hostEFER, "Host IA32_EFER has no reserved bits",
      "reserved bits are 0"
    ) { vmcs, field in vmcs.exit.contains(.loadEFER) && vmcs[field] & ~vmcs.environment.definedEFER != 0 },
    EntryCheck(
      .hostRegisters, .hostEFER, "Host IA32_EFER.LMA and LME agree with the host address-space size",
      "LMA and LME are each host address-space size"
    ) { vmcs, field in
      vmcs.exit.contains(.loadEFER)
        && EFER(rawValue: vmcs[field]).intersection([.lma, .lme])
          != (vmcs.exit.contains(.hostAddressSpaceSize) ? [.lma, .lme] : [])
    },
    EntryCheck(
      .hostRegisters, .hostSCET, "Host IA32_S_CET is possible",
      "bits 9:6 are 0, bits 11:10 are not both 1, and bits 63:12 are of a canonical address"
    ) { vmcs, field in vmcs.exit.contains(.loadCETState) && vmcs.isInvalidSCET(field) },
    EntryCheck(
      .hostRegisters, .hostSSP, "Host SSP is possible",
      "bits 1:0 are 0, and it is a canonical address"
    ) { vmcs, field in
      vmcs.exit.contains(.loadCETState) && (vmcs[field] & 3 != 0 || vmcs.isNotCanonical(field))
    },
    EntryCheck(
      .hostRegisters, .hostInterruptSSPTable, "Host IA32_INTERRUPT_SSP_TABLE_ADDR is canonical",
      "it is a canonical address"
    ) { vmcs, field in vmcs.exit.contains(.loadCETState) && vmcs.isNotCanonical(field) },
    EntryCheck(
      .hostRegisters, .hostPKRS, "Host IA32_PKRS has 32 bits",
      "bits 63:32 are 0"
    ) { vmcs, field in vmcs.exit.contains(.loadPKRS) && vmcs[field] >> 32 != 0 },
    EntryCheck(
      .hostSegments, .hostESSelector, "Host ES selector has RPL 0 in the GDT",
      "bits 2:0 are 0"
    ) { vmcs, field in vmcs[field] & 7 != 0 },
    EntryCheck(
      .hostSegments, .hostCSSelector, "Host CS selector has RPL 0 in the GDT",
      "bits 2:0 are 0"
    ) { vmcs, field in vmcs[field] & 7 != 0 },
    EntryCheck(
      .hostSegments, .hostSSSelector, "Host SS selector has RPL 0 in the GDT",
      "bits 2:0 are 0"
    ) { vmcs, field in vmcs[field] & 7 != 0 },
    EntryCheck(
      .hostSegments, .hostDSSelector, "Host DS selector has RPL 0 in the GDT",
      "bits 2:0 are 0"
    ) { vmcs, field in vmcs[field] & 7 != 0 },
    EntryCheck(
      .hostSegments, .hostFSSelector, "Host FS selector has RPL 0 in the GDT",
      "bits 2:0 are 0"
    ) { vmcs, field in vmcs[field] & 7 != 0 },
    EntryCheck(
      .hostSegments, .hostGSSelector, "Host GS selector has RPL 0 in the GDT",
      "bits 2:0 are 0"
    ) { vmcs, field in vmcs[field] & 7 != 0 },
    EntryCheck(
      .hostSegments, .hostTRSelector, "Host TR selector has RPL 0 in the GDT",
      "bits 2:0 are 0"
    ) { vmcs, field in vmcs[field] & 7 != 0 },
    EntryCheck(
      .hostSegments, .hostCSSelector, "Host CS selector is not null",
      "it is not 0"
    ) { vmcs, field in vmcs[field] == 0 },
    EntryCheck(
      .hostSegments, .hostTRSelector, "Host TR selector is not null",
      "it is not 0"
    ) { vmcs, field in vmcs[field] == 0 },
    EntryCheck(
      .hostSegments, .hostSSSelector, "Host SS selector is not null",
      "it is not 0 unless host address-space size is 1"
    ) { vmcs, field in vmcs[field] == 0 && !vmcs.exit.contains(.hostAddressSpaceSize) },
    EntryCheck(
      .hostSegments, .hostFSBase, "Host FS base is canonical",
      "it is a canonical address"
    ) { vmcs, field in vmcs.isNotCanonical(field) },
    EntryCheck(
      .hostSegments, .hostGSBase, "Host GS base is canonical",
      "it is a canonical address"
    ) { vmcs, field in vmcs.isNotCanonical(field) },
    EntryCheck(
      .hostSegments, .hostGDTRBase, "Host GDTR base is canonical",
      "it is a canonical address"
    ) { vmcs, field in vmcs.isNotCanonical(field) },
    EntryCheck(
      .hostSegments, .hostIDTRBase, "Host IDTR base is canonical",
      "it is a canonical address"
    ) { vmcs, field in vmcs.isNotCanonical(field) },
    EntryCheck(
      .hostSegments, .hostTRBase, "Host TR base is canonical",
      "it is a canonical address"
    ) { vmcs, field in vmcs.isNotCanonical(field) },
    EntryCheck(
      .addressSpaceSize, .entryControls, "A 64-bit guest needs IA-32e mode",
      "IA-32e mode guest is 0 outside IA-32e mode"
    ) { vmcs, _ in !vmcs.environment.isInIA32eMode && vmcs.isIA32eModeGuest },
    EntryCheck(
      .addressSpaceSize, .exitControls, "Host address-space size agrees with IA-32e mode",
      "host address-space size is IA32_EFER.LMA"
    ) { vmcs, _ in vmcs.environment.isInIA32eMode != vmcs.exit.contains(.hostAddressSpaceSize) },
    EntryCheck(
      .addressSpaceSize, .entryControls, "A 32-bit host has no 64-bit guest",
      "IA-32e mode guest is 0 if host address-space size is 0"
    ) { vmcs, _ in !vmcs.exit.contains(.hostAddressSpaceSize) && vmcs.isIA32eModeGuest },
    EntryCheck(
      .addressSpaceSize, .hostCR4, "A 32-bit host has no PCIDs",
      "PCIDE is 0 if host address-space size is 0"
    ) { vmcs, field in
      !vmcs.exit.contains(.hostAddressSpaceSize) && CR4(rawValue: vmcs[field]).contains(.pcide)
    },
    EntryCheck(
      .addressSpaceSize, .hostRIP, "A 32-bit host has a 32-bit RIP",
      "bits 63:32 are 0 if host address-space size is 0"
    ) { vmcs, field in !vmcs.exit.contains(.hostAddressSpaceSize) && vmcs[field] >> 32 != 0 },
    EntryCheck(
      .addressSpaceSize, .hostCR4, "A 64-bit host uses PAE",
      "PAE is 1 if host address-space size is 1"
    ) { vmcs, field in vmcs.exit.contains(.hostAddressSpaceSize) && !CR4(rawValue: vmcs[field]).contains(.pae)
    },
    EntryCheck(
      .addressSpaceSize, .hostRIP, "Host RIP is canonical",
      "it is a canonical address"
    ) { vmcs, field in vmcs.exit.contains(.hostAddressSpaceSize) && vmcs.isNotCanonical(field) },
  ]
}
