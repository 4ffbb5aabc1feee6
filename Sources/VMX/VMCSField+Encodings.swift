// SDM volume 3, appendix "Field Encoding in VMCS": one constant per field, one heading per table of it.

// MARK: 16-Bit Control Fields

extension VMCSField {
  @inlinable public static var vpid: Self { Self(encoding: 0x0000) }
  @inlinable public static var postedInterruptNotificationVector: Self { Self(encoding: 0x0002) }
  @inlinable public static var eptpIndex: Self { Self(encoding: 0x0004) }
  @inlinable public static var hlatPrefixSize: Self { Self(encoding: 0x0006) }
  @inlinable public static var lastPIDPointerIndex: Self { Self(encoding: 0x0008) }
  @inlinable public static var virtualTimerVector: Self { Self(encoding: 0x000A) }
}

// MARK: 16-Bit Guest-State Fields

extension VMCSField {
  @inlinable public static var guestESSelector: Self { Self(encoding: 0x0800) }
  @inlinable public static var guestCSSelector: Self { Self(encoding: 0x0802) }
  @inlinable public static var guestSSSelector: Self { Self(encoding: 0x0804) }
  @inlinable public static var guestDSSelector: Self { Self(encoding: 0x0806) }
  @inlinable public static var guestFSSelector: Self { Self(encoding: 0x0808) }
  @inlinable public static var guestGSSelector: Self { Self(encoding: 0x080A) }
  @inlinable public static var guestLDTRSelector: Self { Self(encoding: 0x080C) }
  @inlinable public static var guestTRSelector: Self { Self(encoding: 0x080E) }
  @inlinable public static var guestInterruptStatus: Self { Self(encoding: 0x0810) }
  @inlinable public static var guestPMLIndex: Self { Self(encoding: 0x0812) }
  @inlinable public static var guestUINV: Self { Self(encoding: 0x0814) }
}

// MARK: 16-Bit Host-State Fields

extension VMCSField {
  @inlinable public static var hostESSelector: Self { Self(encoding: 0x0C00) }
  @inlinable public static var hostCSSelector: Self { Self(encoding: 0x0C02) }
  @inlinable public static var hostSSSelector: Self { Self(encoding: 0x0C04) }
  @inlinable public static var hostDSSelector: Self { Self(encoding: 0x0C06) }
  @inlinable public static var hostFSSelector: Self { Self(encoding: 0x0C08) }
  @inlinable public static var hostGSSelector: Self { Self(encoding: 0x0C0A) }
  @inlinable public static var hostTRSelector: Self { Self(encoding: 0x0C0C) }
}

// MARK: 64-Bit Control Fields

