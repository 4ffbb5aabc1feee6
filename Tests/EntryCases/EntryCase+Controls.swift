import VMX

extension EntryCase {
  static let executionControls: [EntryCase] =
    [
      bits("Pin-based controls are allowed", .pinBasedControls, 1 << 8),
      EntryCase("Primary processor-based controls are allowed") {
        $0.vmcs[.primaryProcessorBasedControls] &= ~2
      },
      bits("Secondary processor-based controls are allowed", .secondaryProcessorBasedControls, 1 << 29),
      bits("Tertiary processor-based controls are allowed", .tertiaryProcessorBasedControls, 1 << 5),
      EntryCase("CR3-target count is supported") { $0.vmcs[.cr3TargetCount] = 5 },
    ]
    + page("I/O-bitmap A address", .ioBitmapA) + page("I/O-bitmap B address", .ioBitmapB)
    + page("MSR-bitmap address", .msrBitmap) + page("Virtual-APIC address", .virtualAPICAddress)
    + page("APIC-access address", .apicAccessAddress) + page("PML address", .pmlAddress)
    + page("Sub-page-permission-table pointer", .subPagePermissionTablePointer)
    + page("EPTP-list address", .eptpListAddress) + page("VMREAD-bitmap address", .vmreadBitmap)
    + page("VMWRITE-bitmap address", .vmwriteBitmap)
    + page("Virtualization-exception information address", .virtualizationExceptionInformationAddress)
    + page("Low PASID directory address", .lowPASIDDirectoryAddress)
    + page("High PASID directory address", .highPASIDDirectoryAddress) + eventControls + eptControls

  private static let eventControls: [EntryCase] = [
    bits("TPR threshold is a task priority", .tprThreshold, 0x10, prepare: { $0.needTPRShadowForNothing() }),
    EntryCase("TPR threshold is not above the virtual TPR", prepare: { $0.needTPRShadowForNothing() }) {
      $0.vmcs[.tprThreshold] = 5
    },
    EntryCase("Virtual NMIs need NMI exiting") { $0.vmcs.pinBasedControls.remove(.nmiExiting) },
    EntryCase(
      "NMI-window exiting needs virtual NMIs",
      prepare: { $0.vmcs.primaryProcessorBasedControls.insert(.nmiWindowExiting) },
      { $0.vmcs.pinBasedControls.remove(.virtualNMIs) }),
    withoutTPRShadow("Virtualize x2APIC mode") { $0.insert(.virtualizeX2APICMode) },
    withoutTPRShadow("APIC-register virtualization") { $0.insert(.apicRegisterVirtualization) },
    withoutTPRShadow("Virtual-interrupt delivery") { $0.insert(.virtualInterruptDelivery) },
    EntryCase(
      "IPI virtualization needs the TPR shadow",
      prepare: {
        $0.needTPRShadowForNothing()
        $0.vmcs.tertiaryProcessorBasedControls.insert(.ipiVirtualization)
      },
      { $0.vmcs.primaryProcessorBasedControls.remove(.useTPRShadow) }),
    EntryCase("Virtualize x2APIC mode excludes virtualize APIC accesses") {
      $0.vmcs.secondaryProcessorBasedControls.insert(.virtualizeX2APICMode)
    },
    EntryCase("Virtual-interrupt delivery needs external-interrupt exiting") {
      $0.vmcs.pinBasedControls.remove(.externalInterruptExiting)
    },
    EntryCase("Posted interrupts need virtual-interrupt delivery") {
      $0.vmcs.secondaryProcessorBasedControls.remove(.virtualInterruptDelivery)
    },
    EntryCase("Posted interrupts need acknowledgement on exit") {
      $0.vmcs.exitControls.remove(.acknowledgeInterruptOnExit)
    },
    bits("Posted-interrupt notification vector is a vector", .postedInterruptNotificationVector, 0x100),
    bits("Posted-interrupt descriptor address is aligned", .postedInterruptDescriptorAddress, 0x20),
    bits(
      "Posted-interrupt descriptor address is within the physical-address width",
      .postedInterruptDescriptorAddress, 1 << 46),
    EntryCase("VPID is not that of VMX root operation") { $0.vmcs[.vpid] = 0 },
    EntryCase("TSC multiplier is not zero") { $0.vmcs[.tscMultiplier] = 0 },
    bits("PID-pointer table address is aligned", .pidPointerTableAddress, 4),
    EntryCase("PID-pointer table is within the physical-address width") {
      $0.vmcs[.pidPointerTableAddress] = 0x3FFF_FFFF_FFF8
      $0.vmcs[.lastPIDPointerIndex] = 1
    },
  ]

