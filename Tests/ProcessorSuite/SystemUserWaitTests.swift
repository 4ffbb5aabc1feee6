import Processor
import Testing
import VMX
import X86

private typealias Place = SystemGuest.Place

/// UMONITOR, UMWAIT and TPAUSE, with their VM-execution control and IA32_UMWAIT_CONTROL.
@Suite struct SystemUserWaitTests {
  /// tpause %ecx; hlt
  private static let tpause: [UInt8] = [0x66, 0x0F, 0xAE, 0xF1, 0xF4]
  /// umonitor %rsi; umwait %ecx; hlt
  private static let umwait: [UInt8] = [0xF3, 0x0F, 0xAE, 0xF6, 0xF2, 0x0F, 0xAE, 0xF1, 0xF4]
  private static let start: UInt64 = 1000

  private func guest(
    _ code: [UInt8], until deadline: UInt64, isEnabled: Bool = true
  ) throws -> SystemGuest {
    let guest = try SystemGuest(code)
    if isEnabled { guest.enable(.enableUserWaitAndPause) }
    guest.cpu.clock.pointee.cycles = Self.start
    (guest.registers.pointee.rax, guest.registers.pointee.rdx) = (deadline & 0xFFFF_FFFF, deadline >> 32)
    guest.registers.pointee.rcx = 1
    guest.registers.pointee.rsi = Place.data
    guest.vmcs[.exceptionBitmap] = 0xFFFF_FFFF
    // All status flags, of which the instructions clear all but CF.
    guest.vmcs[.guestRFLAGS] |= RFLAGS.status.rawValue
    return guest
  }

  private func status(_ guest: SystemGuest) -> RFLAGS {
    RFLAGS(rawValue: guest.vmcs[.guestRFLAGS]).intersection(.status)
  }

  @Test(arguments: [tpause, umwait])
  func waitsUntilTheDeadline(_ code: [UInt8]) throws {
    let guest = try guest(code, until: 5000)
    guest.expectExit(.hlt)
    #expect((5000...5002).contains(guest.cpu.clock.pointee.cycles))
    #expect(guest.cpu.clock.pointee.pausedCycles >= 3990)
    #expect(status(guest) == [])
  }

  @Test func aDeadlineThatIsOverIsNoWait() throws {
    let guest = try guest(Self.tpause, until: 10)
    guest.expectExit(.hlt)
    #expect(guest.cpu.clock.pointee.cycles < Self.start + 5 && status(guest) == [])
  }

  /// SDM volume 2, "UMWAIT": without an armed monitor there is nothing to wait for, and a wait uses it up.
  @Test func theMonitorIsArmedForOneWait() throws {
    let unarmed = try guest(Array(Self.umwait.dropFirst(4)), until: 5000)
    unarmed.expectExit(.hlt)
    #expect(unarmed.cpu.clock.pointee.cycles < Self.start + 5)
    let twice = try guest(
      Array(Self.umwait.dropLast()) + [0xB8, 0, 0, 1, 0] + Array(Self.umwait.dropFirst(4)), until: 5000)
    twice.expectExit(.hlt)
    #expect(twice.cpu.clock.pointee.cycles < 5010)
  }

  /// SDM volume 4, IA32_UMWAIT_CONTROL: CF tells that the operating system's limit has ended the wait.
  @Test func theOperatingSystemLimitsTheWait() throws {
    let guest = try guest(Self.tpause, until: 5000)
    #expect(guest.cpu.writeMSR(0xE1, 401))
    guest.expectExit(.hlt)
    #expect((Self.start + 400...Self.start + 402).contains(guest.cpu.clock.pointee.cycles))
    #expect(status(guest) == .cf)
    for value: UInt64 in [2, 1 << 32] { #expect(!guest.cpu.writeMSR(0xE1, value)) }
    #expect(guest.cpu.readMSR(0xE1) == 401)
  }

  /// The deadline is one of the guest's TSC.
  @Test func theTSCIsTheGuests() throws {
    let guest = try guest(Self.tpause, until: 1_010_000)
    guest.enable(.useTSCOffsetting)
    guest.enable(.useTSCScaling)
    guest.vmcs[.tscOffset] = 1_000_000
    guest.vmcs[.tscMultiplier] = TSCScaling.one << 1
    guest.expectExit(.hlt)
    #expect((5000...5002).contains(guest.cpu.clock.pointee.cycles))
  }

  @Test func eventsEndTheWait() throws {
    let timed = try guest(Self.tpause, until: 5000)
    timed.enable(.activatePreemptionTimer)
    timed.vmcs[.preemptionTimerValue] = 100
    timed.expectExit(.preemptionTimerExpired)
    #expect(timed.vmcs[.guestRIP] == Place.code + 4 && timed.cpu.clock.pointee.cycles < Self.start + 110)
    // An interrupt that the guest has masked.
    let interrupted = try guest(Self.tpause, until: 5000)
    interrupted.cpu.externalInterrupt = 0x40
    interrupted.expectExit(.hlt)
    #expect(interrupted.cpu.clock.pointee.cycles < Self.start + 5)
  }

  struct Fault: Sendable {
    var prepare: @Sendable (SystemGuest) -> Void
    var vector: ExceptionVector
    var isEnabled = true
  }

  @Test func faults() throws {
    let cases = [
      Fault(prepare: { _ in }, vector: .invalidOpcode, isEnabled: false),
      // Without the control there is no VM exit either.
      Fault(prepare: { $0.enable(.rdtscExiting) }, vector: .invalidOpcode, isEnabled: false),
      Fault(prepare: { $0.registers.pointee.rcx = 2 }, vector: .generalProtection),
      Fault(
        prepare: {
          $0.enterUserMode()
          $0.vmcs[.guestCR4] |= CR4.tsd.rawValue
          // It comes before the VM exit.
          $0.enable(.rdtscExiting)
        }, vector: .generalProtection),
    ]
    for test in cases {
      let guest = try guest(Self.tpause, until: 5000, isEnabled: test.isEnabled)
      test.prepare(guest)
      guest.expectExit(.exceptionOrNMI)
      #expect(guest.vmcs[.exitInterruptionInformation] & 0xFF == UInt64(test.vector.rawValue))
    }
    let unmapped = try guest(Self.umwait, until: 5000)
    unmapped.registers.pointee.rsi = 1 << 47
    unmapped.expectExit(.exceptionOrNMI)
  }

  @Test func exits() throws {
    let guest = try guest(Self.tpause, until: 5000)
    guest.enable(.rdtscExiting)
    // Reserved bits are not looked at.
    guest.registers.pointee.rcx = 0xFFFF
    guest.expectExit(.tpause)
    #expect(guest.vmcs[.exitInstructionInformation] == 0x808 && guest.vmcs[.exitInstructionLength] == 4)
    #expect(guest.vmcs[.exitQualification] == 0 && guest.vmcs[.guestRIP] == Place.code)
  }
}
