import VMX
import X86

extension EntryCheck {
  /// The checks on the VM-exit and VM-entry control fields.
  ///
  /// Source: SDM volume 3, "VM-Exit Control Fields" and "VM-Entry Control Fields" under "Checks on VMX Controls".
  public static let exitAndEntryControls: InlineArray<23, EntryCheck> = [
    EntryCheck(
      .exitControlFields, .exitControls, "Primary VM-exit controls are allowed",
      "every control has a setting that its capability MSR allows"
    ) { vmcs, _ in vmcs.hasDisallowedSetting(.exit) },
    EntryCheck(
      .exitControlFields, .secondaryExitControls, "Secondary VM-exit controls are allowed",
      "every control has a setting that its capability MSR allows"
    ) { vmcs, _ in vmcs.exit.contains(.activateSecondaryControls) && vmcs.hasDisallowedSetting(.secondaryExit)
    },
    EntryCheck(
      .exitControlFields, .exitControls, "Saving the VMX-preemption timer needs the timer",
      "save VMX-preemption timer value is 0 if activate VMX-preemption timer is 0"
    ) { vmcs, _ in
      vmcs.exit.contains(.savePreemptionTimerValue) && !vmcs.pinBased.contains(.activatePreemptionTimer)
    },
    EntryCheck(
      .exitControlFields, .exitMSRStoreAddress, "VM-exit MSR-store area address is aligned",
      "bits 3:0 are 0"
    ) { vmcs, field in vmcs[.exitMSRStoreCount] != 0 && vmcs[field] & 0xF != 0 },
    EntryCheck(
      .exitControlFields, .exitMSRStoreAddress,
      "VM-exit MSR-store area begins within the physical-address width",
      "no bit beyond the physical-address width is 1"
    ) { vmcs, field in vmcs[.exitMSRStoreCount] != 0 && vmcs.exceedsPhysicalWidth(field) },
    EntryCheck(
      .exitControlFields, .exitMSRStoreAddress,
      "VM-exit MSR-store area ends within the physical-address width",
      "the address of the last byte has no bit beyond the physical-address width"
    ) { vmcs, field in vmcs.areaExceedsPhysicalWidth(field, count: .exitMSRStoreCount) },
    EntryCheck(
      .exitControlFields, .exitMSRLoadAddress, "VM-exit MSR-load area address is aligned",
      "bits 3:0 are 0"
    ) { vmcs, field in vmcs[.exitMSRLoadCount] != 0 && vmcs[field] & 0xF != 0 },
    EntryCheck(
      .exitControlFields, .exitMSRLoadAddress,
      "VM-exit MSR-load area begins within the physical-address width",
      "no bit beyond the physical-address width is 1"
    ) { vmcs, field in vmcs[.exitMSRLoadCount] != 0 && vmcs.exceedsPhysicalWidth(field) },
    EntryCheck(
      .exitControlFields, .exitMSRLoadAddress, "VM-exit MSR-load area ends within the physical-address width",
      "the address of the last byte has no bit beyond the physical-address width"
    ) { vmcs, field in vmcs.areaExceedsPhysicalWidth(field, count: .exitMSRLoadCount) },
    EntryCheck(
      .entryControlFields, .entryControls, "VM-entry controls are allowed",
      "every control has a setting that its capability MSR allows"
    ) { vmcs, _ in vmcs.hasDisallowedSetting(.entry) },
    EntryCheck(
      .entryControlFields, .entryInterruptionInformation, "Interruption type is supported",
      "bits 10:8 are not 1, and not 7 unless the monitor trap flag is supported"
    ) { vmcs, _ in vmcs.event.isValid && vmcs.isEventKindUnsupported },
    EntryCheck(
      .entryControlFields, .entryInterruptionInformation, "Vector agrees with the interruption type",
      "the vector is 2 for an NMI, at most 31 for a hardware exception, and 0 for another event"
    ) { vmcs, _ in vmcs.event.isValid && vmcs.isVectorInconsistent },
    EntryCheck(
      .entryControlFields, .entryInterruptionInformation,
      "Error code is delivered only for a hardware exception in protected mode",
      "bit 11 is 0 if the type is not hardware exception or an unrestricted guest has CR0.PE = 0"
    ) { vmcs, _ in vmcs.event.isValid && vmcs.event.hasErrorCode && !vmcs.mayDeliverErrorCode },
    EntryCheck(
      .entryControlFields, .entryInterruptionInformation,
      "Error code is delivered for just the exceptions that have one",
      "bit 11 is 1 for the vectors 8, 10 to 14 and 17, else 0"
    ) { vmcs, _ in vmcs.event.isValid && vmcs.isErrorCodeInconsistent },
    EntryCheck(
      .entryControlFields, .entryInterruptionInformation, "Interruption information has no reserved bits",
      "bits 30:12 are 0"
    ) { vmcs, _ in vmcs.event.isValid && vmcs.hasReservedEventBits },
    EntryCheck(
      .entryControlFields, .entryExceptionErrorCode, "Error code has 16 bits",
      "bits 31:16 are 0"
    ) { vmcs, field in vmcs.event.isValid && vmcs.event.hasErrorCode && vmcs[field] & 0xFFFF_0000 != 0 },
    EntryCheck(
      .entryControlFields, .entryInstructionLength, "Instruction length is possible",
      "it is 1 to 15 for a software event, or 0 if IA32_VMX_MISC allows that"
    ) { vmcs, field in
      vmcs.event.isValid && vmcs.event.usesInstructionLength && vmcs.isInstructionLengthInvalid(field)
    },
    EntryCheck(
      .entryControlFields, .entryMSRLoadAddress, "VM-entry MSR-load area address is aligned",
      "bits 3:0 are 0"
    ) { vmcs, field in vmcs[.entryMSRLoadCount] != 0 && vmcs[field] & 0xF != 0 },
    EntryCheck(
      .entryControlFields, .entryMSRLoadAddress,
      "VM-entry MSR-load area begins within the physical-address width",
      "no bit beyond the physical-address width is 1"
    ) { vmcs, field in vmcs[.entryMSRLoadCount] != 0 && vmcs.exceedsPhysicalWidth(field) },
    EntryCheck(
      .entryControlFields, .entryMSRLoadAddress,
      "VM-entry MSR-load area ends within the physical-address width",
      "the address of the last byte has no bit beyond the physical-address width"
    ) { vmcs, field in vmcs.areaExceedsPhysicalWidth(field, count: .entryMSRLoadCount) },
    EntryCheck(
      .entryControlFields, .entryControls, "SMM is entered from SMM alone",
      "entry to SMM is 0 outside SMM"
    ) { vmcs, _ in vmcs.entry.contains(.entryToSMM) && !vmcs.environment.isInSMM },
    EntryCheck(
      .entryControlFields, .entryControls, "Dual-monitor treatment is deactivated in SMM alone",
      "deactivate dual-monitor treatment is 0 outside SMM"
    ) { vmcs, _ in vmcs.entry.contains(.deactivateDualMonitorTreatment) && !vmcs.environment.isInSMM },
    EntryCheck(
      .entryControlFields, .entryControls, "Entry to SMM does not deactivate dual-monitor treatment",
      "the two controls are not both 1"
    ) { vmcs, _ in vmcs.entry.isSuperset(of: [.entryToSMM, .deactivateDualMonitorTreatment]) },
  ]
}