  private static let eptControls: [EntryCase] = [
    EntryCase("EPT memory type is supported") {
      // Write-combining, which no processor has.
      $0.vmcs[.eptPointer] = $0.vmcs[.eptPointer] & ~7 | 1
    },
    EntryCase("EPT page-walk length is supported") {
      $0.vmcs[.eptPointer] = EPTPointer(root: 0x1000, walkLength: 5).rawValue
    },
    bits("EPT accessed and dirty flags are supported", .eptPointer, 1 << 6),
    bits("EPT supervisor shadow-stack control is supported", .eptPointer, 1 << 7),
    bits("EPT pointer has no reserved bits", .eptPointer, 1 << 8),
    withoutEPT("Page-modification logging") { $0.insert(.enablePML) },
    withoutEPT("Unrestricted guest") { $0.insert(.unrestrictedGuest) },
    withoutEPT("Mode-based execute control") { $0.insert(.modeBasedExecuteControlForEPT) },
    withoutEPT("Sub-page write permissions") { $0.insert(.subPageWritePermissionsForEPT) },
    EntryCase(
      "EPTP switching needs EPT",
      prepare: {
        $0.needEPTForNothing()
        $0.vmcs.vmFunctionControls = .eptpSwitching
      },
      { $0.vmcs.secondaryProcessorBasedControls.remove(.enableEPT) }),
    EntryCase(
      "Intel PT with guest-physical addresses needs EPT",
      prepare: {
        $0.needEPTForNothing()
        $0.usePTWithGuestPhysicalAddresses()
      },
      { $0.vmcs.secondaryProcessorBasedControls.remove(.enableEPT) }),
    EntryCase(
      "Intel PT with guest-physical addresses needs its control register loaded",
      prepare: { $0.usePTWithGuestPhysicalAddresses() },
      { $0.vmcs.entryControls.remove(.loadRTITCtl) }),
    EntryCase(
      "Intel PT with guest-physical addresses needs its control register cleared",
      prepare: { $0.usePTWithGuestPhysicalAddresses() },
      { $0.vmcs.exitControls.remove(.clearRTITCtl) }),
    withoutEPT("HLAT", tertiary: .enableHLAT),
    withoutEPT("EPT paging-write control", tertiary: .eptPagingWriteControl),
    withoutEPT("Guest-paging verification", tertiary: .guestPagingVerification),
    bits("HLAT pointer has no reserved bits", .hlatPointer, 1 << 5),
    bits("VM-function controls are allowed", .vmFunctionControls, 2),
  ]

  private static func withoutTPRShadow(
    _ what: String, _ insert: @escaping @Sendable (inout SecondaryProcessorBasedControls) -> Void
  ) -> EntryCase {
    EntryCase(
      "\(what) needs the TPR shadow",
      prepare: {
        $0.needTPRShadowForNothing()
        insert(&$0.vmcs.secondaryProcessorBasedControls)
      },
      { $0.vmcs.primaryProcessorBasedControls.remove(.useTPRShadow) })
  }

  private static func withoutEPT(
    _ what: String, tertiary: TertiaryProcessorBasedControls = [],
    _ insert: @escaping @Sendable (inout SecondaryProcessorBasedControls) -> Void = { _ in }
  ) -> EntryCase {
    EntryCase(
      "\(what) needs EPT",
      prepare: {
        $0.needEPTForNothing()
        insert(&$0.vmcs.secondaryProcessorBasedControls)
        $0.vmcs.tertiaryProcessorBasedControls.formUnion(tertiary)
      },
      { $0.vmcs.secondaryProcessorBasedControls.remove(.enableEPT) })
  }

  static let exitAndEntryControls: [EntryCase] =
    [
      EntryCase("Primary VM-exit controls are allowed") { $0.vmcs[.exitControls] &= ~1 },
      bits("Secondary VM-exit controls are allowed", .secondaryExitControls, 1 << 4),
      EntryCase("Saving the VMX-preemption timer needs the timer") {
        $0.vmcs.pinBasedControls.remove(.activatePreemptionTimer)
      },
      EntryCase("VM-entry controls are allowed") { $0.vmcs[.entryControls] &= ~1 },
      EntryCase(
        "SMM is entered from SMM alone", also: ["Blocking by SMI is of SMM"], prepare: { $0.enterSMM() },
        { $0.environment.isInSMM = false }),
    ]
    + area("VM-exit MSR-store area", .exitMSRStoreAddress)
    + area("VM-exit MSR-load area", .exitMSRLoadAddress)
    + area("VM-entry MSR-load area", .entryMSRLoadAddress) + events

  private static func area(_ what: String, _ field: VMCSField) -> [EntryCase] {
    [
      bits("\(what) address is aligned", field, 8),
      bits("\(what) begins within the physical-address width", field, 1 << 46),
      EntryCase("\(what) ends within the physical-address width") { $0.vmcs[field] = 0x3FFF_FFFF_FFF0 },
    ]
  }

  private static let events: [EntryCase] = [
    EntryCase("Interruption type is supported") { $0.inject(0x8000_0100) },
    EntryCase("Vector agrees with the interruption type") { $0.inject(0x8000_0203) },
    EntryCase("Error code is delivered only for a hardware exception in protected mode") {
      $0.inject(0x8000_0820)
    },
    EntryCase("Error code is delivered for just the exceptions that have one") { $0.inject(0x8000_030E) },
    EntryCase("Interruption information has no reserved bits") { $0.inject(0x8000_1202) },
    bits(
      "Error code has 16 bits", .entryExceptionErrorCode, 0x1_0000, prepare: { $0.inject(0x8000_0B0E) }),
    EntryCase("Instruction length is possible", prepare: { $0.inject(0x8000_0480) }) {
      $0.vmcs[.entryInstructionLength] = 16
    },
    EntryCase("Dual-monitor treatment is deactivated in SMM alone") {
      $0.vmcs.entryControls.insert(.deactivateDualMonitorTreatment)
    },
    EntryCase("Entry to SMM does not deactivate dual-monitor treatment", prepare: { $0.enterSMM() }) {
      $0.vmcs.entryControls.insert(.deactivateDualMonitorTreatment)
    },
  ]
}

extension EntryMachine {
  func usePTWithGuestPhysicalAddresses() {
    vmcs.secondaryProcessorBasedControls.insert(.ptUsesGuestPhysicalAddresses)
    vmcs.entryControls.insert(.loadRTITCtl)
    vmcs.exitControls.insert(.clearRTITCtl)
  }
}
