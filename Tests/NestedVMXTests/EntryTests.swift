import EntryChecks
import NestedVMX
import Testing
import VMX
import X86

@Suite("VMLAUNCH and VMRESUME")
struct EntryTests {
  let machine: TestMachine

  init() throws { machine = try TestMachine() }

  @Test func goodVMCSPassesEveryCheck() {
    machine.prepareVMCS12()
    var violations: [String] = []
    machine.vmx.forEachViolation { violations.append($0.description) }
    #expect(violations == [])
  }

  @Test func launchEntersL2() {
    machine.prepareVMCS12()
    #expect(machine.execute(.vmlaunch) == .enterL2(loadMSRs: .none))
    #expect(machine.isInL2)
    #expect(machine.vmx.running.region == machine.vmx.vmcs02.region)
    #expect(machine.vmcs12.isLaunched)
    #expect(machine.vmx.vmcs02[.guestRIP] == 0x10_0000)
  }

  @Test func launchStateIsChecked() {
    machine.enterVMX()
    #expect(machine.execute(.vmresume) == .failValid(.vmresumeNonLaunchedVMCS))
    machine.vmcs12.isLaunched = true
    #expect(machine.execute(.vmlaunch) == .failValid(.vmlaunchNonClearVMCS))
    #expect(machine.vmread(.vmInstructionError) == 4)
    #expect(machine.vmcs01[.guestRIP] == 0x8000 + 6 * 4)
  }

  @Test func noCurrentVMCSFailsInvalid() {
    machine.execute(.vmxon, pointer: TestMachine.vmxonRegion)
    #expect(machine.execute(.vmlaunch) == .failInvalid)
  }

  @Test func blockingByMOVSSFails() {
    machine.prepareVMCS12()
    machine.vmcs01.interruptibilityState = [.blockingByMOVSS]
    #expect(machine.execute(.vmlaunch) == .failValid(.entryEventsBlockedByMOVSS))
    #expect(machine.execute(.vmlaunch) == .enterL2(loadMSRs: .none), "the block ended with the instruction")
  }

  @Test func invalidControlsFailWithError7AndAreNamed() {
    machine.prepareVMCS12()
    machine.vmcs12.secondaryProcessorBasedControls = [.unrestrictedGuest]
    #expect(machine.execute(.vmlaunch) == .failValid(.entryInvalidControlFields))
    #expect(machine.vmread(.vmInstructionError) == 7)
    #expect(!machine.isInL2)
    #expect(!machine.vmcs12.isLaunched)
    var fields: [VMCSField] = []
    machine.vmx.forEachViolation { fields.append($0.check.field) }
    #expect(fields.first == .secondaryProcessorBasedControls)
  }

  @Test func controlsBeyondL1sCapabilitiesFail() {
    machine.prepareVMCS12()
    machine.vmcs12.secondaryProcessorBasedControls = [.enableEPT, .enablePCONFIG]
    #expect(machine.execute(.vmlaunch) == .failValid(.entryInvalidControlFields))
  }

  @Test func invalidHostStateFailsWithError8() {
    machine.prepareVMCS12()
    machine.vmcs12[.hostCR4] = 0x20
    #expect(machine.execute(.vmlaunch) == .failValid(.entryInvalidHostStateFields))
  }

  @Test func invalidGuestStateIsAnEntryFailure() {
    machine.prepareVMCS12()
    machine.vmcs12[.guestRFLAGS] = 0
    machine.vmcs12[.exitInstructionLength] = 99
    let failure = ExitReasonField(.entryFailureInvalidGuestState, entryFailure: true)
    #expect(machine.execute(.vmlaunch) == .entryFailed(Reflection(), failure))
    #expect(machine.vmread(.exitReason) == 0x8000_0021)
    #expect(machine.vmread(.exitQualification) == 0)
    #expect(machine.vmread(.exitInstructionLength) == 99, "other exit information stays")
    #expect(machine.vmread(.guestRFLAGS) == 0, "guest state is not saved")
    #expect(!machine.vmcs12.isLaunched)
    #expect(!machine.isInL2)
  }

  @Test func entryFailureLoadsTheHostState() {
    machine.prepareVMCS12()
    machine.vmcs12[.guestRFLAGS] = 0
    machine.execute(.vmlaunch)
    #expect(machine.vmcs01[.guestRIP] == 0x7000)
    #expect(machine.vmcs01[.guestRSP] == 0x7800)
  }

