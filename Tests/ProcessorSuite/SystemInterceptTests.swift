import Processor
import SoftwareProcessor
import Testing
import VMX
import X86

private typealias Place = SystemGuest.Place

/// Instructions that cause VM exits, with what the exits report.
@Suite(.onTestedProcessor) struct SystemInterceptTests {
  /// An instruction, what makes it exit, and what the exit reports.
  struct Row {
    var name: String
    var code: [UInt8]
    var reason: ExitReason
    var primary: PrimaryProcessorBasedControls = []
    var secondary: SecondaryProcessorBasedControls = []
    var qualification: UInt64 = 0
    var information: UInt64 = 0
    /// Whether without the controls it executes.
    var isConditional = true
  }

  static let rows: [Row] = [
    Row(name: "cpuid", code: [0x0F, 0xA2], reason: .cpuid, isConditional: false),
    Row(name: "invd", code: [0x0F, 0x08], reason: .invd, isConditional: false),
    Row(name: "vmcall", code: [0x0F, 0x01, 0xC1], reason: .vmcall, isConditional: false),
    Row(name: "rdtsc", code: [0x0F, 0x31], reason: .rdtsc, primary: .rdtscExiting),
    Row(
      name: "rdtscp", code: [0x0F, 0x01, 0xF9], reason: .rdtscp, primary: .rdtscExiting,
      secondary: .enableRDTSCP),
    Row(name: "wbinvd", code: [0x0F, 0x09], reason: .wbinvd, secondary: .wbinvdExiting),
    Row(name: "pause", code: [0xF3, 0x90], reason: .pause, primary: .pauseExiting),
    Row(name: "monitor", code: [0x0F, 0x01, 0xC8], reason: .monitor, primary: .monitorExiting),
    Row(name: "mwait", code: [0x0F, 0x01, 0xC9], reason: .mwait, primary: .mwaitExiting),
    Row(
      name: "invlpg [rax+10h]", code: [0x0F, 0x01, 0x78, 0x10], reason: .invlpg, primary: .invlpgExiting,
      qualification: 0x3_0010),
    Row(
      name: "mov cr3, rax", code: [0x0F, 0x22, 0xD8], reason: .controlRegisterAccess,
      primary: .cr3LoadExiting,
      qualification: 0x003),
    Row(
      name: "mov r9, cr3", code: [0x41, 0x0F, 0x20, 0xD9], reason: .controlRegisterAccess,
      primary: .cr3StoreExiting, qualification: 0x913),
    Row(
      name: "mov cr8, rdx", code: [0x44, 0x0F, 0x22, 0xC2], reason: .controlRegisterAccess,
      primary: .cr8LoadExiting, qualification: 0x208),
    Row(
      name: "mov rdx, cr8", code: [0x44, 0x0F, 0x20, 0xC2], reason: .controlRegisterAccess,
      primary: .cr8StoreExiting, qualification: 0x218),
    Row(
      name: "mov dr6, rbx", code: [0x0F, 0x23, 0xF3], reason: .movDR, primary: .movDRExiting,
      qualification: 0x306),
    Row(
      name: "mov rbx, dr7", code: [0x0F, 0x21, 0xFB], reason: .movDR, primary: .movDRExiting,
      qualification: 0x317),
    Row(
      name: "in al, 60h", code: [0xE4, 0x60], reason: .ioInstruction, primary: .unconditionalIOExiting,
      qualification: 0x0060_0048),
    Row(
      name: "out dx, eax", code: [0xEF], reason: .ioInstruction, primary: .unconditionalIOExiting,
      qualification: 0x03F8_0003),
    Row(
      name: "rep outsw", code: [0xF3, 0x66, 0x6F], reason: .ioInstruction, primary: .unconditionalIOExiting,
      qualification: 0x03F8_0031, information: 0x1_8100),
    Row(
      name: "insb, 32-bit address", code: [0x67, 0x6C], reason: .ioInstruction,
      primary: .unconditionalIOExiting, qualification: 0x03F8_0018, information: 0x0_0080),
    Row(
      name: "sgdt [rax+10h]", code: [0x0F, 0x01, 0x40, 0x10], reason: .gdtrOrIDTRAccess,
      secondary: .descriptorTableExiting, qualification: 0x10, information: 0x0041_8100),
    Row(
      name: "sidt [rax+rbx*4]", code: [0x0F, 0x01, 0x0C, 0x98], reason: .gdtrOrIDTRAccess,
      secondary: .descriptorTableExiting, information: 0x100D_8102),
    Row(
      name: "str ax", code: [0x66, 0x0F, 0x00, 0xC8], reason: .ldtrOrTRAccess,
      secondary: .descriptorTableExiting, information: 0x1000_0400),
    Row(
      name: "lldt cx", code: [0x0F, 0x00, 0xD1], reason: .ldtrOrTRAccess, secondary: .descriptorTableExiting,
      information: 0x2000_0408),
    Row(
      name: "rdrand r10d", code: [0x41, 0x0F, 0xC7, 0xF2], reason: .rdrand, secondary: .rdrandExiting,
      information: 0x850),
    Row(
      name: "rdseed rax", code: [0x48, 0x0F, 0xC7, 0xF8], reason: .rdseed, secondary: .rdseedExiting,
      information: 0x1000),
    Row(
      name: "vmxoff", code: [0x0F, 0x01, 0xC4], reason: .vmxoff, isConditional: false),
    Row(name: "vmlaunch", code: [0x0F, 0x01, 0xC2], reason: .vmlaunch, isConditional: false),
    Row(name: "vmresume", code: [0x0F, 0x01, 0xC3], reason: .vmresume, isConditional: false),
    Row(
      name: "vmptrld [rip+100h]", code: [0x0F, 0xC7, 0x35, 0, 1, 0, 0], reason: .vmptrld,
      qualification: Place.code + 0x107, information: 0x0841_8100 | 0x40_0000, isConditional: false),
    Row(
      name: "vmclear fs:[rax-8]", code: [0x64, 0x66, 0x0F, 0xC7, 0x70, 0xF8], reason: .vmclear,
      qualification: 0xFFFF_FFFF_FFFF_FFF8, information: 0x0042_0100, isConditional: false),
    Row(
      name: "vmread rdx, rcx", code: [0x0F, 0x78, 0xCA], reason: .vmread, information: 0x1000_0410,
      isConditional: false),
    Row(
      name: "vmwrite rcx, [r8]", code: [0x41, 0x0F, 0x79, 0x08], reason: .vmwrite,
      information: 0x1441_8100, isConditional: false),
    Row(
      name: "invept rcx, [rax]", code: [0x66, 0x0F, 0x38, 0x80, 0x08], reason: .invept,
      information: 0x1041_8100, isConditional: false),
    Row(
      name: "invvpid rdx, [rax]", code: [0x66, 0x0F, 0x38, 0x81, 0x10], reason: .invvpid,
      information: 0x2041_8100, isConditional: false),
  ]