extension VMCSField {
  @inlinable public static var ioBitmapA: Self { Self(encoding: 0x2000) }
  @inlinable public static var ioBitmapB: Self { Self(encoding: 0x2002) }
  @inlinable public static var msrBitmap: Self { Self(encoding: 0x2004) }
  @inlinable public static var exitMSRStoreAddress: Self { Self(encoding: 0x2006) }
  @inlinable public static var exitMSRLoadAddress: Self { Self(encoding: 0x2008) }
  @inlinable public static var entryMSRLoadAddress: Self { Self(encoding: 0x200A) }
  @inlinable public static var executiveVMCSPointer: Self { Self(encoding: 0x200C) }
  @inlinable public static var pmlAddress: Self { Self(encoding: 0x200E) }
  @inlinable public static var tscOffset: Self { Self(encoding: 0x2010) }
  @inlinable public static var virtualAPICAddress: Self { Self(encoding: 0x2012) }
  @inlinable public static var apicAccessAddress: Self { Self(encoding: 0x2014) }
  @inlinable public static var postedInterruptDescriptorAddress: Self { Self(encoding: 0x2016) }
  @inlinable public static var vmFunctionControls: Self { Self(encoding: 0x2018) }
  @inlinable public static var eptPointer: Self { Self(encoding: 0x201A) }
  @inlinable public static var eoiExitBitmap0: Self { Self(encoding: 0x201C) }
  @inlinable public static var eoiExitBitmap1: Self { Self(encoding: 0x201E) }
  @inlinable public static var eoiExitBitmap2: Self { Self(encoding: 0x2020) }
  @inlinable public static var eoiExitBitmap3: Self { Self(encoding: 0x2022) }
  @inlinable public static var eptpListAddress: Self { Self(encoding: 0x2024) }
  @inlinable public static var vmreadBitmap: Self { Self(encoding: 0x2026) }
  @inlinable public static var vmwriteBitmap: Self { Self(encoding: 0x2028) }
  @inlinable public static var virtualizationExceptionInformationAddress: Self { Self(encoding: 0x202A) }
  @inlinable public static var xssExitingBitmap: Self { Self(encoding: 0x202C) }
  @inlinable public static var enclsExitingBitmap: Self { Self(encoding: 0x202E) }
  @inlinable public static var subPagePermissionTablePointer: Self { Self(encoding: 0x2030) }
  @inlinable public static var tscMultiplier: Self { Self(encoding: 0x2032) }
  @inlinable public static var tertiaryProcessorBasedControls: Self { Self(encoding: 0x2034) }
  @inlinable public static var enclvExitingBitmap: Self { Self(encoding: 0x2036) }
  @inlinable public static var lowPASIDDirectoryAddress: Self { Self(encoding: 0x2038) }
  @inlinable public static var highPASIDDirectoryAddress: Self { Self(encoding: 0x203A) }
  @inlinable public static var sharedEPTPointer: Self { Self(encoding: 0x203C) }
  @inlinable public static var pconfigExitingBitmap: Self { Self(encoding: 0x203E) }
  @inlinable public static var hlatPointer: Self { Self(encoding: 0x2040) }
  @inlinable public static var pidPointerTableAddress: Self { Self(encoding: 0x2042) }
  @inlinable public static var secondaryExitControls: Self { Self(encoding: 0x2044) }
  @inlinable public static var specCtrlMask: Self { Self(encoding: 0x204A) }
  @inlinable public static var specCtrlShadow: Self { Self(encoding: 0x204C) }
  @inlinable public static var guestDeadlineShadow: Self { Self(encoding: 0x204E) }
  @inlinable public static var injectedEventData: Self { Self(encoding: 0x2052) }
}

// MARK: 64-Bit Read-Only Data Fields

extension VMCSField {
  @inlinable public static var guestPhysicalAddress: Self { Self(encoding: 0x2400) }
  @inlinable public static var msrData: Self { Self(encoding: 0x2402) }
  @inlinable public static var originalEventData: Self { Self(encoding: 0x2404) }
}

// MARK: 64-Bit Guest-State Fields

extension VMCSField {
  @inlinable public static var vmcsLinkPointer: Self { Self(encoding: 0x2800) }
  @inlinable public static var guestDebugCtl: Self { Self(encoding: 0x2802) }
  @inlinable public static var guestPAT: Self { Self(encoding: 0x2804) }
  @inlinable public static var guestEFER: Self { Self(encoding: 0x2806) }
  @inlinable public static var guestPerfGlobalCtrl: Self { Self(encoding: 0x2808) }
  @inlinable public static var guestPDPTE0: Self { Self(encoding: 0x280A) }
  @inlinable public static var guestPDPTE1: Self { Self(encoding: 0x280C) }
  @inlinable public static var guestPDPTE2: Self { Self(encoding: 0x280E) }
  @inlinable public static var guestPDPTE3: Self { Self(encoding: 0x2810) }
  @inlinable public static var guestBndcfgs: Self { Self(encoding: 0x2812) }
  @inlinable public static var guestRTITCtl: Self { Self(encoding: 0x2814) }
  @inlinable public static var guestLBRCtl: Self { Self(encoding: 0x2816) }
  @inlinable public static var guestPKRS: Self { Self(encoding: 0x2818) }
  @inlinable public static var guestFREDConfig: Self { Self(encoding: 0x281A) }
  @inlinable public static var guestFREDRSP1: Self { Self(encoding: 0x281C) }
  @inlinable public static var guestFREDRSP2: Self { Self(encoding: 0x281E) }
  @inlinable public static var guestFREDRSP3: Self { Self(encoding: 0x2820) }
  @inlinable public static var guestFREDStackLevels: Self { Self(encoding: 0x2822) }
  @inlinable public static var guestFREDSSP1: Self { Self(encoding: 0x2824) }
  @inlinable public static var guestFREDSSP2: Self { Self(encoding: 0x2826) }
  @inlinable public static var guestFREDSSP3: Self { Self(encoding: 0x2828) }
  @inlinable public static var guestSpecCtrl: Self { Self(encoding: 0x282E) }
  @inlinable public static var guestDeadline: Self { Self(encoding: 0x2830) }
}

