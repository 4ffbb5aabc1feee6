import Testing
import VMX
import X86

private typealias Place = SystemGuest.Place

/// The TPR, virtual interrupts and posted interrupts (SDM volume 3, "APIC Virtualization and Virtual Interrupts").
@Suite(.onTestedProcessor) struct SystemVirtualInterruptTests {
  private static let delivery: SecondaryProcessorBasedControls = .virtualInterruptDelivery
  private static let x2APIC: SecondaryProcessorBasedControls = [
    .virtualInterruptDelivery, .virtualizeX2APICMode,
  ]
  /// `mov cr8, rcx` and `mov rdx, cr8`
  private static let setCR8: [UInt8] = [0x44, 0x0F, 0x22, 0xC1]
  private static let getCR8: [UInt8] = [0x44, 0x0F, 0x20, 0xC2]
  private static let rdmsr: [UInt8] = [0x0F, 0x32]
  private static let wrmsr: [UInt8] = [0x0F, 0x30]

  /// A guest with MSR bitmaps that let everything through.
  private func guest(
    _ code: [UInt8], _ secondary: SecondaryProcessorBasedControls, interrupts: Bool = true
  ) throws -> VirtualAPICGuest {
    let guest = try VirtualAPICGuest(code, secondary)
    guest.guest.enable(.useMSRBitmaps)
    guest.vmcs[.guestRFLAGS] = interrupts ? 0x202 : 2
    guest.guest.place([0x0F, 0x01, 0xC1], at: Place.handler)
    return guest
  }