  private func guest(_ row: Row) throws -> SystemGuest {
    let guest = try SystemGuest(row.code + [0xF4])
    guest.registers.pointee.rax = Place.data
    guest.registers.pointee.rdx = 0x3F8
    guest.registers.pointee.rsi = Place.data
    guest.registers.pointee.rdi = Place.data
    guest.registers.pointee.rcx = 0
    if row.code.contains(0xF3) { guest.registers.pointee.rcx = 2 }
    return guest
  }

  @Test func exits() throws {
    for row in Self.rows {
      let guest = try guest(row)
      guest.enable(row.primary)
      guest.enable(row.secondary)
      let outcome = guest.run()
      #expect(outcome == .exit(ExitReasonField(row.reason)), "\(row.name)")
      #expect(guest.vmcs[.exitQualification] == row.qualification, "\(row.name)")
      #expect(guest.vmcs[.exitInstructionInformation] == row.information, "\(row.name)")
      #expect(guest.vmcs[.exitInstructionLength] == UInt64(row.code.count), "\(row.name)")
      #expect(guest.vmcs[.guestRIP] == Place.code, "\(row.name)")
      #expect(guest.cpu.clock.pointee.instructions == 0, "\(row.name)")
    }
  }

  /// Without the controls, none of the conditional ones exits: the guest comes to its HLT.
  @Test func executesWithoutTheControls() throws {
    for row in Self.rows where row.isConditional {
      let guest = try guest(row)
      guest.enable(row.secondary.intersection([.enableRDTSCP]))
      guest.setGate(13, to: Place.handler)
      guest.place([0x90], at: Place.handler)
      if row.name.hasPrefix("mov cr3") { guest.registers.pointee.rax = Place.pml4 }
      if row.name.hasPrefix("mov cr8") { guest.registers.pointee.rdx = 1 }
      if row.name.hasPrefix("lldt") { guest.registers.pointee.rcx = 0 }
      #expect(guest.run() == .exit(ExitReasonField(.hlt)), "\(row.name)")
      #expect(guest.vmcs[.guestRIP] == Place.code + UInt64(row.code.count), "\(row.name)")
    }
  }

