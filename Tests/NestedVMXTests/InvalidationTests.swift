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

  /// Runs an L2 of each of the VPIDs of L1, one after the other, back to L1, and performs what is to be forgotten.
  private func run(vpids: [UInt64]) {
    machine.vmcs12.secondaryProcessorBasedControls.insert(.enableVPID)
    for (number, vpid) in vpids.enumerated() {
      machine.vmcs12[.vpid] = vpid
      machine.execute(number == 0 && !machine.vmcs12.isLaunched ? .vmlaunch : .vmresume)
      _ = machine.reflectFromL2(.cpuid)
    }
    while machine.vmx.takeInvalidation() != nil {}
  }

  private var pending: [NestedInvalidation] {
    var pending: [NestedInvalidation] = []
    while let next = machine.vmx.takeInvalidation() { pending.append(next) }
    return pending
  }

  @Test func withVPIDsTransitionsForgetNothing() {
    run(vpids: [9])
    machine.execute(.vmresume)
    _ = machine.reflectFromL2(.cpuid)
    #expect(pending.isEmpty)
  }

  @Test func eachVPIDOfL1HasItsOwn() {
    run(vpids: [9, 10])
    machine.vmcs12[.vpid] = 9
    machine.execute(.vmresume)
    #expect(machine.vmx.vmcs02[.vpid] == 2)
    _ = machine.reflectFromL2(.cpuid)
    machine.vmcs12[.vpid] = 10
    machine.execute(.vmresume)
    #expect(machine.vmx.vmcs02[.vpid] == 3)
    _ = machine.reflectFromL2(.cpuid)
    #expect(pending.isEmpty, "a change of VPID forgets nothing")
  }

  @Test func invvpidForgetsOnlyItsVPID() {
    run(vpids: [9, 10])
    #expect(execute(.invvpid, type: 1, 8) == .succeeded)
    #expect(pending.isEmpty, "a VPID that no L2 has used")
    #expect(execute(.invvpid, type: 1, 9) == .succeeded)
    #expect(pending == [.vpid(2)])
    #expect(execute(.invvpid, type: 3, 10) == .succeeded)
    #expect(pending == [.vpid(3)])
    #expect(execute(.invvpid, type: 2, 0) == .succeeded)
    #expect(pending == [.vpid(2), .vpid(3)])
  }

  @Test func invvpidOfAnAddressForgetsItsPageOnly() {
    run(vpids: [9, 10])
    #expect(execute(.invvpid, type: 0, 10, 0xFFFF_8000_0000_1234) == .succeeded)
    #expect(pending == [.address(vpid: 3, linear: 0xFFFF_8000_0000_1234)])
    #expect(execute(.invvpid, type: 0, 8, 0x1000) == .succeeded)
    #expect(pending.isEmpty)
    #expect(execute(.invvpid, type: 0, 9, 0x1000) == .succeeded)
    #expect(execute(.invvpid, type: 0, 10, 0x2000) == .succeeded)
    #expect(pending == [.vpid(3), .address(vpid: 2, linear: 0x1000)], "two at once are not told apart")
  }

  @Test func theVPIDUsedLeastRecentlyMakesPlace() {
    run(vpids: [1, 2, 3, 4, 5, 6, 7, 8])
    run(vpids: [1])
    machine.vmcs12[.vpid] = 9
    machine.execute(.vmresume)
    #expect(machine.vmx.vmcs02[.vpid] == 3, "that of VPID 2")
    #expect(pending == [.vpid(3)])
    _ = machine.reflectFromL2(.cpuid)
    #expect(execute(.invvpid, type: 1, 2) == .succeeded)
    #expect(pending.isEmpty, "nothing is left of VPID 2")
  }

  @Test func anL2WithoutVPIDKeepsThoseOfOthers() {
    run(vpids: [9])
    machine.vmcs12.secondaryProcessorBasedControls.remove(.enableVPID)
    machine.execute(.vmresume)
    #expect(machine.vmx.vmcs02[.vpid] == 3)
    #expect(pending == [.vpid(3)])
    _ = machine.reflectFromL2(.cpuid)
    #expect(pending == [.vpid(1)])
    #expect(execute(.invvpid, type: 2, 0) == .succeeded)
    #expect(pending == [.vpid(2)])
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