// MARK: 64-Bit Host-State Fields

extension VMCSField {
  @inlinable public static var hostPAT: Self { Self(encoding: 0x2C00) }
  @inlinable public static var hostEFER: Self { Self(encoding: 0x2C02) }
  @inlinable public static var hostPerfGlobalCtrl: Self { Self(encoding: 0x2C04) }
  @inlinable public static var hostPKRS: Self { Self(encoding: 0x2C06) }
  @inlinable public static var hostFREDConfig: Self { Self(encoding: 0x2C08) }
  @inlinable public static var hostFREDRSP1: Self { Self(encoding: 0x2C0A) }
  @inlinable public static var hostFREDRSP2: Self { Self(encoding: 0x2C0C) }
  @inlinable public static var hostFREDRSP3: Self { Self(encoding: 0x2C0E) }
  @inlinable public static var hostFREDStackLevels: Self { Self(encoding: 0x2C10) }
  @inlinable public static var hostFREDSSP1: Self { Self(encoding: 0x2C12) }
  @inlinable public static var hostFREDSSP2: Self { Self(encoding: 0x2C14) }
  @inlinable public static var hostFREDSSP3: Self { Self(encoding: 0x2C16) }
  @inlinable public static var hostSpecCtrl: Self { Self(encoding: 0x2C1A) }
}

// MARK: 32-Bit Control Fields

extension VMCSField {
  @inlinable public static var pinBasedControls: Self { Self(encoding: 0x4000) }
  @inlinable public static var primaryProcessorBasedControls: Self { Self(encoding: 0x4002) }
  @inlinable public static var exceptionBitmap: Self { Self(encoding: 0x4004) }
  @inlinable public static var pageFaultErrorCodeMask: Self { Self(encoding: 0x4006) }
  @inlinable public static var pageFaultErrorCodeMatch: Self { Self(encoding: 0x4008) }
  @inlinable public static var cr3TargetCount: Self { Self(encoding: 0x400A) }
  @inlinable public static var exitControls: Self { Self(encoding: 0x400C) }
  @inlinable public static var exitMSRStoreCount: Self { Self(encoding: 0x400E) }
  @inlinable public static var exitMSRLoadCount: Self { Self(encoding: 0x4010) }
  @inlinable public static var entryControls: Self { Self(encoding: 0x4012) }
  @inlinable public static var entryMSRLoadCount: Self { Self(encoding: 0x4014) }
  @inlinable public static var entryInterruptionInformation: Self { Self(encoding: 0x4016) }
  @inlinable public static var entryExceptionErrorCode: Self { Self(encoding: 0x4018) }
  @inlinable public static var entryInstructionLength: Self { Self(encoding: 0x401A) }
  @inlinable public static var tprThreshold: Self { Self(encoding: 0x401C) }
  @inlinable public static var secondaryProcessorBasedControls: Self { Self(encoding: 0x401E) }
  @inlinable public static var pleGap: Self { Self(encoding: 0x4020) }
  @inlinable public static var pleWindow: Self { Self(encoding: 0x4022) }
  @inlinable public static var instructionTimeoutControl: Self { Self(encoding: 0x4024) }
}

// MARK: 32-Bit Read-Only Data Fields

