import Hypervisor
import Processor
import Testing
import Trace
import VMX
import X86

/// APIC virtualization of L2 as L0 carries it out: posted interrupts, and a virtual TPR that falls by itself.
@Suite struct VirtualAPICRunTests {
  private enum Place {
    static let msrBitmap: UInt64 = 0x20_3000
    static let virtualAPIC: UInt64 = 0x20_5000
    static let descriptor: UInt64 = 0x20_6000
  }

  private static let notification: UInt64 = 0xF2

  private static func wrmsr(_ index: UInt64, _ value: UInt64) -> ScriptedProcessor.Step {
    ScriptedProcessor.step(.wrmsr) {
      $1.registers.pointee.rcx = index
      $1.registers.pointee.rax = value & 0xFFFF_FFFF
      $1.registers.pointee.rdx = value >> 32
    }
  }

  /// L1 turns its APIC to x2APIC mode and on.
  private static var enableAPIC: [ScriptedProcessor.Step] { [wrmsr(0x1B, 0xFEE0_0D00), wrmsr(0x80F, 0x1FF)] }

  private static func prepare(_ vmcs: VMCS) {
    vmcs.pinBasedControls.insert([.externalInterruptExiting, .processPostedInterrupts])
    vmcs.primaryProcessorBasedControls.insert([.useTPRShadow, .useMSRBitmaps, .activateSecondaryControls])
    vmcs.secondaryProcessorBasedControls = .virtualInterruptDelivery
    vmcs.exitControls.insert(.acknowledgeInterruptOnExit)
    vmcs[.msrBitmap] = Place.msrBitmap
    vmcs[.virtualAPICAddress] = Place.virtualAPIC
    vmcs[.postedInterruptDescriptorAddress] = Place.descriptor
    vmcs[.postedInterruptNotificationVector] = notification
    vmcs[.guestInterruptStatus] = 0
  }

  @Test func aNotificationCausesNoExitToL1() throws {
    var status: UInt64 = 0
    var descriptor: [UInt64] = []
    var interruption = InterruptionInformation.none
    let post: ScriptedProcessor.Step = { vmcs, processor in
      let posted = NestedScript.ram(processor) + Int(Place.descriptor)
      posted.storeBytes(of: 1 << 0x11, toByteOffset: 8, as: UInt64.self)
      posted.storeBytes(of: 1, toByteOffset: 32, as: UInt64.self)
      return Self.wrmsr(0x83F, Self.notification)(vmcs, processor)
    }
    let look: ScriptedProcessor.Step = { vmcs, processor in
      status = vmcs[.guestInterruptStatus]
      let posted = NestedScript.ram(processor) + Int(Place.descriptor)
      descriptor = [8, 32].map { posted.load(fromByteOffset: $0, as: UInt64.self) }
      return Self.wrmsr(0x83F, 0xF3)(vmcs, processor)
    }
    let end: ScriptedProcessor.Step = { vmcs01, processor in
      let vmcs12 = processor.registers.pointee.rax
      interruption = InterruptionInformation(rawValue: UInt32(truncatingIfNeeded: vmcs12))
      return ScriptedProcessor.debugExit(0)(vmcs01, processor)
    }
    let machine = try scriptedMachine(
      Self.enableAPIC + NestedScript.launch(Self.prepare) + [
        post, look, ScriptedProcessor.step(.externalInterrupt),
        NestedScript.vmread(.exitInterruptionInformation), end,
      ])
    let result = machine.run()
    #expect(status == 0x51)
    #expect(descriptor == [0, 0])
    #expect(
      interruption == InterruptionInformation(vector: 0xF3, kind: .externalInterrupt), "the other vector")
    #expect(count(result, .l2, .externalInterrupt, .l1) == 1)
    #expect(count(result, .l2, .externalInterrupt, .l0) == 0)
  }

  @Test func aVirtualTPRThatFallsByItselfIsAnExitToL1() throws {
    let steps = NestedScript.launch {
      $0.primaryProcessorBasedControls.insert(.useTPRShadow)
      $0[.virtualAPICAddress] = Place.virtualAPIC
    }
    let refuse: ScriptedProcessor.Step = { vmcs, _ in
      // L1 has a threshold of 0 in these tests, so that vmcs02's stands for it.
      vmcs[.tprThreshold] = 4
      return .failed(.entryInvalidControlFields)
    }
    let result = try scriptedMachine(steps + [refuse, ScriptedProcessor.debugExit(0)]).run()
    #expect(count(result, .l2, .tprBelowThreshold, .l1) == 1)
  }
}
