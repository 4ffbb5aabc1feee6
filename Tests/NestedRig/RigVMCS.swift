import NestedVMX
import VMX
import X86

/// A VMCS that L0 accepts from the rig's L1, to be changed.
package enum RigVMCS {
  /// Writes the whole of `vmcs`: L1 as it is, and an L2 in 64-bit mode that executes what is at ``RigPlace/l2Code``
  /// in L1's own paging structures, without EPT.
  package static func write(_ vmcs: VMCS) {
    vmcs.clear()
    vmcs.revision = VirtualCapabilities.revision
    writeControls(vmcs)
    writeHost(vmcs, is64Bit: true)
    writeGuest(vmcs)
  }

  private static func writeControls(_ vmcs: VMCS) {
    let offered = Rig.offered
    vmcs.pinBasedControls = offered.adjusted([])
    vmcs.primaryProcessorBasedControls = offered.adjusted([.activateSecondaryControls])
    vmcs.primaryProcessorBasedControls.subtract([.cr3LoadExiting, .cr3StoreExiting])
    vmcs.exitControls = offered.adjusted([
      .hostAddressSpaceSize, .saveEFER, .loadEFER, .savePAT, .loadPAT, .saveDebugControls,
    ])
    vmcs.entryControls = offered.adjusted([.ia32eModeGuest, .loadEFER, .loadPAT, .loadDebugControls])
    writeAddresses(vmcs)
  }

  /// Addresses for all that controls may turn on.
  package static func writeAddresses(_ vmcs: VMCS) {
    for (field, value) in addresses { vmcs[field] = value }
  }

  private static let addresses: [(VMCSField, UInt64)] = [
    (.ioBitmapA, RigPlace.ioBitmapA), (.ioBitmapB, RigPlace.ioBitmapB), (.msrBitmap, RigPlace.msrBitmap),
    (.virtualAPICAddress, RigPlace.virtualAPICPage), (.apicAccessAddress, RigPlace.apicAccessPage),
    (.postedInterruptDescriptorAddress, RigPlace.postedInterruptDescriptor),
    (.eptPointer, RigPlace.ept | 0x1E), (.pmlAddress, RigPlace.pageModificationLog),
    (.eptpListAddress, RigPlace.eptpList), (.vmreadBitmap, RigPlace.vmreadBitmap),
    (.vmwriteBitmap, RigPlace.vmwriteBitmap), (.tscMultiplier, TSCScaling.one), (.vpid, 1),
    (.virtualizationExceptionInformationAddress, RigPlace.exceptionInformation), (.guestPMLIndex, 511),
    (.exitMSRStoreAddress, RigPlace.msrList), (.exitMSRLoadAddress, RigPlace.msrList),
    (.entryMSRLoadAddress, RigPlace.msrList), (.vmcsLinkPointer, .max),
  ]

  /// Writes where L1 goes on after VM exits.
  package static func writeHost(_ vmcs: VMCS, is64Bit: Bool) {
    vmcs[.hostCR0] = 0x8001_0033
    vmcs[.hostCR3] = is64Bit ? RigPlace.pageTables : RigPlace.pageDirectory
    vmcs[.hostCR4] = is64Bit ? 0x2020 : 0x2010
    vmcs[.hostEFER] = is64Bit ? 0x500 : 0
    vmcs[.hostPAT] = MemoryType.initialPAT
    vmcs[.hostCSSelector] = is64Bit ? RigPlace.code64Selector : RigPlace.code32Selector
    let data: [VMCSField] = [
      .hostSSSelector, .hostDSSelector, .hostESSelector, .hostFSSelector, .hostGSSelector,
    ]
    for field in data { vmcs[field] = RigPlace.dataSelector }
    vmcs[.hostTRSelector] = RigPlace.taskSelector
    vmcs[.hostGDTRBase] = RigPlace.gdt
    vmcs[.hostTRBase] = RigPlace.l2TSS
    vmcs[.hostRIP] = CodeImage.address + (is64Bit ? RigProgram.host64 : RigProgram.host32)
    vmcs[.hostRSP] = RigPlace.l1Stack
  }

  private static func writeGuest(_ vmcs: VMCS) {
    for (field, value) in guest { vmcs[field] = value }
  }

  private static let guest: [(VMCSField, UInt64)] = [
    (.guestCR0, 0x8001_0033), (.guestCR3, RigPlace.pageTables), (.guestCR4, 0x2020), (.guestDR7, 0x400),
    (.guestEFER, 0xD01), (.guestPAT, MemoryType.initialPAT), (.guestRFLAGS, 2),
    (.guestRIP, RigPlace.l2Code), (.guestRSP, RigPlace.l2Stack),
    (.guestCSSelector, RigPlace.code64Selector), (.guestCSAccessRights, 0xA09B),
    (.guestSSSelector, RigPlace.dataSelector), (.guestSSAccessRights, 0xC093),
    (.guestDSSelector, RigPlace.dataSelector), (.guestDSAccessRights, 0xC093),
    (.guestESSelector, RigPlace.dataSelector), (.guestESAccessRights, 0xC093),
    (.guestFSSelector, RigPlace.dataSelector), (.guestFSAccessRights, 0xC093),
    (.guestGSSelector, RigPlace.dataSelector), (.guestGSAccessRights, 0xC093),
    (.guestCSLimit, 0xFFFF_FFFF), (.guestSSLimit, 0xFFFF_FFFF), (.guestDSLimit, 0xFFFF_FFFF),
    (.guestESLimit, 0xFFFF_FFFF), (.guestFSLimit, 0xFFFF_FFFF), (.guestGSLimit, 0xFFFF_FFFF),
    (.guestLDTRAccessRights, 0x1_0000), (.guestTRSelector, RigPlace.taskSelector),
    (.guestTRBase, RigPlace.l2TSS), (.guestTRLimit, 0x67), (.guestTRAccessRights, 0x8B),
    (.guestGDTRBase, RigPlace.gdt), (.guestGDTRLimit, 0x2F), (.guestIDTRBase, RigPlace.l2IDT),
  ]
}
