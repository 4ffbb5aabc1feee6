import NestedVMX
import Testing
import VMX
import X86

@Suite("Exit routing")
struct RoutingTests {
  let machine: TestMachine

  init() throws {
    machine = try TestMachine()
    machine.launch()
  }

  private var vmcs12: VMCS { machine.vmcs12 }

  private func isReflected(_ reason: ExitReason, qualification: UInt64 = 0) -> Bool {
    guard case .reflectedToL1(let exit) = machine.exitL2(reason, qualification: qualification) else {
      return false
    }
    return exit.reason.basic == reason
  }

  @Test func everyReasonHasExactlyOneRow() {
    #expect(ExitRoute.count == ExitReason.allCases.count)
    for reason in ExitReason.allCases { #expect(ExitRoute.row(for: reason).reason == reason) }
  }

  @Test func unconditionalExitsGoToL1() {
    let reasons: [ExitReason] = [
      .cpuid, .getsec, .invd, .xsetbv, .vmcall, .vmread, .vmlaunch, .vmxon, .invept, .tripleFault,
      // An injected MTF VM exit needs no control (SDM, "Injection of Pending MTF VM Exits").
      .taskSwitch, .monitorTrapFlag,
    ]
    for reason in reasons { #expect(isReflected(reason), "\(reason.name)") }
  }

  @Test func exitsOfL1AreKept() {
    _ = machine.reflectFromL2(.cpuid)
    #expect(machine.vmx.route(ExitReasonField(.cpuid)) == .keptByL0(.emulation))
    #expect(machine.vmx.route(ExitReasonField(.vmread)) == .keptByL0(.vmxInstruction))
    #expect(machine.vmx.route(ExitReasonField(.eptViolation)) == .keptByL0(.memoryOfL1))
    #expect(machine.vmx.route(ExitReasonField(.externalInterrupt)) == .keptByL0(.externalInterrupt))
    #expect(machine.vmx.route(ExitReasonField(rawValue: 0xFFFF)) == .keptByL0(.unexpected))
  }

  /// A PAUSE that exits because L0 has all exit is not the end of a loop that L1 asked for.
  @Test func pauseLoopsAreL1sUnlessEveryPAUSEExits() {
    vmcs12.secondaryProcessorBasedControls.insert(.pauseLoopExiting)
    #expect(isReflected(.pause))
    machine.vmcs01.primaryProcessorBasedControls.insert(.pauseExiting)
    #expect(machine.exitL2(.pause) == .keptByL0(.emulation))
    vmcs12.primaryProcessorBasedControls.insert(.pauseExiting)
    #expect(isReflected(.pause))
  }

  @Test func controlsDecide() {
    let cases: [(ExitReason, PrimaryProcessorBasedControls)] = [
      (.rdtsc, .rdtscExiting), (.invlpg, .invlpgExiting), (.rdpmc, .rdpmcExiting), (.mwait, .mwaitExiting),
      (.monitor, .monitorExiting), (.pause, .pauseExiting), (.movDR, .movDRExiting),
      (.interruptWindow, .interruptWindowExiting), (.nmiWindow, .nmiWindowExiting), (.hlt, .hltExiting),
    ]
    for (reason, control) in cases {
      vmcs12.primaryProcessorBasedControls.remove(control)
      #expect(machine.exitL2(reason) == .keptByL0(.emulation), "\(reason.name)")
      vmcs12.primaryProcessorBasedControls.insert(control)
      #expect(isReflected(reason), "\(reason.name)")
    }
  }

  @Test func secondaryControlsCountOnlyIfActivated() {
    vmcs12.secondaryProcessorBasedControls = [.enableEPT, .wbinvdExiting]
    #expect(isReflected(.wbinvd))
    vmcs12.primaryProcessorBasedControls.remove(.activateSecondaryControls)
    #expect(machine.exitL2(.wbinvd) == .keptByL0(.emulation))
  }

  @Test func rdtscpNeedsBothControls() {
    vmcs12.primaryProcessorBasedControls.insert(.rdtscExiting)
    #expect(!isReflected(.rdtscp))
    vmcs12.secondaryProcessorBasedControls.insert(.enableRDTSCP)
    #expect(isReflected(.rdtscp))
  }

  @Test func l0ClaimsInterruptsAndNMIs() {
    vmcs12.pinBasedControls.insert([.externalInterruptExiting, .nmiExiting])
    #expect(machine.exitL2(.externalInterrupt) == .keptByL0(.externalInterrupt))
    machine.vmx.vmcs02.exitInterruptionInformation = .nmi
    #expect(machine.exitL2(.exceptionOrNMI) == .keptByL0(.nonMaskableInterrupt))
    #expect(machine.exitL2(.eptMisconfiguration) == .keptByL0(.unexpected))
  }

  @Test func exceptionsByBitmap() {
    machine.vmx.vmcs02.exitInterruptionInformation = InterruptionInformation(
      .invalidOpcode, hasErrorCode: false)
    #expect(machine.exitL2(.exceptionOrNMI) == .keptByL0(.emulation))
    vmcs12[.exceptionBitmap] = 1 << 6
    #expect(isReflected(.exceptionOrNMI))
  }

  /// SDM: a page fault exits if bit 14 is 1 and the masked error code equals the match, or bit 14 is 0 and it differs.
  @Test func pageFaultsByMaskAndMatch() {
    machine.vmx.vmcs02.exitInterruptionInformation = InterruptionInformation(.pageFault, hasErrorCode: true)
    machine.vmx.vmcs02[.exitInterruptionErrorCode] = 6
    vmcs12[.pageFaultErrorCodeMask] = 2
    let cases: [(bitmap: UInt64, match: UInt64, wanted: Bool)] = [
      (1 << 14, 2, true), (1 << 14, 0, false), (0, 2, false), (0, 0, true),
    ]
    for (bitmap, match, wanted) in cases {
      vmcs12[.exceptionBitmap] = bitmap
      vmcs12[.pageFaultErrorCodeMatch] = match
      #expect(isReflected(.exceptionOrNMI) == wanted)
    }
  }

  @Test func ioByControlsAndBitmaps() {
    let port = IOQualification(port: 0x3F8, size: 1, isIn: false).rawValue
    #expect(machine.exitL2(.ioInstruction, qualification: port) == .keptByL0(.emulation))
    vmcs12.primaryProcessorBasedControls.insert(.unconditionalIOExiting)
    #expect(isReflected(.ioInstruction, qualification: port))
    vmcs12.primaryProcessorBasedControls.insert(.useIOBitmaps)
    vmcs12[.ioBitmapA] = TestMachine.ioBitmapA
    vmcs12[.ioBitmapB] = TestMachine.ioBitmapB
    #expect(!isReflected(.ioInstruction, qualification: port), "the bitmaps replace the other control")
    machine.memory[TestMachine.ioBitmapA + 0x7F] = 1
    #expect(isReflected(.ioInstruction, qualification: port))
  }

  @Test func ioLooksAtEveryByteOfTheAccess() {
    vmcs12.primaryProcessorBasedControls.insert(.useIOBitmaps)
    vmcs12[.ioBitmapA] = TestMachine.ioBitmapA
    vmcs12[.ioBitmapB] = TestMachine.ioBitmapB
    machine.memory[TestMachine.ioBitmapB] = 1
    #expect(
      isReflected(.ioInstruction, qualification: IOQualification(port: 0x8000, size: 1, isIn: true).rawValue))
    #expect(
      isReflected(.ioInstruction, qualification: IOQualification(port: 0x7FFD, size: 4, isIn: true).rawValue))
    #expect(
      !isReflected(.ioInstruction, qualification: IOQualification(port: 0x7FFC, size: 4, isIn: true).rawValue)
    )
    #expect(
      isReflected(.ioInstruction, qualification: IOQualification(port: 0xFFFE, size: 4, isIn: true).rawValue),
      "an access that wraps around the port space exits")
  }

  @Test func msrsByBitmap() {
    machine.registers[.rcx] = 0xC000_0080
    #expect(isReflected(.rdmsr), "without bitmaps all exit")
    vmcs12.primaryProcessorBasedControls.insert(.useMSRBitmaps)
    vmcs12[.msrBitmap] = TestMachine.msrBitmap
    #expect(!isReflected(.rdmsr))
    machine.memory[TestMachine.msrBitmap + 1024 + 0x10] = 1
    #expect(isReflected(.rdmsr))
    #expect(!isReflected(.wrmsr))
    machine.memory[TestMachine.msrBitmap + 3072 + 0x10] = 1
    #expect(isReflected(.wrmsr))
    machine.registers[.rcx] = 0x4000_0000
    #expect(isReflected(.rdmsr), "beyond the bitmap")
  }

  @Test func writesToCR0AndCR4ByMaskAndShadow() {
    machine.registers[.rdx] = 0x8001_0033
    vmcs12[.cr0GuestHostMask] = CR0.ts.rawValue
    vmcs12[.cr0ReadShadow] = 0
    let write = ControlRegisterQualification(.movToCR, number: 0, register: .rdx).rawValue
    #expect(machine.exitL2(.controlRegisterAccess, qualification: write) == .keptByL0(.emulation))
    machine.registers[.rdx] |= CR0.ts.rawValue
    #expect(isReflected(.controlRegisterAccess, qualification: write))
    vmcs12[.cr4GuestHostMask] = .max
    vmcs12[.cr4ReadShadow] = 0x20
    machine.registers[.rdx] = 0x20
    let write4 = ControlRegisterQualification(.movToCR, number: 4, register: .rdx).rawValue
    #expect(!isReflected(.controlRegisterAccess, qualification: write4))
    machine.registers[.rdx] = 0x2020
    #expect(isReflected(.controlRegisterAccess, qualification: write4))
  }

  @Test func writesOutside64BitModeHave32Bits() {
    machine.vmx.vmcs02[.guestCSAccessRights] = 0xC09B
    machine.registers[.rdx] = 0xFFFF_FFFF_8001_0033
    vmcs12[.cr0GuestHostMask] = .max
    vmcs12[.cr0ReadShadow] = 0x8001_0033
    let write = ControlRegisterQualification(.movToCR, number: 0, register: .rdx).rawValue
    #expect(!isReflected(.controlRegisterAccess, qualification: write))
  }

  @Test func clearTSAndLMSW() {
    let clts = ControlRegisterQualification.clts.rawValue
    vmcs12[.cr0GuestHostMask] = CR0.ts.rawValue
    #expect(!isReflected(.controlRegisterAccess, qualification: clts))
    vmcs12[.cr0ReadShadow] = CR0.ts.rawValue
    #expect(isReflected(.controlRegisterAccess, qualification: clts))
    vmcs12[.cr0GuestHostMask] = CR0.pe.rawValue
    vmcs12[.cr0ReadShadow] = CR0.pe.rawValue
    let cases: [(UInt16, Bool)] = [(0, false), (1, false), (8, false)]
    for (source, wanted) in cases {
      let lmsw = ControlRegisterQualification.lmsw(source: source, fromMemory: false).rawValue
      #expect(isReflected(.controlRegisterAccess, qualification: lmsw) == wanted, "LMSW cannot clear PE")
    }
    vmcs12[.cr0ReadShadow] = 0
    let setPE = ControlRegisterQualification.lmsw(source: 1, fromMemory: false).rawValue
    #expect(isReflected(.controlRegisterAccess, qualification: setPE))
    vmcs12[.cr0GuestHostMask] = CR0.mp.rawValue
    let setMP = ControlRegisterQualification.lmsw(source: 2, fromMemory: false).rawValue
    #expect(isReflected(.controlRegisterAccess, qualification: setMP))
  }

  @Test func cr3TargetsAndRSP() {
    let write = ControlRegisterQualification(.movToCR, number: 3, register: .rsp).rawValue
    machine.vmx.vmcs02[.guestRSP] = 0x5000
    vmcs12.primaryProcessorBasedControls.remove(.cr3LoadExiting)
    #expect(!isReflected(.controlRegisterAccess, qualification: write))
    vmcs12.primaryProcessorBasedControls.insert(.cr3LoadExiting)
    #expect(isReflected(.controlRegisterAccess, qualification: write))
    vmcs12[.cr3Target1] = 0x5000
    vmcs12[.cr3TargetCount] = 1
    #expect(isReflected(.controlRegisterAccess, qualification: write), "only one target counts")
    vmcs12[.cr3TargetCount] = 2
    #expect(!isReflected(.controlRegisterAccess, qualification: write))
    vmcs12.primaryProcessorBasedControls.insert(.cr3StoreExiting)
    let read = ControlRegisterQualification(.movFromCR, number: 3, register: .rax).rawValue
    #expect(isReflected(.controlRegisterAccess, qualification: read))
  }

  @Test func undefinedReasonsOfL2AreReflected() {
    guard case .reflectedToL1 = machine.vmx.route(ExitReasonField(rawValue: 0x1234)) else {
      Issue.record("kept")
      return
    }
  }
}