  private func expectDelivery(
    of vector: UInt8, in guest: VirtualAPICGuest, sourceLocation: SourceLocation = #_sourceLocation
  ) {
    guest.expectEnd(sourceLocation: sourceLocation)
    #expect(guest.vmcs[.guestRIP] == Place.handler, sourceLocation: sourceLocation)
    #expect(guest.vmcs.guestInterruptStatus.inService == vector, sourceLocation: sourceLocation)
    #expect(
      guest.contains(vector, in: VirtualAPICRegister.inService), sourceLocation: sourceLocation)
    #expect(!guest.contains(vector, in: VirtualAPICRegister.request), sourceLocation: sourceLocation)
    #expect(
      guest[VirtualAPICRegister.processorPriority] == UInt32(vector & 0xF0), sourceLocation: sourceLocation)
  }

  private func expectNoDelivery(
    in guest: VirtualAPICGuest, sourceLocation: SourceLocation = #_sourceLocation
  ) {
    guest.expectEnd(sourceLocation: sourceLocation)
    #expect(guest.vmcs[.guestRIP] != Place.handler, sourceLocation: sourceLocation)
  }

  // MARK: The TPR shadow

  @Test func cr8IsInTheVirtualAPICPage() throws {
    let guest = try guest(Self.setCR8 + Self.getCR8, [])
    guest.registers.pointee.rcx = 0xB
    guest[0x80] = 0xFFFF_FFFF
    guest.expectEnd()
    #expect(guest[0x80] == 0xB0)
    #expect(guest.registers.pointee.rdx == 0xB)
  }

  @Test func cr8HasFourBits() throws {
    let guest = try guest(Self.setCR8, [])
    guest.registers.pointee.rcx = 0x10
    guest.vmcs[.exceptionBitmap] = 1 << 13
    guest.expectExit(.exceptionOrNMI)
    #expect(guest[0x80] == 0)
  }

  @Test func exitsOfCR8ComeBeforeTheShadow() throws {
    let guest = try guest(Self.setCR8, [])
    guest.guest.enable(.cr8LoadExiting)
    guest.registers.pointee.rcx = 1
    guest.expectExit(.controlRegisterAccess)
    #expect(guest[0x80] == 0)
  }

  @Test func aTaskPriorityBelowTheThresholdExits() throws {
    for priority: UInt64 in 0...15 {
      let guest = try guest(Self.setCR8, [])
      guest.vmcs[.tprThreshold] = 9
      guest[0x80] = 0xF0
      guest.registers.pointee.rcx = priority
      if priority < 9 {
        guest.expectExit(.tprBelowThreshold)
        #expect(guest.vmcs[.guestRIP] == Place.code + 4 && guest.vmcs[.exitInstructionLength] == 0)
      } else {
        guest.expectEnd()
      }
      #expect(guest[0x80] == UInt32(priority) << 4)
    }
  }

  @Test func theThresholdIsLookedAtBehindVMEntryToo() throws {
    let guest = try guest([], .virtualizeAPICAccesses, interrupts: false)
    guest.vmcs[.tprThreshold] = 3
    guest[0x80] = 0x2F
    guest.expectExit(.tprBelowThreshold)
    #expect(guest.vmcs[.guestRIP] == Place.code)
    guest[0x80] = 0x30
    guest.expectEnd()
  }

  @Test func anInjectedEventPrecedesTheExitOfTheThreshold() throws {
    let guest = try guest([], .virtualizeAPICAccesses)
    guest.vmcs[.tprThreshold] = 1
    guest.vmcs.entryInterruptionInformation = InterruptionInformation(vector: 0x51, kind: .externalInterrupt)
    guest.expectExit(.tprBelowThreshold)
    #expect(guest.vmcs[.guestRIP] == Place.handler)
  }

  @Test func haltedGuestsExitByTheThreshold() throws {
    let guest = try guest([], .virtualizeAPICAccesses)
    guest.vmcs[.tprThreshold] = 1
    guest.vmcs[.guestActivityState] = 1
    guest.expectExit(.tprBelowThreshold)
  }

  // MARK: Recognition and delivery

  @Test func aRequestAboveThePriorityIsDelivered() throws {
    for (taskPriority, isDelivered): (UInt32, Bool) in [
      (0, true), (0x4F, true), (0x50, false), (0xF0, false),
    ] {
      let guest = try guest([0x90], Self.delivery)
      guest[0x80] = taskPriority
      guest.vmcs[.guestInterruptStatus] = 0x51
      guest.insert(0x51, into: VirtualAPICRegister.request)
      if isDelivered {
        expectDelivery(of: 0x51, in: guest)
        #expect(guest.vmcs.guestInterruptStatus.requested == 0)
      } else {
        expectNoDelivery(in: guest)
        #expect(guest[VirtualAPICRegister.processorPriority] == taskPriority)
      }
    }
  }

  @Test func theInterruptInServiceHoldsBackItsClass() throws {
    let guest = try guest([0x90], Self.delivery)
    guest.vmcs[.guestInterruptStatus] = 0x5152
    expectNoDelivery(in: guest)
    #expect(guest[VirtualAPICRegister.processorPriority] == 0x50)
    guest.vmcs[.guestInterruptStatus] = 0x5161
    guest.vmcs[.guestRIP] = Place.code
    expectDelivery(of: 0x61, in: guest)
  }

  @Test func theNextRequestIsTheHighestLeft() throws {
    let guest = try guest([0x90], Self.delivery)
    guest.insert(0x33, into: VirtualAPICRegister.request)
    guest.insert(0x47, into: VirtualAPICRegister.request)
    guest.insert(0x51, into: VirtualAPICRegister.request)
    guest.vmcs[.guestInterruptStatus] = 0x51
    expectDelivery(of: 0x51, in: guest)
    #expect(guest.vmcs.guestInterruptStatus.requested == 0x47)
  }

  @Test func deliveryWaitsForTheInterruptFlag() throws {
    // sti; nop; nop
    let guest = try guest([0xFB, 0x90, 0x90], Self.delivery, interrupts: false)
    guest.vmcs[.guestInterruptStatus] = 0x51
    expectDelivery(of: 0x51, in: guest)
    let returnAddress = guest.guest[guest.vmcs[.guestRSP]]
    #expect(returnAddress == Place.code + 2, "STI blocks for one instruction")
  }

  @Test func interruptWindowExitingComesFirst() throws {
    let guest = try guest([0x90], Self.delivery)
    guest.vmcs[.guestInterruptStatus] = 0x51
    guest.guest.enable(.interruptWindowExiting)
    guest.expectExit(.interruptWindow)
    #expect(guest.vmcs.guestInterruptStatus.requested == 0x51)
  }

  @Test func aVirtualInterruptEndsHLT() throws {
    for (interrupts, state): (Bool, UInt64) in [(true, 1), (false, 1), (true, 2)] {
      let guest = try guest([0x90], Self.delivery, interrupts: interrupts)
      guest.vmcs[.guestActivityState] = state
      guest.vmcs[.guestInterruptStatus] = 0x51
      if interrupts, state == 1 {
        expectDelivery(of: 0x51, in: guest)
        #expect(guest.vmcs[.guestActivityState] == 0)
      } else {
        #expect(guest.guest.run() == .stopped(.idle), "masked, or in shutdown")
      }
    }
  }

  @Test func anExitOfTheDeliveryReportsTheVector() throws {
    let guest = try guest([0x90], Self.delivery)
    guest.vmcs[.guestInterruptStatus] = 0x51
    guest.vmcs[.guestIDTRLimit] = 0
    guest.vmcs[.exceptionBitmap] = 1 << 13
    guest.expectExit(.exceptionOrNMI)
    let event = guest.vmcs.idtVectoringInformation
    #expect(event.isValid && event.vector == 0x51 && event.kind == .externalInterrupt)
    #expect(guest.vmcs.guestInterruptStatus.inService == 0x51, "it is in service all the same")
  }

  @Test func loweringTheTaskPriorityLetsARequestIn() throws {
    let guest = try guest(Self.setCR8 + [0x90], Self.delivery)
    guest[0x80] = 0xF0
    guest.vmcs[.guestInterruptStatus] = 0x51
    guest.registers.pointee.rcx = 4
    expectDelivery(of: 0x51, in: guest)
    #expect(guest.guest[guest.vmcs[.guestRSP]] == Place.code + 4)
  }

  // MARK: x2APIC mode

  private func msrGuest(
    _ code: [UInt8], _ index: UInt64, _ secondary: SecondaryProcessorBasedControls, value: UInt64 = 0
  ) throws -> VirtualAPICGuest {
    let guest = try guest(code, secondary)
    guest.registers.pointee.rcx = index
    guest.registers.pointee.rax = value & 0xFFFF_FFFF
    guest.registers.pointee.rdx = value >> 32
    guest.vmcs[.exceptionBitmap] = 1 << 13
    return guest
  }

  @Test func everyRegisterIsReadWithRegisterVirtualization() throws {
    for index: UInt64 in [0x800, 0x802, 0x808, 0x80A, 0x830, 0x8FF] {
      let guest = try msrGuest(Self.rdmsr, index, [.virtualizeX2APICMode, .apicRegisterVirtualization])
      guest.guest[VirtualAPICGuest.virtualAPIC + (index & 0xFF) << 4] = 0x1122_3344_5566_7788
      guest.expectEnd()
      #expect(guest.registers.pointee.rax == 0x5566_7788 && guest.registers.pointee.rdx == 0x1122_3344)
    }
  }

  @Test func withoutItTheTaskPriorityAloneIsRead() throws {
    let guest = try msrGuest(Self.rdmsr, 0x808, .virtualizeX2APICMode)
    guest[0x80] = 0x35
    guest.expectEnd()
    #expect(guest.registers.pointee.rax == 0x35)
    try msrGuest(Self.rdmsr, 0x802, .virtualizeX2APICMode).expectExit(.exceptionOrNMI)
    try msrGuest(Self.rdmsr, 0x808, []).expectExit(.exceptionOrNMI)
  }

  @Test func interceptsOfTheBitmapComeFirst() throws {
    let guest = try msrGuest(Self.rdmsr, 0x808, .virtualizeX2APICMode)
    guest.guest[Place.msrBitmap + 0x100] = 1 << 8
    guest.expectExit(.rdmsr)
  }

  @Test func writesHaveReservedBits() throws {
    let cases: [(index: UInt64, value: UInt64)] = [
      (0x808, 0x100), (0x808, 1 << 32), (0x80B, 1), (0x80B, 1 << 40), (0x83F, 0x151), (0x83F, 1 << 32),
    ]
    for (index, value) in cases {
      let guest = try msrGuest(Self.wrmsr, index, Self.x2APIC, value: value)
      guest.expectExit(.exceptionOrNMI)
      #expect(guest[(index & 0xFF) << 4] == 0)
    }
  }

  @Test func otherRegistersAreNotWritten() throws {
    try msrGuest(Self.wrmsr, 0x830, Self.x2APIC, value: 0x4_0051).expectExit(.exceptionOrNMI)
    try msrGuest(Self.wrmsr, 0x80B, .virtualizeX2APICMode).expectExit(.exceptionOrNMI)
  }

  @Test func theTaskPriorityIsWritten() throws {
    let guest = try msrGuest(Self.wrmsr, 0x808, .virtualizeX2APICMode, value: 0x2F)
    guest.vmcs[.tprThreshold] = 3
    guest[0x80] = 0xF0
    guest.expectExit(.tprBelowThreshold)
    #expect(guest[0x80] == 0x2F)
  }

  @Test func selfIPIs() throws {
    let guest = try msrGuest(Self.wrmsr + [0x90], 0x83F, Self.x2APIC, value: 0x51)
    expectDelivery(of: 0x51, in: guest)
    let illegal = try msrGuest(Self.wrmsr, 0x83F, Self.x2APIC, value: 0x0F)
    illegal.expectExit(.apicWrite, qualification: 0x3F0)
    #expect(illegal[0x3F0] == 0x0F)
  }

  @Test func selfIPIsThroughTheInterruptCommand() throws {
    let controls: SecondaryProcessorBasedControls = [.virtualizeAPICAccesses, .virtualInterruptDelivery]
    // mov [rax+300h], ecx; nop
    let code: [UInt8] = [0x89, 0x88, 0, 3, 0, 0, 0x90]
    let guest = try guest(code, controls)
    guest.registers.pointee.rcx = 0x4_0051
    expectDelivery(of: 0x51, in: guest)
    // Another destination, level, delivery mode, vector; reserved bits and the delivery status.
    for command: UInt64 in [
      0x0_0051, 0x8_0051, 0xC_0051, 0x4_8051, 0x4_0451, 0x4_000F, 0x4_1051, 0x4_2051, 0x5_0051, 0x6_0051,
      0x14_0051,
    ] {
      let other = try self.guest(code, controls)
      other.registers.pointee.rcx = command
      other.expectExit(.apicWrite, qualification: 0x300)
    }
  }

  // MARK: EOI virtualization

  @Test func endOfInterruptUncoversTheNext() throws {
    let guest = try msrGuest(Self.wrmsr + [0x90], 0x80B, Self.x2APIC)
    guest.vmcs[.guestInterruptStatus] = 0x6151
    guest.insert(0x61, into: VirtualAPICRegister.inService)
    guest.insert(0x33, into: VirtualAPICRegister.inService)
    expectDelivery(of: 0x51, in: guest)
    #expect(!guest.contains(0x61, in: VirtualAPICRegister.inService))
    #expect(guest.contains(0x33, in: VirtualAPICRegister.inService))
  }

  @Test func endOfInterruptLeavesThePriorityOfWhatIsInService() throws {
    let guest = try msrGuest(Self.wrmsr, 0x80B, Self.x2APIC)
    guest.vmcs[.guestInterruptStatus] = 0x6100
    guest.insert(0x61, into: VirtualAPICRegister.inService)
    guest.insert(0x33, into: VirtualAPICRegister.inService)
    guest.expectEnd()
    #expect(guest.vmcs.guestInterruptStatus.inService == 0x33)
    #expect(guest[VirtualAPICRegister.processorPriority] == 0x30)
  }

  @Test func theBitmapInducesExits() throws {
    let fields: [(VMCSField, UInt8)] = [
      (.eoiExitBitmap0, 0x21), (.eoiExitBitmap1, 0x61), (.eoiExitBitmap2, 0x91), (.eoiExitBitmap3, 0xFF),
    ]
    for (field, vector) in fields {
      let guest = try msrGuest(Self.wrmsr, 0x80B, Self.x2APIC)
      guest.vmcs[.guestInterruptStatus] = UInt64(vector) << 8
      guest.vmcs[field] = 1 << UInt64(vector & 63)
      guest.expectExit(.virtualizedEOI, qualification: UInt64(vector))
      #expect(guest.vmcs[.guestRIP] == Place.code + 2 && guest.vmcs.guestInterruptStatus.inService == 0)
    }
  }

  @Test func endOfInterruptThroughMemory() throws {
    let controls: SecondaryProcessorBasedControls = [.virtualizeAPICAccesses, .virtualInterruptDelivery]
    let guest = try guest([0x89, 0x88, 0xB0, 0, 0, 0], controls)
    guest.registers.pointee.rcx = 0x1234
    guest.vmcs[.guestInterruptStatus] = 0x5100
    guest.expectEnd()
    #expect(guest[0xB0] == 0 && guest.vmcs.guestInterruptStatus.inService == 0)
  }

  // MARK: Posted interrupts

  private func postedGuest(_ code: [UInt8], interrupts: Bool = true) throws -> VirtualAPICGuest {
    let guest = try guest(code, Self.delivery, interrupts: interrupts)
    guest.guest.enable(.processPostedInterrupts)
    guest.vmcs.exitControls.insert(.acknowledgeInterruptOnExit)
    guest.vmcs[.postedInterruptNotificationVector] = VirtualAPICGuest.notification
    guest.vmcs[.postedInterruptDescriptorAddress] = VirtualAPICGuest.descriptor
    return guest
  }

  @Test func aNotificationTakesOverWhatIsPosted() throws {
    let guest = try postedGuest([0x90])
    guest.guest[VirtualAPICGuest.descriptor] = 1 << 0x33
    guest.guest[VirtualAPICGuest.descriptor + 8] = 1 << 0x11
    guest.guest[VirtualAPICGuest.descriptor + 32] = 0x7701
    guest.guest.cpu.externalInterrupt = UInt8(VirtualAPICGuest.notification)
    expectDelivery(of: 0x51, in: guest)
    #expect(guest.guest.cpu.externalInterrupt == nil)
    #expect(
      guest.guest[VirtualAPICGuest.descriptor] == 0 && guest.guest[VirtualAPICGuest.descriptor + 8] == 0)
    #expect(guest.guest[VirtualAPICGuest.descriptor + 32] == 0x7700)
    #expect(guest.contains(0x33, in: VirtualAPICRegister.request))
    #expect(guest.vmcs.guestInterruptStatus.requested == 0x33)
  }

  @Test func itIsTakenWhateverTheInterruptFlag() throws {
    let guest = try postedGuest([0x90], interrupts: false)
    guest.guest[VirtualAPICGuest.descriptor + 8] = 1 << 0x11
    guest.guest.cpu.externalInterrupt = UInt8(VirtualAPICGuest.notification)
    expectNoDelivery(in: guest)
    #expect(guest.vmcs.guestInterruptStatus.requested == 0x51)
  }

  @Test func otherVectorsExitAcknowledged() throws {
    let guest = try postedGuest([0x90])
    guest.guest[VirtualAPICGuest.descriptor] = 1 << 0x33
    guest.guest.cpu.externalInterrupt = 0xF1
    guest.expectExit(.externalInterrupt)
    #expect(guest.vmcs.exitInterruptionInformation.vector == 0xF1)
    #expect(guest.guest[VirtualAPICGuest.descriptor] == 1 << 0x33)
  }
}
