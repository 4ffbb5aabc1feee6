import VMX

/// The fields that L1 may access in the shadow VMCS: those that a hypervisor touches at an exit.
///
/// Every field here is copied at each exit that is reflected to L1, and the writable ones at each VM entry too, so
/// that only what is used often is worth it.
///
/// Source: SDM volume 3, "VMCS Shadowing".
public enum ShadowedFields {
  /// The fields that only VMREAD reaches: the exit information, and guest state that a hypervisor reads but rarely
  /// writes. Their VMWRITEs exit.
  public static let readable: InlineArray<14, VMCSField> = [
    .exitReason, .exitQualification, .exitInstructionLength, .exitInstructionInformation,
    .exitInterruptionInformation, .exitInterruptionErrorCode, .idtVectoringInformation,
    .idtVectoringErrorCode, .guestLinearAddress, .guestPhysicalAddress, .vmInstructionError,
    .guestCSAccessRights, .guestSSAccessRights, .guestCSSelector,
  ]

  /// The fields that both VMREAD and VMWRITE reach.
  public static let writable: InlineArray<18, VMCSField> = [
    .guestRIP, .guestRSP, .guestRFLAGS, .guestInterruptibilityState, .guestActivityState,
    .guestPendingDebugExceptions, .entryInterruptionInformation, .entryExceptionErrorCode,
    .entryInstructionLength, .primaryProcessorBasedControls, .exceptionBitmap, .guestCR0, .guestCR3,
    .guestCR4, .cr0ReadShadow, .cr4ReadShadow, .preemptionTimerValue, .tprThreshold,
  ]
}