extension VMCSField {
  @inlinable public static var vmInstructionError: Self { Self(encoding: 0x4400) }
  @inlinable public static var exitReason: Self { Self(encoding: 0x4402) }
  @inlinable public static var exitInterruptionInformation: Self { Self(encoding: 0x4404) }
  @inlinable public static var exitInterruptionErrorCode: Self { Self(encoding: 0x4406) }
  @inlinable public static var idtVectoringInformation: Self { Self(encoding: 0x4408) }
  @inlinable public static var idtVectoringErrorCode: Self { Self(encoding: 0x440A) }
  @inlinable public static var exitInstructionLength: Self { Self(encoding: 0x440C) }
  @inlinable public static var exitInstructionInformation: Self { Self(encoding: 0x440E) }
}

// MARK: 32-Bit Guest-State Fields

extension VMCSField {
  @inlinable public static var guestESLimit: Self { Self(encoding: 0x4800) }
  @inlinable public static var guestCSLimit: Self { Self(encoding: 0x4802) }
  @inlinable public static var guestSSLimit: Self { Self(encoding: 0x4804) }
  @inlinable public static var guestDSLimit: Self { Self(encoding: 0x4806) }
  @inlinable public static var guestFSLimit: Self { Self(encoding: 0x4808) }
  @inlinable public static var guestGSLimit: Self { Self(encoding: 0x480A) }
  @inlinable public static var guestLDTRLimit: Self { Self(encoding: 0x480C) }
  @inlinable public static var guestTRLimit: Self { Self(encoding: 0x480E) }
  @inlinable public static var guestGDTRLimit: Self { Self(encoding: 0x4810) }
  @inlinable public static var guestIDTRLimit: Self { Self(encoding: 0x4812) }
  @inlinable public static var guestESAccessRights: Self { Self(encoding: 0x4814) }
  @inlinable public static var guestCSAccessRights: Self { Self(encoding: 0x4816) }
  @inlinable public static var guestSSAccessRights: Self { Self(encoding: 0x4818) }
  @inlinable public static var guestDSAccessRights: Self { Self(encoding: 0x481A) }
  @inlinable public static var guestFSAccessRights: Self { Self(encoding: 0x481C) }
  @inlinable public static var guestGSAccessRights: Self { Self(encoding: 0x481E) }
  @inlinable public static var guestLDTRAccessRights: Self { Self(encoding: 0x4820) }
  @inlinable public static var guestTRAccessRights: Self { Self(encoding: 0x4822) }
  @inlinable public static var guestInterruptibilityState: Self { Self(encoding: 0x4824) }
  @inlinable public static var guestActivityState: Self { Self(encoding: 0x4826) }
  @inlinable public static var guestSMBASE: Self { Self(encoding: 0x4828) }
  @inlinable public static var guestSysenterCS: Self { Self(encoding: 0x482A) }
  @inlinable public static var preemptionTimerValue: Self { Self(encoding: 0x482E) }
}

// MARK: 32-Bit Host-State Field

extension VMCSField {
  @inlinable public static var hostSysenterCS: Self { Self(encoding: 0x4C00) }
}

// MARK: Natural-Width Control Fields

extension VMCSField {
  @inlinable public static var cr0GuestHostMask: Self { Self(encoding: 0x6000) }
  @inlinable public static var cr4GuestHostMask: Self { Self(encoding: 0x6002) }
  @inlinable public static var cr0ReadShadow: Self { Self(encoding: 0x6004) }
  @inlinable public static var cr4ReadShadow: Self { Self(encoding: 0x6006) }
  @inlinable public static var cr3Target0: Self { Self(encoding: 0x6008) }
  @inlinable public static var cr3Target1: Self { Self(encoding: 0x600A) }
  @inlinable public static var cr3Target2: Self { Self(encoding: 0x600C) }
  @inlinable public static var cr3Target3: Self { Self(encoding: 0x600E) }
}

// MARK: Natural-Width Read-Only Data Fields