  @Test func privilegeFaultsComeBeforeExits() throws {
    for code: [UInt8] in [
      [0xF4], [0x0F, 0x20, 0xD8], [0x0F, 0x21, 0xF8], [0x0F, 0x08], [0x0F, 0x32], [0xEC],
    ] {
      let guest = try SystemGuest(code)
      guest.enterUserMode()
      guest.enable([.cr3StoreExiting, .movDRExiting, .unconditionalIOExiting])
      guest.vmcs[.exceptionBitmap] = 1 << 13
      guest.expectExit(.exceptionOrNMI)
      #expect(guest.vmcs[.exitInterruptionInformation] == 0x8000_0B0D)
    }
    // VMX instructions exit whatever the CPL.
    let guest = try SystemGuest([0x0F, 0x78, 0xCA])
    guest.enterUserMode()
    guest.expectExit(.vmread)
  }

  @Test func ioBitmaps() throws {
    let guest = try SystemGuest([0xEF])
    guest.enable(.useIOBitmaps)
    guest.place([0xF4], at: Place.code + 1)
    guest.place([0x04], at: Place.ioBitmapA + 0x3FA / 8)
    guest.registers.pointee.rdx = 0x3F8
    guest.expectExit(.ioInstruction)
    guest.vmcs[.guestRIP] = Place.code
    guest.registers.pointee.rdx = 0x3FB
    guest.expectExit(.hlt)
    guest.vmcs[.guestRIP] = Place.code
    guest.place([0x01], at: Place.ioBitmapB)
    guest.registers.pointee.rdx = 0x7FFE
    guest.expectExit(.ioInstruction)
    #expect(guest.vmcs[.exitQualification] == 0x7FFE_0003, "7FFEH to 8001H, in both bitmaps")
    guest.vmcs[.guestRIP] = Place.code
    guest.registers.pointee.rdx = 0xFFFE
    guest.expectExit(.ioInstruction)
  }

  @Test func stringPortsReportTheirLinearAddress() throws {
    let guest = try SystemGuest([0x64, 0x6E])  // outsb fs:[rsi]
    guest.enable(.unconditionalIOExiting)
    guest.vmcs[.guestFSBase] = 0x1_0000
    guest.registers.pointee.rsi = 0x20
    guest.expectExit(.ioInstruction)
    #expect(guest.vmcs[.guestLinearAddress] == 0x1_0020)
    #expect(guest.vmcs[.exitInstructionInformation] == 4 << 15 | 2 << 7)
  }

