import VMX
import X86

extension EntryCheck {
  /// The checks on the VM-execution control fields.
  ///
  /// Source: SDM volume 3, "VM-Execution Control Fields" under "Checks on VMX Controls".
  public static let executionControls: InlineArray<68, EntryCheck> = [
    EntryCheck(
      .executionControlFields, .pinBasedControls, "Pin-based controls are allowed",
      "every control has a setting that its capability MSR allows"
    ) { vmcs, _ in vmcs.hasDisallowedSetting(.pinBased) },
    EntryCheck(
      .executionControlFields, .primaryProcessorBasedControls, "Primary processor-based controls are allowed",
      "every control has a setting that its capability MSR allows"
    ) { vmcs, _ in vmcs.hasDisallowedSetting(.primaryProcessorBased) },
    EntryCheck(
      .executionControlFields, .secondaryProcessorBasedControls,
      "Secondary processor-based controls are allowed",
      "every control has a setting that its capability MSR allows"
    ) { vmcs, _ in
      vmcs.primary.contains(.activateSecondaryControls) && vmcs.hasDisallowedSetting(.secondaryProcessorBased)
    },
    EntryCheck(
      .executionControlFields, .tertiaryProcessorBasedControls,
      "Tertiary processor-based controls are allowed",
      "every control has a setting that its capability MSR allows"
    ) { vmcs, _ in
      vmcs.primary.contains(.activateTertiaryControls) && vmcs.hasDisallowedSetting(.tertiaryProcessorBased)
    },
    EntryCheck(
      .executionControlFields, .cr3TargetCount, "CR3-target count is supported",
      "it is at most the number in IA32_VMX_MISC"
    ) { vmcs, field in vmcs[field] > vmcs.environment.capabilities.miscellaneous.cr3TargetCount },
    EntryCheck(
      .executionControlFields, .ioBitmapA, "I/O-bitmap A address is aligned",
      "bits 11:0 are 0"
    ) { vmcs, field in vmcs.primary.contains(.useIOBitmaps) && vmcs.isUnaligned(field) },
    EntryCheck(
      .executionControlFields, .ioBitmapA, "I/O-bitmap A address is within the physical-address width",
      "no bit beyond the physical-address width is 1"
    ) { vmcs, field in vmcs.primary.contains(.useIOBitmaps) && vmcs.exceedsPhysicalWidth(field) },
    EntryCheck(
      .executionControlFields, .ioBitmapB, "I/O-bitmap B address is aligned",
      "bits 11:0 are 0"
    ) { vmcs, field in vmcs.primary.contains(.useIOBitmaps) && vmcs.isUnaligned(field) },
    EntryCheck(
      .executionControlFields, .ioBitmapB, "I/O-bitmap B address is within the physical-address width",
      "no bit beyond the physical-address width is 1"
    ) { vmcs, field in vmcs.primary.contains(.useIOBitmaps) && vmcs.exceedsPhysicalWidth(field) },
    EntryCheck(
      .executionControlFields, .msrBitmap, "MSR-bitmap address is aligned",
      "bits 11:0 are 0"
    ) { vmcs, field in vmcs.primary.contains(.useMSRBitmaps) && vmcs.isUnaligned(field) },
    EntryCheck(
      .executionControlFields, .msrBitmap, "MSR-bitmap address is within the physical-address width",
      "no bit beyond the physical-address width is 1"
    ) { vmcs, field in vmcs.primary.contains(.useMSRBitmaps) && vmcs.exceedsPhysicalWidth(field) },
    EntryCheck(
      .executionControlFields, .virtualAPICAddress, "Virtual-APIC address is aligned",
      "bits 11:0 are 0"
    ) { vmcs, field in vmcs.primary.contains(.useTPRShadow) && vmcs.isUnaligned(field) },
    EntryCheck(
      .executionControlFields, .virtualAPICAddress,
      "Virtual-APIC address is within the physical-address width",
      "no bit beyond the physical-address width is 1"
    ) { vmcs, field in vmcs.primary.contains(.useTPRShadow) && vmcs.exceedsPhysicalWidth(field) },
    EntryCheck(
      .executionControlFields, .tprThreshold, "TPR threshold is a task priority",
      "bits 31:4 are 0 without virtual-interrupt delivery"
    ) { vmcs, field in
      vmcs.primary.contains(.useTPRShadow) && !vmcs.secondary.contains(.virtualInterruptDelivery)
        && vmcs[field] & ~0xF != 0
    },
    EntryCheck(
      .executionControlFields, .tprThreshold, "TPR threshold is not above the virtual TPR",
      "bits 3:0 are at most bits 7:4 of the virtual TPR",
      memory: .virtualTPR
    ) { vmcs, _ in vmcs.isTPRThresholdAboveVirtualTPR },
    EntryCheck(
      .executionControlFields, .pinBasedControls, "Virtual NMIs need NMI exiting",
      "virtual NMIs is 0 if NMI exiting is 0"
    ) { vmcs, _ in vmcs.pinBased.contains(.virtualNMIs) && !vmcs.pinBased.contains(.nmiExiting) },
    EntryCheck(
      .executionControlFields, .primaryProcessorBasedControls, "NMI-window exiting needs virtual NMIs",
      "NMI-window exiting is 0 if virtual NMIs is 0"
    ) { vmcs, _ in vmcs.primary.contains(.nmiWindowExiting) && !vmcs.pinBased.contains(.virtualNMIs) },
    EntryCheck(
      .executionControlFields, .apicAccessAddress, "APIC-access address is aligned",
      "bits 11:0 are 0"
    ) { vmcs, field in vmcs.secondary.contains(.virtualizeAPICAccesses) && vmcs.isUnaligned(field) },
    EntryCheck(
      .executionControlFields, .apicAccessAddress, "APIC-access address is within the physical-address width",
      "no bit beyond the physical-address width is 1"
    ) { vmcs, field in vmcs.secondary.contains(.virtualizeAPICAccesses) && vmcs.exceedsPhysicalWidth(field) },
    EntryCheck(
      .executionControlFields, .secondaryProcessorBasedControls,
      "Virtualize x2APIC mode needs the TPR shadow",
      "virtualize x2APIC mode is 0 if use TPR shadow is 0"
    ) { vmcs, _ in vmcs.secondary.contains(.virtualizeX2APICMode) && !vmcs.primary.contains(.useTPRShadow) },
    EntryCheck(
      .executionControlFields, .secondaryProcessorBasedControls,
      "APIC-register virtualization needs the TPR shadow",
      "APIC-register virtualization is 0 if use TPR shadow is 0"
    ) { vmcs, _ in
      vmcs.secondary.contains(.apicRegisterVirtualization) && !vmcs.primary.contains(.useTPRShadow)
    },
    EntryCheck(
      .executionControlFields, .secondaryProcessorBasedControls,
      "Virtual-interrupt delivery needs the TPR shadow",
      "virtual-interrupt delivery is 0 if use TPR shadow is 0"
    ) { vmcs, _ in vmcs.secondary.contains(.virtualInterruptDelivery) && !vmcs.primary.contains(.useTPRShadow)
    },
    EntryCheck(
      .executionControlFields, .tertiaryProcessorBasedControls, "IPI virtualization needs the TPR shadow",
      "IPI virtualization is 0 if use TPR shadow is 0"
    ) { vmcs, _ in vmcs.tertiary.contains(.ipiVirtualization) && !vmcs.primary.contains(.useTPRShadow) },
    EntryCheck(
      .executionControlFields, .secondaryProcessorBasedControls,
      "Virtualize x2APIC mode excludes virtualize APIC accesses",
      "the two controls are not both 1"
    ) { vmcs, _ in vmcs.secondary.isSuperset(of: [.virtualizeX2APICMode, .virtualizeAPICAccesses]) },
    EntryCheck(
      .executionControlFields, .pinBasedControls,
      "Virtual-interrupt delivery needs external-interrupt exiting",
      "external-interrupt exiting is 1 if virtual-interrupt delivery is 1"
    ) { vmcs, _ in
      vmcs.secondary.contains(.virtualInterruptDelivery) && !vmcs.pinBased.contains(.externalInterruptExiting)
    },
    EntryCheck(
      .executionControlFields, .pinBasedControls, "Posted interrupts need virtual-interrupt delivery",
      "virtual-interrupt delivery is 1 if process posted interrupts is 1"
    ) { vmcs, _ in
      vmcs.pinBased.contains(.processPostedInterrupts) && !vmcs.secondary.contains(.virtualInterruptDelivery)
    },
    EntryCheck(
      .executionControlFields, .exitControls, "Posted interrupts need acknowledgement on exit",
      "acknowledge interrupt on exit is 1 if process posted interrupts is 1"
    ) { vmcs, _ in
      vmcs.pinBased.contains(.processPostedInterrupts) && !vmcs.exit.contains(.acknowledgeInterruptOnExit)
    },
    EntryCheck(
      .executionControlFields, .postedInterruptNotificationVector,
      "Posted-interrupt notification vector is a vector",
      "bits 15:8 are 0"
    ) { vmcs, field in vmcs.pinBased.contains(.processPostedInterrupts) && vmcs[field] & 0xFF00 != 0 },
    EntryCheck(
      .executionControlFields, .postedInterruptDescriptorAddress,
      "Posted-interrupt descriptor address is aligned",
      "bits 5:0 are 0"
    ) { vmcs, field in vmcs.pinBased.contains(.processPostedInterrupts) && vmcs[field] & 0x3F != 0 },
    EntryCheck(
      .executionControlFields, .postedInterruptDescriptorAddress,
      "Posted-interrupt descriptor address is within the physical-address width",
      "no bit beyond the physical-address width is 1"
    ) { vmcs, field in vmcs.pinBased.contains(.processPostedInterrupts) && vmcs.exceedsPhysicalWidth(field) },
    EntryCheck(
      .executionControlFields, .vpid, "VPID is not that of VMX root operation",
      "it is not 0 if enable VPID is 1"
    ) { vmcs, field in vmcs.secondary.contains(.enableVPID) && vmcs[field] == 0 },
    EntryCheck(
      .executionControlFields, .eptPointer, "EPT memory type is supported",
      "bits 2:0 are 0 or 6, as IA32_VMX_EPT_VPID_CAP allows"
    ) { vmcs, _ in vmcs.secondary.contains(.enableEPT) && !vmcs.isEPTMemoryTypeSupported },
    EntryCheck(
      .executionControlFields, .eptPointer, "EPT page-walk length is supported",
      "bits 5:3 are 1 less than a page-walk length of IA32_VMX_EPT_VPID_CAP"
    ) { vmcs, _ in vmcs.secondary.contains(.enableEPT) && !vmcs.isEPTWalkLengthSupported },
    EntryCheck(
      .executionControlFields, .eptPointer, "EPT accessed and dirty flags are supported",
      "bit 6 is 0 unless IA32_VMX_EPT_VPID_CAP has accessed and dirty flags"
    ) { vmcs, field in
      vmcs.secondary.contains(.enableEPT) && EPTPointer(rawValue: vmcs[field]).enablesAccessedAndDirty
        && !vmcs.environment.capabilities.eptAndVPID.contains(.accessedAndDirtyFlags)
    },
    EntryCheck(
      .executionControlFields, .eptPointer, "EPT supervisor shadow-stack control is supported",
      "bit 7 is 0 unless IA32_VMX_EPT_VPID_CAP has supervisor shadow stacks"
    ) { vmcs, field in
      vmcs.secondary.contains(.enableEPT) && EPTPointer(rawValue: vmcs[field]).enforcesSupervisorShadowStack
        && !vmcs.environment.capabilities.eptAndVPID.contains(.supervisorShadowStack)
    },
    EntryCheck(
      .executionControlFields, .eptPointer, "EPT pointer has no reserved bits",
      "bits 11:8 and those beyond the physical-address width are 0"
    ) { vmcs, field in
      vmcs.secondary.contains(.enableEPT)
        && (vmcs[field] & 0xF00 != 0
          || vmcs[field] & AddressForm.bitsBeyond(physicalWidth: vmcs.environment.physicalWidth) != 0)
    },
    EntryCheck(
      .executionControlFields, .secondaryProcessorBasedControls, "Page-modification logging needs EPT",
      "page-modification logging is 0 if enable EPT is 0"
    ) { vmcs, _ in vmcs.secondary.contains(.enablePML) && !vmcs.secondary.contains(.enableEPT) },
    EntryCheck(
      .executionControlFields, .pmlAddress, "PML address is aligned",
      "bits 11:0 are 0"
    ) { vmcs, field in vmcs.secondary.contains(.enablePML) && vmcs.isUnaligned(field) },
    EntryCheck(
      .executionControlFields, .pmlAddress, "PML address is within the physical-address width",
      "no bit beyond the physical-address width is 1"
    ) { vmcs, field in vmcs.secondary.contains(.enablePML) && vmcs.exceedsPhysicalWidth(field) },
    EntryCheck(
      .executionControlFields, .secondaryProcessorBasedControls, "Unrestricted guest needs EPT",
      "unrestricted guest is 0 if enable EPT is 0"
    ) { vmcs, _ in vmcs.secondary.contains(.unrestrictedGuest) && !vmcs.secondary.contains(.enableEPT) },
    EntryCheck(
      .executionControlFields, .secondaryProcessorBasedControls, "Mode-based execute control needs EPT",
      "mode-based execute control is 0 if enable EPT is 0"
    ) { vmcs, _ in
      vmcs.secondary.contains(.modeBasedExecuteControlForEPT) && !vmcs.secondary.contains(.enableEPT)
    },
    EntryCheck(
      .executionControlFields, .secondaryProcessorBasedControls, "Sub-page write permissions needs EPT",
      "sub-page write permissions is 0 if enable EPT is 0"
    ) { vmcs, _ in
      vmcs.secondary.contains(.subPageWritePermissionsForEPT) && !vmcs.secondary.contains(.enableEPT)
    },
    EntryCheck(
      .executionControlFields, .subPagePermissionTablePointer, "Sub-page-permission-table pointer is aligned",
      "bits 11:0 are 0"
    ) { vmcs, field in vmcs.secondary.contains(.subPageWritePermissionsForEPT) && vmcs.isUnaligned(field) },
    EntryCheck(
      .executionControlFields, .subPagePermissionTablePointer,
      "Sub-page-permission-table pointer is within the physical-address width",
      "no bit beyond the physical-address width is 1"
    ) { vmcs, field in
      vmcs.secondary.contains(.subPageWritePermissionsForEPT) && vmcs.exceedsPhysicalWidth(field)
    },
    EntryCheck(
      .executionControlFields, .vmFunctionControls, "VM-function controls are allowed",
      "every control has a setting that IA32_VMX_VMFUNC allows"
    ) { vmcs, _ in vmcs.secondary.contains(.enableVMFunctions) && vmcs.hasDisallowedSetting(.vmFunction) },
    EntryCheck(
      .executionControlFields, .vmFunctionControls, "EPTP switching needs EPT",
      "EPTP switching is 0 if enable EPT is 0"
    ) { vmcs, _ in
      vmcs.secondary.contains(.enableVMFunctions) && vmcs.vmFunctions.contains(.eptpSwitching)
        && !vmcs.secondary.contains(.enableEPT)
    },
    EntryCheck(
      .executionControlFields, .eptpListAddress, "EPTP-list address is aligned",
      "bits 11:0 are 0"
    ) { vmcs, field in
      vmcs.secondary.contains(.enableVMFunctions) && vmcs.vmFunctions.contains(.eptpSwitching)
        && vmcs.isUnaligned(field)
    },
    EntryCheck(
      .executionControlFields, .eptpListAddress, "EPTP-list address is within the physical-address width",
      "no bit beyond the physical-address width is 1"
    ) { vmcs, field in
      vmcs.secondary.contains(.enableVMFunctions) && vmcs.vmFunctions.contains(.eptpSwitching)
        && vmcs.exceedsPhysicalWidth(field)
    },
    EntryCheck(
      .executionControlFields, .vmreadBitmap, "VMREAD-bitmap address is aligned",
      "bits 11:0 are 0"
    ) { vmcs, field in vmcs.secondary.contains(.vmcsShadowing) && vmcs.isUnaligned(field) },
    EntryCheck(
      .executionControlFields, .vmreadBitmap, "VMREAD-bitmap address is within the physical-address width",
      "no bit beyond the physical-address width is 1"
    ) { vmcs, field in vmcs.secondary.contains(.vmcsShadowing) && vmcs.exceedsPhysicalWidth(field) },
    EntryCheck(
      .executionControlFields, .vmwriteBitmap, "VMWRITE-bitmap address is aligned",
      "bits 11:0 are 0"
    ) { vmcs, field in vmcs.secondary.contains(.vmcsShadowing) && vmcs.isUnaligned(field) },
    EntryCheck(
      .executionControlFields, .vmwriteBitmap, "VMWRITE-bitmap address is within the physical-address width",
      "no bit beyond the physical-address width is 1"
    ) { vmcs, field in vmcs.secondary.contains(.vmcsShadowing) && vmcs.exceedsPhysicalWidth(field) },
    EntryCheck(
      .executionControlFields, .virtualizationExceptionInformationAddress,
      "Virtualization-exception information address is aligned",
      "bits 11:0 are 0"
    ) { vmcs, field in vmcs.secondary.contains(.eptViolationVE) && vmcs.isUnaligned(field) },
    EntryCheck(
      .executionControlFields, .virtualizationExceptionInformationAddress,
      "Virtualization-exception information address is within the physical-address width",
      "no bit beyond the physical-address width is 1"
    ) { vmcs, field in vmcs.secondary.contains(.eptViolationVE) && vmcs.exceedsPhysicalWidth(field) },
    EntryCheck(
      .executionControlFields, .secondaryProcessorBasedControls,
      "Intel PT with guest-physical addresses needs EPT",
      "intel PT with guest-physical addresses is 0 if enable EPT is 0"
    ) { vmcs, _ in
      vmcs.secondary.contains(.ptUsesGuestPhysicalAddresses) && !vmcs.secondary.contains(.enableEPT)
    },
    EntryCheck(
      .executionControlFields, .entryControls,
      "Intel PT with guest-physical addresses needs its control register loaded",
      "load IA32_RTIT_CTL is 1 if Intel PT uses guest physical addresses"
    ) { vmcs, _ in
      vmcs.secondary.contains(.ptUsesGuestPhysicalAddresses) && !vmcs.entry.contains(.loadRTITCtl)
    },
    EntryCheck(
      .executionControlFields, .exitControls,
      "Intel PT with guest-physical addresses needs its control register cleared",
      "clear IA32_RTIT_CTL is 1 if Intel PT uses guest physical addresses"
    ) { vmcs, _ in
      vmcs.secondary.contains(.ptUsesGuestPhysicalAddresses) && !vmcs.exit.contains(.clearRTITCtl)
    },
    EntryCheck(
      .executionControlFields, .tscMultiplier, "TSC multiplier is not zero",
      "it is not 0 if use TSC scaling is 1"
    ) { vmcs, field in vmcs.secondary.contains(.useTSCScaling) && vmcs[field] == 0 },
    EntryCheck(
      .executionControlFields, .lowPASIDDirectoryAddress, "Low PASID directory address is aligned",
      "bits 11:0 are 0"
    ) { vmcs, field in vmcs.secondary.contains(.pasidTranslation) && vmcs.isUnaligned(field) },
    EntryCheck(
      .executionControlFields, .lowPASIDDirectoryAddress,
      "Low PASID directory address is within the physical-address width",
      "no bit beyond the physical-address width is 1"
    ) { vmcs, field in vmcs.secondary.contains(.pasidTranslation) && vmcs.exceedsPhysicalWidth(field) },
    EntryCheck(
      .executionControlFields, .highPASIDDirectoryAddress, "High PASID directory address is aligned",
      "bits 11:0 are 0"
    ) { vmcs, field in vmcs.secondary.contains(.pasidTranslation) && vmcs.isUnaligned(field) },
    EntryCheck(
      .executionControlFields, .highPASIDDirectoryAddress,
      "High PASID directory address is within the physical-address width",
      "no bit beyond the physical-address width is 1"
    ) { vmcs, field in vmcs.secondary.contains(.pasidTranslation) && vmcs.exceedsPhysicalWidth(field) },
    EntryCheck(
      .executionControlFields, .tertiaryProcessorBasedControls, "HLAT needs EPT",
      "HLAT is 0 if enable EPT is 0"
    ) { vmcs, _ in vmcs.tertiary.contains(.enableHLAT) && !vmcs.secondary.contains(.enableEPT) },
    EntryCheck(
      .executionControlFields, .hlatPointer, "HLAT pointer has no reserved bits",
      "bits 2:0 and 11:5 and those beyond the physical-address width are 0"
    ) { vmcs, field in
      vmcs.tertiary.contains(.enableHLAT) && (vmcs[field] & 0xFE7 != 0 || vmcs.exceedsPhysicalWidth(field))
    },
    EntryCheck(
      .executionControlFields, .tertiaryProcessorBasedControls, "EPT paging-write control needs EPT",
      "EPT paging-write control is 0 if enable EPT is 0"
    ) { vmcs, _ in vmcs.tertiary.contains(.eptPagingWriteControl) && !vmcs.secondary.contains(.enableEPT) },
    EntryCheck(
      .executionControlFields, .tertiaryProcessorBasedControls, "Guest-paging verification needs EPT",
      "guest-paging verification is 0 if enable EPT is 0"
    ) { vmcs, _ in vmcs.tertiary.contains(.guestPagingVerification) && !vmcs.secondary.contains(.enableEPT) },
    EntryCheck(
      .executionControlFields, .pidPointerTableAddress, "PID-pointer table address is aligned",
      "bits 2:0 are 0"
    ) { vmcs, field in vmcs.tertiary.contains(.ipiVirtualization) && vmcs[field] & 7 != 0 },
    EntryCheck(
      .executionControlFields, .pidPointerTableAddress,
      "PID-pointer table is within the physical-address width",
      "no byte of the table lies beyond the physical-address width"
    ) { vmcs, _ in vmcs.tertiary.contains(.ipiVirtualization) && vmcs.isPIDPointerTableBeyondWidth },
  ]
}
