import NestedVMX
import Testing
import VMX
import X86

@Suite("VMXON, VMXOFF and VMCALL")
struct OperationTests {
  let machine: TestMachine

  init() throws { machine = try TestMachine() }

  @Test func vmxonEntersVMXOperation() {
    machine.vmcs01[.guestRFLAGS] = 2 | RFLAGS.status.rawValue
    #expect(machine.execute(.vmxon, pointer: TestMachine.vmxonRegion) == .succeeded)
    #expect(machine.isInVMXOperation)
    #expect(machine.vmx.currentVMCS == nil)
    #expect(machine.flags.isEmpty)
    #expect(machine.vmcs01[.guestRIP] == 0x8004)
  }

  @Test func vmxonNeedsVMXE() {
    machine.vmcs01[.cr4ReadShadow] = CR4.pae.rawValue
    expectInvalidOpcode(machine.execute(.vmxon, pointer: TestMachine.vmxonRegion))
    #expect(machine.vmcs01[.guestRIP] == 0x8000)
  }

  @Test func modesThatRaiseInvalidOpcode() throws {
    let changes: [(VMCSField, UInt64)] = [
      (.guestCR0, 0x8001_0032), (.guestRFLAGS, 2 | RFLAGS.vm.rawValue), (.guestCSAccessRights, 0xC09B),
    ]
    for (field, value) in changes {
      let machine = try TestMachine()
      machine.vmcs01[field] = value
      expectInvalidOpcode(machine.execute(.vmxon, pointer: TestMachine.vmxonRegion))
      let entered = try TestMachine()
      entered.enterVMX()
      entered.vmcs01[field] = value
      for reason in instructionsOfRoot { expectInvalidOpcode(entered.execute(reason)) }
    }
  }

  @Test func privilegeAboveZeroRaisesGeneralProtection() throws {
    machine.vmcs01[.guestSSAccessRights] = 0xC0F3
    expectGeneralProtection(machine.execute(.vmxon, pointer: TestMachine.vmxonRegion))
    let entered = try TestMachine()
    entered.enterVMX()
    entered.vmcs01[.guestSSAccessRights] = 0xC0F3
    for reason in instructionsOfRoot { expectGeneralProtection(entered.execute(reason)) }
  }

  @Test func outsideVMXOperationAllElseIsInvalidOpcode() {
    for reason in instructionsOfRoot { expectInvalidOpcode(machine.execute(reason)) }
  }

  @Test func vmfuncIsInvalidOpcode() {
    machine.enterVMX()
    expectInvalidOpcode(machine.execute(.vmfunc))
  }

  @Test func vmxonChecksControlRegisters() {
    machine.vmcs01[.guestCR0] = 0x8001_0013  // NE is clear
    expectGeneralProtection(machine.execute(.vmxon, pointer: TestMachine.vmxonRegion))
  }

  @Test func vmxonNeedsFeatureControl() throws {
    for value: UInt64 in [0, 1, 4] {
      let machine = try TestMachine()
      machine.vmx.featureControl = value
      expectGeneralProtection(machine.execute(.vmxon, pointer: TestMachine.vmxonRegion))
    }
  }

  @Test func vmxonRegionMustBeGood() {
    #expect(machine.execute(.vmxon, pointer: 0x1_0008) == .failInvalid)
    #expect(machine.execute(.vmxon, pointer: 1 << 40) == .failInvalid)
    machine.memory[TestMachine.vmxonRegion] = UInt64(VirtualCapabilities.revision) | 1 << 31
    #expect(machine.execute(.vmxon, pointer: TestMachine.vmxonRegion) == .failInvalid)
    machine.memory[TestMachine.vmxonRegion] = 0x777
    #expect(machine.execute(.vmxon, pointer: TestMachine.vmxonRegion) == .failInvalid)
    #expect(machine.execute(.vmxon, pointer: 0x80_0000) == .failInvalid, "there is no memory")
    #expect(machine.flags == .cf)
    #expect(!machine.isInVMXOperation)
  }