  @Test func msrBitmaps() throws {
    for (index, isWrite, offset) in [
      (UInt64(0x10), false, UInt64(0)), (0x1B, true, 2048), (0xC000_0080, false, 1024),
      (0xC000_0081, true, 3072),
    ] {
      let guest = try SystemGuest(isWrite ? [0x0F, 0x30] : [0x0F, 0x32])
      guest.enable(.useMSRBitmaps)
      guest.registers.pointee.rcx = index
      let bit = index & 0x1FFF
      guest.place([1 << UInt8(bit & 7)], at: Place.msrBitmap + offset + bit / 8)
      guest.expectExit(isWrite ? .wrmsr : .rdmsr)
    }
    let guest = try SystemGuest([0x0F, 0x32, 0xF4])
    guest.enable(.useMSRBitmaps)
    guest.registers.pointee.rcx = 0xC000_0080
    guest.expectExit(.hlt)
    #expect(guest.registers.pointee.rax == 0xD01)
    guest.vmcs[.guestRIP] = Place.code
    guest.registers.pointee.rcx = 0x4000_0000
    guest.expectExit(.rdmsr)
  }

  @Test func controlRegisterMasks() throws {
    // mov cr0, rax; mov rbx, cr0; hlt
    let guest = try SystemGuest([0x0F, 0x22, 0xC0, 0x0F, 0x20, 0xC3, 0xF4])
    guest.vmcs[.cr0GuestHostMask] = 0x28
    guest.vmcs[.cr0ReadShadow] = 0x08
    guest.registers.pointee.rax = 0x8001_001B
    guest.expectExit(.hlt)
    #expect(guest.registers.pointee.rbx == 0x8001_001B, "TS from the shadow, NE from it too")
    #expect(guest.vmcs[.guestCR0] == 0x8001_0033, "owned bits keep their values")
    guest.vmcs[.guestRIP] = Place.code
    guest.registers.pointee.rax = 0x8001_0013
    guest.expectExit(.controlRegisterAccess)
    #expect(guest.vmcs[.exitQualification] == 0)
  }

  @Test func cr3Targets() throws {
    let guest = try SystemGuest([0x0F, 0x22, 0xD8, 0xF4])
    guest.enable(.cr3LoadExiting)
    guest.registers.pointee.rax = Place.pml4
    guest.vmcs[.cr3TargetCount] = 1
    guest.vmcs[.cr3Target1] = Place.pml4
    guest.expectExit(.controlRegisterAccess)
    guest.vmcs[.cr3TargetCount] = 2
    guest.expectExit(.hlt)
  }

  @Test func cltsAndLMSW() throws {
    let clts = try SystemGuest([0x0F, 0x06, 0xF4])
    clts.vmcs[.guestCR0] |= 8
    clts.vmcs[.cr0GuestHostMask] = 8
    clts.expectExit(.hlt)
    #expect(clts.vmcs[.guestCR0] & 8 == 8, "host-owned with a clear shadow: nothing happens")
    clts.vmcs[.guestRIP] = Place.code
    clts.vmcs[.cr0ReadShadow] = 8
    clts.expectExit(.controlRegisterAccess)
    #expect(clts.vmcs[.exitQualification] == 0x20)

    let lmsw = try SystemGuest([0x0F, 0x01, 0xF0])  // lmsw ax
    lmsw.registers.pointee.rax = 0xABC9
    lmsw.vmcs[.cr0GuestHostMask] = 8
    lmsw.expectExit(.controlRegisterAccess)
    #expect(lmsw.vmcs[.exitQualification] == 0xABC9_0030)
  }

  /// SDM, "Changes to Instruction Behavior in VMX Non-Root Operation".
  @Test func vmfuncExitsOrIsUndefined() throws {
    for (isEnabled, function, reason) in [
      (true, UInt64(0), ExitReason.vmfunc), (true, 64, .exceptionOrNMI), (false, 0, .exceptionOrNMI),
    ] {
      let guest = try SystemGuest([0x0F, 0x01, 0xD4])
      if isEnabled { guest.enable(.enableVMFunctions) }
      guest.vmcs[.exceptionBitmap] = 1 << 6
      guest.registers.pointee.rax = function
      guest.expectExit(reason)
    }
  }

