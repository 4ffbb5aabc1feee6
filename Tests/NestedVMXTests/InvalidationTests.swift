import NestedVMX
import Testing
import VMX
import X86

@Suite("INVEPT and INVVPID")
struct InvalidationTests {
  let machine: TestMachine

  init() throws {
    machine = try TestMachine()
    machine.prepareVMCS12()
  }

  private func execute(_ reason: ExitReason, type: UInt64, _ low: UInt64, _ high: UInt64 = 0)
    -> VMXInstructionOutcome
  {
    machine.memory[TestMachine.operand] = low
    machine.memory[TestMachine.operand + 8] = high
    return machine.execute(reason, second: type)
  }

  @Test func inveptTypes() {
    #expect(execute(.invept, type: 1, TestMachine.ept12 | 0x1E) == .succeeded)
    #expect(execute(.invept, type: 2, .max) == .succeeded)
    for type: UInt64 in [0, 3, 1 << 32 | 1] {
      #expect(
        execute(.invept, type: type, TestMachine.ept12 | 0x1E) == .failValid(.invalidOperandToInvalidation))
    }
    #expect(machine.vmread(.vmInstructionError) == 28)
  }

  @Test func inveptChecksTheEPTP() {
    for eptp: UInt64 in [0x3_001F, 0x3_0016, 0x3_0F1E, 1 << 40 | 0x1E] {
      #expect(execute(.invept, type: 1, eptp) == .failValid(.invalidOperandToInvalidation))
    }
  }

  @Test func invvpidTypes() {
    #expect(execute(.invvpid, type: 0, 5, 0x1000) == .succeeded)
    #expect(execute(.invvpid, type: 1, 5) == .succeeded)
    #expect(execute(.invvpid, type: 2, 0) == .succeeded)
    #expect(execute(.invvpid, type: 3, 5) == .succeeded)
  }

  @Test func invvpidFailures() {
    let failures: [(UInt64, UInt64, UInt64)] = [
      (4, 5, 0), (0, 0, 0), (1, 0, 0), (3, 0, 0), (0, 5, 0x8000_0000_0000_0000), (1, 0x1_0005, 0),
    ]
    for (type, low, high) in failures {
      #expect(execute(.invvpid, type: type, low, high) == .failValid(.invalidOperandToInvalidation))
    }
  }

  @Test func processorsWithoutThemRaiseInvalidOpcode() throws {
    var processor = TestProcessor.capabilities
    processor.secondaryProcessorBased = 0
    let machine = try TestMachine(processor: processor)
    machine.enterVMX()
    expectInvalidOpcode(machine.execute(.invept, second: 2))
    expectInvalidOpcode(machine.execute(.invvpid, second: 2))
  }

  @Test func invvpidForgetsOnlyTheVPIDInUse() {
    machine.vmcs12.secondaryProcessorBasedControls.insert(.enableVPID)
    machine.vmcs12[.vpid] = 9
    machine.execute(.vmlaunch)
    while machine.vmx.takeInvalidation() != nil {}
    _ = machine.reflectFromL2(.cpuid)
    #expect(machine.vmx.takeInvalidation() == nil, "with a VPID, exits forget nothing")
    #expect(execute(.invvpid, type: 1, 8) == .succeeded)
    #expect(machine.vmx.takeInvalidation() == nil)
    #expect(execute(.invvpid, type: 1, 9) == .succeeded)
    #expect(machine.vmx.takeInvalidation() == .vpid(2))
    #expect(machine.vmx.takeInvalidation() == nil)
  }

  @Test func changeOfVPIDForgets() {
    machine.vmcs12.secondaryProcessorBasedControls.insert(.enableVPID)
    machine.vmcs12[.vpid] = 9
    machine.execute(.vmlaunch)
    while machine.vmx.takeInvalidation() != nil {}
    _ = machine.reflectFromL2(.cpuid)
    machine.execute(.vmresume)
    #expect(machine.vmx.takeInvalidation() == nil)
    _ = machine.reflectFromL2(.cpuid)
    machine.vmcs12[.vpid] = 10
    machine.execute(.vmresume)
    #expect(machine.vmx.takeInvalidation() == .vpid(2))
  }

  @Test func withoutVPIDEveryTransitionForgets() {
    machine.execute(.vmlaunch)
    #expect(machine.vmx.takeInvalidation() == .vpid(2))
    #expect(machine.vmx.takeInvalidation() == nil)
    _ = machine.reflectFromL2(.cpuid)
    #expect(machine.vmx.takeInvalidation() == .vpid(1))
    #expect(machine.vmx.takeInvalidation() == nil)
  }
}
