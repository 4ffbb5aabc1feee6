import NestedVMX
import Testing
import VMX
import X86

@Suite("Reflection")
struct ReflectionTests {
  let machine: TestMachine

  init() throws { machine = try TestMachine() }

  private var vmcs02: VMCS { machine.vmx.vmcs02 }

  /// Fields are copied by whole words, so that a host field must be as wide as the field of L1 that it becomes.
  @Test func noFieldOfL1GetsMoreThanItsWidth() {
    machine.launch()
    for position in 0..<VMCSField.count {
      let field = VMCSField.rows[position].field
      if field.area == .hostState { machine.vmcs12[field] = .max }
    }
    _ = machine.reflectFromL2(.cpuid)
    #expect(machine.vmcs01[.guestRIP] == .max)
    for position in 0..<VMCSField.count {
      let row = VMCSField.rows[position]
      #expect(machine.vmcs01[row.field] & ~row.field.width.mask == 0, "\(row.name)")
    }
  }

  @Test func exitInformationIsCopied() {
    machine.launch()
    let fields: [(VMCSField, UInt64)] = [
      (.exitInstructionLength, 2), (.exitInstructionInformation, 0x1234), (.guestLinearAddress, 0x5555),
      (.guestPhysicalAddress, 0x6666), (.idtVectoringInformation, 0x8000_030E), (.idtVectoringErrorCode, 4),
      (.exitInterruptionInformation, 0x8000_0306), (.exitInterruptionErrorCode, 9),
    ]
    for (field, value) in fields { vmcs02[field] = value }
    #expect(machine.reflectFromL2(.cpuid, qualification: 0x77) == Reflection())
    #expect(machine.vmread(.exitReason) == 10)
    #expect(machine.vmread(.exitQualification) == 0x77)
    for (field, value) in fields { #expect(machine.vmread(field) == value) }
    #expect(!machine.isInL2)
  }

  @Test func guestStateIsSaved() {
    machine.launch()
    for position in 0..<VMCSField.count {
      let field = VMCSField.rows[position].field
      guard field.area == .guestState, machine.vmx.hasField(field) else { continue }
      vmcs02[field] = 0x1111_1111_1111_1111 & field.width.mask
    }
    _ = machine.reflectFromL2(.cpuid)
    let special: [VMCSField] = [
      .guestCR0, .guestCR4, .vmcsLinkPointer, .guestSMBASE, .preemptionTimerValue, .guestInterruptStatus,
      .guestPMLIndex,
    ]
    for position in 0..<VMCSField.count {
      let field = VMCSField.rows[position].field
      guard field.area == .guestState, machine.vmx.hasField(field), !special.contains(field) else { continue }
      #expect(machine.vmcs12[field] == 0x1111_1111_1111_1111 & field.width.mask, "\(field.name)")
    }
    #expect(machine.vmcs12[.vmcsLinkPointer] == .max)
    #expect(machine.vmcs12[.preemptionTimerValue] == 0, "its control does not save it")
  }

  @Test func exitControlsDecideWhatIsSaved() {
    machine.prepareVMCS12()
    machine.vmcs12.exitControls.subtract([.saveEFER, .savePAT, .saveDebugControls])
    machine.execute(.vmlaunch)
    vmcs02[.guestEFER] = 0xD01
    vmcs02[.guestPAT] = 0x0606_0606_0606_0606
    vmcs02[.guestDR7] = 0x401
    _ = machine.reflectFromL2(.cpuid)
    #expect(machine.vmread(.guestEFER) == 0x500)
    #expect(machine.vmread(.guestPAT) == 0x0007_0406_0007_0406)
    #expect(machine.vmread(.guestDR7) == 0x400)
  }

  @Test func preemptionTimerIsSavedIfAsked() {
    machine.prepareVMCS12()
    machine.vmcs12.pinBasedControls.insert(.activatePreemptionTimer)
    machine.vmcs12.exitControls.insert(.savePreemptionTimerValue)
    machine.vmcs12[.preemptionTimerValue] = 100
    machine.execute(.vmlaunch)
    vmcs02[.preemptionTimerValue] = 60
    _ = machine.reflectFromL2(.cpuid)
    #expect(machine.vmread(.preemptionTimerValue) == 60)
  }

  @Test func controlRegistersAreSeenFromL1() {
    machine.prepareVMCS12()
    machine.vmcs12[.cr4GuestHostMask] = CR4.pge.rawValue
    machine.vmcs12[.guestCR4] = 0x2020
    machine.execute(.vmlaunch)
    // L2 sets OSFXSR, which it owns.
    vmcs02[.guestCR4] |= CR4.osfxsr.rawValue
    _ = machine.reflectFromL2(.cpuid)
    #expect(machine.vmread(.guestCR4) == 0x2020 | CR4.osfxsr.rawValue)
  }

  @Test func eventToInjectIsDoneWith() {
    machine.prepareVMCS12()
    machine.vmcs12[.entryInterruptionInformation] = 0x8000_0020
    machine.vmcs12[.guestRFLAGS] = 0x202
    machine.execute(.vmlaunch)
    #expect(vmcs02[.entryInterruptionInformation] == 0x8000_0020)
    _ = machine.reflectFromL2(.cpuid)
    #expect(machine.vmread(.entryInterruptionInformation) == 0x20)
  }

  @Test func modeOfL2IsStored() {
    machine.launch()
    vmcs02.entryControls.remove(.ia32eModeGuest)
    _ = machine.reflectFromL2(.cpuid)
    #expect(!machine.vmcs12.entryControls.contains(.ia32eModeGuest))
  }

  /// SDM, "Loading Host State": registers, segments and descriptor tables of a 64-bit host.
  @Test func hostStateBecomesL1s() {
    machine.launch()
    machine.vmcs01[.guestRFLAGS] = 0x246
    machine.vmcs01[.guestActivityState] = 1
    _ = machine.reflectFromL2(.cpuid)
    let expected: [(VMCSField, UInt64)] = [
      (.guestRIP, 0x7000), (.guestRSP, 0x7800), (.guestRFLAGS, 2), (.guestCR3, TestMachine.pageTables),
      (.guestDR7, 0x400), (.guestDebugCtl, 0), (.guestCSSelector, 8), (.guestCSAccessRights, 0xA09B),
      (.guestCSLimit, 0xFFFF_FFFF), (.guestSSSelector, 16), (.guestSSAccessRights, 0xC093),
      (.guestDSSelector, 0),
      (.guestDSAccessRights, 0x1_0000), (.guestTRSelector, 24), (.guestTRAccessRights, 0x8B),
      (.guestTRLimit, 0x67),
      (.guestTRBase, 0x7B_0000), (.guestLDTRSelector, 0), (.guestLDTRAccessRights, 0x1_0000),
      (.guestFSBase, 0xF5_0000), (.guestGSBase, 0x65_0000), (.guestGDTRBase, 0x6D_0000),
      (.guestGDTRLimit, 0xFFFF), (.guestIDTRBase, 0x1D_0000), (.guestIDTRLimit, 0xFFFF),
      (.guestSysenterCS, 8), (.guestSysenterESP, 0x51_0000), (.guestSysenterEIP, 0x52_0000),
      (.guestEFER, 0xD00), (.guestActivityState, 0), (.guestInterruptibilityState, 0),
      (.guestPendingDebugExceptions, 0), (.entryInterruptionInformation, 0),
    ]
    for (field, value) in expected { #expect(machine.vmcs01[field] == value, "\(field.name)") }
    #expect(machine.vmcs01.entryControls.contains(.ia32eModeGuest))
    #expect(machine.vmcs01[.guestCR4] == 0x2020)
    #expect(machine.vmcs01[.cr4ReadShadow] == 0x2020)
  }

  @Test func hostOf32Bits() {
    machine.prepareVMCS12()
    machine.vmcs12.exitControls.remove(.hostAddressSpaceSize)
    machine.vmcs12.entryControls.remove(.ia32eModeGuest)
    machine.vmcs12[.hostEFER] = 0
    machine.vmcs12[.hostCR4] = 0x2020
    machine.vmcs12[.guestEFER] = 0
    machine.vmcs12[.guestCSAccessRights] = 0xC09B
    machine.memory[TestMachine.pageTables + 8] = 0x9001
    machine.vmcs01[.guestEFER] = 0
    machine.vmcs01.entryControls.remove(.ia32eModeGuest)
    machine.vmcs01[.guestCSAccessRights] = 0xC09B
    machine.vmcs01[.guestCR0] = 0x33
    #expect(machine.execute(.vmlaunch) == .enterL2(loadMSRs: .none))
    _ = machine.reflectFromL2(.cpuid)
    #expect(machine.vmcs01[.guestCSAccessRights] == 0xC09B)
    #expect(machine.vmcs01[.guestEFER] == 0)
    #expect(machine.vmcs01[.guestPDPTE1] == 0x9001)
    #expect(!machine.vmcs01.entryControls.contains(.ia32eModeGuest))
  }

  /// SDM, "Checking and Loading Host Page-Directory-Pointer-Table Entries": a VMX abort.
  @Test func invalidPDPTEOfTheHostAborts() {
    machine.prepareVMCS12()
    machine.vmcs12.exitControls.remove(.hostAddressSpaceSize)
    machine.vmcs12.entryControls.remove(.ia32eModeGuest)
    machine.vmcs12[.hostEFER] = 0
    machine.vmcs12[.guestEFER] = 0
    machine.vmcs12[.guestCSAccessRights] = 0xC09B
    machine.vmcs12[.hostCR3] = 0x2_8000
    machine.memory[0x2_8008] = 0x9007
    machine.vmcs01[.guestEFER] = 0
    machine.vmcs01[.guestCSAccessRights] = 0xC09B
    machine.vmcs01[.guestCR0] = 0x33
    #expect(machine.execute(.vmlaunch) == .enterL2(loadMSRs: .none))
    #expect(machine.reflectFromL2(.cpuid)?.abort == .hostPDPTEChecking)
  }

  @Test func withoutLoadControlsL1KeepsL2sValues() {
    machine.prepareVMCS12()
    machine.vmcs12.exitControls.subtract([.loadEFER, .loadPAT])
    machine.execute(.vmlaunch)
    vmcs02[.guestEFER] = 0xD01
    vmcs02[.guestPAT] = 0x0606_0606_0606_0606
    _ = machine.reflectFromL2(.cpuid)
    #expect(machine.vmcs01[.guestEFER] == 0xD01)
    #expect(machine.vmcs01[.guestPAT] == 0x0606_0606_0606_0606)
  }

  @Test func blockingByNMIStaysWithoutVirtualNMIs() {
    machine.launch()
    vmcs02.interruptibilityState = [.blockingByNMI, .blockingBySTI]
    _ = machine.reflectFromL2(.cpuid)
    #expect(machine.vmcs01.interruptibilityState == [.blockingByNMI])
    machine.vmcs12.pinBasedControls.insert([.nmiExiting, .virtualNMIs])
    machine.vmcs12[.guestInterruptibilityState] = 0
    machine.execute(.vmresume)
    vmcs02.interruptibilityState = [.blockingByNMI]
    _ = machine.reflectFromL2(.cpuid)
    #expect(machine.vmcs01.interruptibilityState.isEmpty, "then it is blocking by virtual NMI")
    machine.execute(.vmresume)
    var nmi = ExitInformation(.exceptionOrNMI)
    nmi.interruption = .nmi
    _ = machine.vmx.reflect(nmi)
    #expect(machine.vmcs01.interruptibilityState == [.blockingByNMI])
  }

  @Test func cacheBitsOfCR0Survive() {
    machine.launch()
    vmcs02[.guestCR0] |= CR0.cd.rawValue
    _ = machine.reflectFromL2(.cpuid)
    #expect(machine.vmcs01[.guestCR0] == 0x8001_0033 | CR0.cd.rawValue)
  }

  /// SDM, "Loading Guest Control Registers, Debug Registers, and MSRs": VM entry changes neither CD nor NW, whoever owns
  /// them and whatever the field says.
  @Test func cacheBitsThatL1OwnsStayAsL1HasThem() {
    machine.prepareVMCS12()
    machine.vmcs12[.cr0GuestHostMask] = .max
    machine.vmcs12[.guestCR0] |= CR0([.cd, .nw]).rawValue
    machine.execute(.vmlaunch)
    _ = machine.reflectFromL2(.cpuid)
    #expect(machine.vmcs01[.guestCR0] == 0x8001_0033)
    #expect(machine.vmread(.guestCR0) == 0x8001_0033)
  }

  @Test func bitsThatL0OwnsStayL0s() {
    machine.vmcs01[.cr0GuestHostMask] = CR0.cd.rawValue | CR0.ne.rawValue
    machine.vmcs01[.cr0ReadShadow] = CR0.cd.rawValue | CR0.ne.rawValue
    machine.launch()
    #expect(machine.vmx.vmcs02[.cr0ReadShadow] & CR0.cd.rawValue != 0, "VM entry leaves CD as L1 has it")
    _ = machine.reflectFromL2(.cpuid)
    #expect(machine.vmcs01[.guestCR0] == 0x8001_0033, "caching stays on")
    #expect(machine.vmcs01[.cr0ReadShadow] == 0x8001_0033 | CR0.cd.rawValue, "L1 reads CD as it set it")
  }

  @Test func msrListsAreHandedOver() {
    machine.prepareVMCS12()
    machine.vmcs12[.exitMSRStoreCount] = 2
    machine.vmcs12[.exitMSRStoreAddress] = 0x2_8000
    machine.vmcs12[.exitMSRLoadCount] = 1
    machine.vmcs12[.exitMSRLoadAddress] = 0x2_9000
    machine.execute(.vmlaunch)
    let reflection = machine.reflectFromL2(.cpuid)
    #expect(reflection?.storeMSRs == MSRList(address: 0x2_8000, count: 2))
    #expect(reflection?.loadMSRs == MSRList(address: 0x2_9000, count: 1))
    guard let list = reflection?.storeMSRs else { return }
    let stored = machine.vmx.store(0xABCD, inEntry: 1, of: list)
    #expect(stored)
    #expect(machine.memory[0x2_8018] == 0xABCD)
  }

  @Test func externalInterruptIsAcknowledgedIfAsked() {
    machine.launch()
    #expect(machine.vmx.externalInterrupt(vector: 0x30).interruption == .none)
    machine.vmcs12.exitControls.insert(.acknowledgeInterruptOnExit)
    let exit = machine.vmx.externalInterrupt(vector: 0x30)
    _ = machine.vmx.reflect(exit)
    #expect(machine.vmread(.exitReason) == 1)
    #expect(machine.vmread(.exitInterruptionInformation) == 0x8000_0030)
  }

  @Test func abortMarksTheRegion() {
    machine.launch()
    _ = machine.reflectFromL2(.cpuid)
    machine.vmx.abort(.loadingHostMSRs)
    #expect(machine.memory[TestMachine.region] >> 32 == 4)
  }

  @Test func interruptedDeliveryIsInjectedAgain() {
    machine.launch()
    vmcs02[.idtVectoringInformation] = 0x8000_0B0E
    vmcs02[.idtVectoringErrorCode] = 6
    vmcs02[.exitInstructionLength] = 3
    machine.vmx.prepareToResume()
    #expect(vmcs02[.entryInterruptionInformation] == 0x8000_0B0E)
    #expect(vmcs02[.entryExceptionErrorCode] == 6)
    #expect(vmcs02[.entryInstructionLength] == 3)
    vmcs02[.idtVectoringInformation] = 0x8000_0202
    vmcs02.interruptibilityState = [.blockingByNMI]
    machine.vmx.prepareToResume()
    #expect(vmcs02[.entryInterruptionInformation] == 0x8000_0202)
    #expect(vmcs02.interruptibilityState.isEmpty)
  }

  /// SDM volume 3, "Information About NMI Unblocking Due to IRET".
  @Test func anIRETThatIsRepeatedFindsNMIsBlocked() {
    machine.launch()
    for (reason, bit, expected) in [
      (ExitReason.eptViolation, UInt64(1) << 12, InterruptibilityState.blockingByNMI), (.eptViolation, 0, []),
      (.ioInstruction, 1 << 12, []),
    ] {
      vmcs02.exitReason = ExitReasonField(reason)
      vmcs02[.exitQualification] = bit
      vmcs02[.idtVectoringInformation] = 0
      vmcs02.interruptibilityState = []
      machine.vmx.prepareToResume()
      #expect(vmcs02.interruptibilityState == expected)
    }
  }

  @Test func launchedVMCSIsResumed() {
    machine.launch()
    _ = machine.reflectFromL2(.cpuid)
    _ = machine.vmwrite(.guestRIP, 0x10_0002)
    #expect(machine.execute(.vmresume) == .enterL2(loadMSRs: .none))
    #expect(vmcs02[.guestRIP] == 0x10_0002)
  }
}