  /// SDM, "Instructions That Cause VM Exits Conditionally".
  @Test func pauseLoopExiting() throws {
    // pause; jmp to it
    let loop: [UInt8] = [0xF3, 0x90, 0xEB, 0xFC]
    let guest = try SystemGuest(loop)
    guest.enable(.pauseLoopExiting)
    guest.vmcs[.pleGap] = 10
    guest.vmcs[.pleWindow] = 100
    guest.cpu.clock.pointee.cycles = 1000
    guest.expectExit(.pause)
    #expect(guest.vmcs[.guestRIP] == Place.code)
    #expect((1101...1104).contains(guest.cpu.clock.pointee.cycles))

    let user = try SystemGuest(loop)
    user.enable(.pauseLoopExiting)
    user.enable(.activatePreemptionTimer)
    user.vmcs[.preemptionTimerValue] = 10_000
    user.enterUserMode()
    user.expectExit(.preemptionTimerExpired)

    let slow = try SystemGuest([0xF3, 0x90] + [UInt8](repeating: 0x90, count: 12) + [0xEB, 0xF0])
    slow.enable(.pauseLoopExiting)
    slow.enable(.activatePreemptionTimer)
    slow.vmcs[.pleGap] = 10
    slow.vmcs[.preemptionTimerValue] = 10_000
    slow.expectExit(.preemptionTimerExpired)
  }

  @Test func tscScaling() throws {
    // rdtsc; hlt
    let guest = try SystemGuest([0x0F, 0x31, 0xF4])
    guest.enable(.useTSCOffsetting)
    guest.enable(.useTSCScaling)
    guest.vmcs[.tscOffset] = 5
    guest.vmcs[.tscMultiplier] = TSCScaling.one << 2
    guest.cpu.clock.pointee.cycles = 1000
    guest.expectExit(.hlt)
    #expect(guest.registers.pointee.rax == 4005)
  }

  @Test func tscOffsetting() throws {
    let guest = try SystemGuest([0x90, 0x90, 0x0F, 0x31, 0xF4])
    guest.enable(.useTSCOffsetting)
    guest.vmcs[.tscOffset] = 0x10_0000_0000
    guest.cpu.clock.pointee.cycles = 1000
    guest.expectExit(.hlt)
    #expect(guest.registers.pointee.rax == 1002, "exact at the instruction")
    #expect(guest.registers.pointee.rdx == 0x10)
  }

  @Test func msrLists() throws {
    let guest = try SystemGuest([0xF4])
    guest[Place.list] = 0xC000_0082
    guest[Place.list + 8] = 0x1234
    guest.vmcs[.entryMSRLoadAddress] = Place.list
    guest.vmcs[.entryMSRLoadCount] = 1
    guest[Place.list + 0x100] = 0xC000_0082
    guest.vmcs[.exitMSRStoreAddress] = Place.list + 0x100
    guest.vmcs[.exitMSRStoreCount] = 1
    guest[Place.list + 0x200] = 0xC000_0082
    guest[Place.list + 0x208] = 0x5678
    guest.vmcs[.exitMSRLoadAddress] = Place.list + 0x200
    guest.vmcs[.exitMSRLoadCount] = 1
    guest.expectExit(.hlt)
    #expect(guest[Place.list + 0x108] == 0x1234)
    #expect(guest.cpu.readMSR(0xC000_0082) == 0x5678)

    guest[Place.list + 16] = 0xC000_0100
    guest.vmcs[.entryMSRLoadCount] = 2
    #expect(guest.run() == .exit(ExitReasonField(.entryFailureMSRLoading, entryFailure: true)))
    #expect(guest.vmcs[.exitQualification] == 2)
  }
}