  @Test func vmxonTwiceFails() {
    machine.execute(.vmxon, pointer: TestMachine.vmxonRegion)
    #expect(machine.execute(.vmxon, pointer: TestMachine.vmxonRegion) == .failInvalid)
    machine.execute(.vmptrld, pointer: TestMachine.region)
    #expect(
      machine.execute(.vmxon, pointer: TestMachine.vmxonRegion) == .failValid(.vmxonInRootOperation))
    #expect(machine.flags == .zf)
    #expect(machine.vmread(.vmInstructionError) == 15)
  }

  @Test func vmxoffLeavesAndFlushes() {
    machine.enterVMX()
    _ = machine.vmwrite(.guestRIP, 0x1234)
    #expect(machine.execute(.vmxoff) == .succeeded)
    #expect(!machine.isInVMXOperation)
    #expect(machine.vmx.currentVMCS == nil)
    #expect(machine.vmx.sync.regionsFlushed == 1)
    expectInvalidOpcode(machine.execute(.vmxoff))
  }

  @Test func vmcallInRootFails() {
    machine.enterVMX()
    #expect(machine.execute(.vmcall) == .failValid(.vmcallInRootOperation))
    #expect(machine.vmread(.vmInstructionError) == 1)
  }

  @Test func faultIsInjected() {
    machine.enterVMX()
    machine.vmcs01[.guestSSAccessRights] = 0xC0F3
    machine.execute(.vmxoff)
    let event = machine.vmcs01.entryInterruptionInformation
    #expect(event == InterruptionInformation(.generalProtection, hasErrorCode: true))
    #expect(machine.vmcs01[.entryExceptionErrorCode] == 0)
  }

  @Test func completionEndsTheInterruptShadow() {
    machine.vmcs01.interruptibilityState = [.blockingBySTI]
    machine.vmcs01[.guestRFLAGS] = 2 | RFLAGS.tf.rawValue | RFLAGS.rf.rawValue
    machine.execute(.vmxon, pointer: TestMachine.vmxonRegion)
    #expect(machine.vmcs01.interruptibilityState.isEmpty)
    #expect(machine.vmcs01[.guestPendingDebugExceptions] == 1 << 14)
    #expect(machine.vmcs01[.guestRFLAGS] == 2 | RFLAGS.tf.rawValue)
  }

  @Test func featureControlIsLocked() {
    #expect(machine.vmx.readMSR(0x3A) == 5)
    #expect(machine.vmx.writeMSR(0x3A, 0) == false)
    #expect(machine.vmx.writeMSR(0x480, 0) == false)
    #expect(machine.vmx.writeMSR(0x10, 0) == nil)
    #expect(machine.vmx.readMSR(0x10) == nil)
    machine.vmx.featureControl = 0
    #expect(machine.vmx.writeMSR(0x3A, 8) == false)
    #expect(machine.vmx.writeMSR(0x3A, 5) == true)
    #expect(machine.vmx.writeMSR(0x3A, 5) == false)
  }

  @Test func controlRegistersAreFixedInVMXOperation() {
    #expect(machine.allowsCR4(0x20))
    machine.enterVMX()
    #expect(!machine.allowsCR4(0x20))
    #expect(machine.allowsCR4(0x2020))
    #expect(!machine.allowsCR0(0x8000_0001))
    #expect(machine.allowsCR0(0x8000_0021))
  }
}

/// The instructions of VMX root operation, but for VMXON.
let instructionsOfRoot: [ExitReason] = [
  .vmxoff, .vmcall, .vmclear, .vmptrld, .vmptrst, .vmread, .vmwrite, .vmlaunch, .vmresume, .invept, .invvpid,
]

func expectInvalidOpcode(_ outcome: VMXInstructionOutcome, _ location: SourceLocation = #_sourceLocation) {
  guard case .fault(let fault) = outcome else {
    Issue.record("no fault", sourceLocation: location)
    return
  }
  #expect(fault.vector == .invalidOpcode, sourceLocation: location)
  #expect(fault.errorCode == nil, sourceLocation: location)
}

func expectGeneralProtection(_ outcome: VMXInstructionOutcome, _ location: SourceLocation = #_sourceLocation)
{
  guard case .fault(let fault) = outcome else {
    Issue.record("no fault", sourceLocation: location)
    return
  }
  #expect(fault.vector == .generalProtection, sourceLocation: location)
  #expect(fault.errorCode == 0, sourceLocation: location)
}