  @Test func entryFailureKeepsTheMSRsOfL1() {
    machine.prepareVMCS12()
    machine.vmcs12.exitControls.subtract([.loadEFER, .loadPAT])
    machine.execute(.vmlaunch)
    machine.vmx.vmcs02[.guestEFER] = 0xD01
    machine.vmx.vmcs02[.guestPAT] = 0x0606_0606_0606_0606
    _ = machine.reflectFromL2(.cpuid)
    machine.vmcs01[.guestEFER] = 0xD00
    machine.vmcs01[.guestPAT] = 0x0007_0406_0007_0406
    machine.vmcs12[.guestRFLAGS] = 0
    machine.execute(.vmresume)
    #expect(machine.vmcs01[.guestEFER] == 0xD00)
    #expect(machine.vmcs01[.guestPAT] == 0x0007_0406_0007_0406)
  }

  /// The processor checks vmcs02's TPR threshold against the virtual TPR that it finds, as L0 has checked vmcs12's.
  @Test func virtualTPRInAHoleReadsAsOnesAtEachEntry() {
    machine.prepareVMCS12()
    machine.vmcs12.primaryProcessorBasedControls.insert(.useTPRShadow)
    machine.vmcs12[.virtualAPICAddress] = 0xFEE0_0000
    machine.vmcs12[.tprThreshold] = 5
    for instruction in [ExitReason.vmlaunch, .vmresume] {
      #expect(machine.execute(instruction) == .enterL2(loadMSRs: .none))
      let page = machine.pages.pointer(to: PhysicalAddress(machine.vmx.vmcs02[.virtualAPICAddress]))
      #expect(page?.load(fromByteOffset: 0x80, as: UInt8.self) == 0xFF)
      // L2 lowers its TPR.
      page?.storeBytes(of: 0, toByteOffset: 0x80, as: UInt8.self)
      _ = machine.reflectFromL2(.cpuid)
    }
  }

  @Test func linkPointerHasItsQualification() {
    machine.prepareVMCS12()
    machine.vmcs12[.vmcsLinkPointer] = 0x123
    machine.execute(.vmlaunch)
    #expect(machine.vmread(.exitQualification) == 4)
  }

  @Test func msrLoadListIsHandedOver() {
    machine.prepareVMCS12()
    machine.memory[0x2_8000] = 0xC000_0081
    machine.memory[0x2_8008] = 0x1234
    machine.vmcs12[.entryMSRLoadCount] = 1
    machine.vmcs12[.entryMSRLoadAddress] = 0x2_8000
    guard case .enterL2(let list) = machine.execute(.vmlaunch) else {
      Issue.record("no entry")
      return
    }
    #expect(list.count == 1 && !list.isTooLong)
    #expect(machine.vmx.entry(0, of: list) == MSREntry(low: 0xC000_0081, value: 0x1234))
    let reflection = machine.vmx.failEntry(loadingEntry: 0)
    #expect(reflection == Reflection())
    #expect(machine.vmread(.exitReason) == 0x8000_0022)
    #expect(machine.vmread(.exitQualification) == 1, "the first entry is number 1")
    #expect(!machine.vmcs12.isLaunched)
    #expect(!machine.isInL2)
  }

  @Test func hostileMSRCountIsBounded() {
    let list = MSRList(address: 0x1000, count: 0xFFFF_FFFF)
    #expect(list.count == 512)
    #expect(list.isTooLong)
    #expect(MSREntry(low: 0xC000_0100, value: 0).mustNotBeLoaded)
    #expect(MSREntry(low: 0x808, value: 0).mustNotBeLoaded)
    #expect(MSREntry(low: 1 << 32 | 0x10, value: 0).mustNotBeLoaded)
    #expect(!MSREntry(low: 0xC000_0081, value: 0).mustNotBeLoaded)
  }

  @Test func processorsEntryFailureGoesToL1() {
    machine.launch()
    let failure = ExitReasonField(.entryFailureInvalidGuestState, entryFailure: true)
    machine.vmx.vmcs02.exitReason = failure
    guard case .reflectedToL1(let exit) = machine.vmx.route(failure) else {
      Issue.record("not reflected")
      return
    }
    _ = machine.vmx.reflect(exit)
    #expect(machine.vmread(.exitReason) == 0x8000_0021)
    #expect(!machine.vmcs12.isLaunched)
  }

  @Test func setUpNeedsPages() {
    #expect(throws: NestedSetupError.outOfPages) { try TestMachine(pool: 10) }
  }
}