extension VMCSField {
  @inlinable public static var exitQualification: Self { Self(encoding: 0x6400) }
  @inlinable public static var ioRCX: Self { Self(encoding: 0x6402) }
  @inlinable public static var ioRSI: Self { Self(encoding: 0x6404) }
  @inlinable public static var ioRDI: Self { Self(encoding: 0x6406) }
  @inlinable public static var ioRIP: Self { Self(encoding: 0x6408) }
  @inlinable public static var guestLinearAddress: Self { Self(encoding: 0x640A) }
}

// MARK: Natural-Width Guest-State Fields

extension VMCSField {
  @inlinable public static var guestCR0: Self { Self(encoding: 0x6800) }
  @inlinable public static var guestCR3: Self { Self(encoding: 0x6802) }
  @inlinable public static var guestCR4: Self { Self(encoding: 0x6804) }
  @inlinable public static var guestESBase: Self { Self(encoding: 0x6806) }
  @inlinable public static var guestCSBase: Self { Self(encoding: 0x6808) }
  @inlinable public static var guestSSBase: Self { Self(encoding: 0x680A) }
  @inlinable public static var guestDSBase: Self { Self(encoding: 0x680C) }
  @inlinable public static var guestFSBase: Self { Self(encoding: 0x680E) }
  @inlinable public static var guestGSBase: Self { Self(encoding: 0x6810) }
  @inlinable public static var guestLDTRBase: Self { Self(encoding: 0x6812) }
  @inlinable public static var guestTRBase: Self { Self(encoding: 0x6814) }
  @inlinable public static var guestGDTRBase: Self { Self(encoding: 0x6816) }
  @inlinable public static var guestIDTRBase: Self { Self(encoding: 0x6818) }
  @inlinable public static var guestDR7: Self { Self(encoding: 0x681A) }
  @inlinable public static var guestRSP: Self { Self(encoding: 0x681C) }
  @inlinable public static var guestRIP: Self { Self(encoding: 0x681E) }
  @inlinable public static var guestRFLAGS: Self { Self(encoding: 0x6820) }
  @inlinable public static var guestPendingDebugExceptions: Self { Self(encoding: 0x6822) }
  @inlinable public static var guestSysenterESP: Self { Self(encoding: 0x6824) }
  @inlinable public static var guestSysenterEIP: Self { Self(encoding: 0x6826) }
  @inlinable public static var guestSCET: Self { Self(encoding: 0x6828) }
  @inlinable public static var guestSSP: Self { Self(encoding: 0x682A) }
  @inlinable public static var guestInterruptSSPTable: Self { Self(encoding: 0x682C) }
}

// MARK: Natural-Width Host-State Fields

extension VMCSField {
  @inlinable public static var hostCR0: Self { Self(encoding: 0x6C00) }
  @inlinable public static var hostCR3: Self { Self(encoding: 0x6C02) }
  @inlinable public static var hostCR4: Self { Self(encoding: 0x6C04) }
  @inlinable public static var hostFSBase: Self { Self(encoding: 0x6C06) }
  @inlinable public static var hostGSBase: Self { Self(encoding: 0x6C08) }
  @inlinable public static var hostTRBase: Self { Self(encoding: 0x6C0A) }
  @inlinable public static var hostGDTRBase: Self { Self(encoding: 0x6C0C) }
  @inlinable public static var hostIDTRBase: Self { Self(encoding: 0x6C0E) }
  @inlinable public static var hostSysenterESP: Self { Self(encoding: 0x6C10) }
  @inlinable public static var hostSysenterEIP: Self { Self(encoding: 0x6C12) }
  @inlinable public static var hostRSP: Self { Self(encoding: 0x6C14) }
  @inlinable public static var hostRIP: Self { Self(encoding: 0x6C16) }
  @inlinable public static var hostSCET: Self { Self(encoding: 0x6C18) }
  @inlinable public static var hostSSP: Self { Self(encoding: 0x6C1A) }
  @inlinable public static var hostInterruptSSPTable: Self { Self(encoding: 0x6C1C) }
}
