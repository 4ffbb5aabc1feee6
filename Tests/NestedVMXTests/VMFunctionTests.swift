import NestedVMX
import Testing
import VMX
import X86

/// SDM volume 3, "VM Functions" and "EPTP Switching", as L0 gives them to L1.
@Suite("VM functions of L2")
struct VMFunctionTests {
  static let list: UInt64 = 0x4_8000
  static let otherEPT: UInt64 = 0x3_8000

  let machine: TestMachine

  init() throws {
    machine = try TestMachine()
    machine.setTablesOfEPT12()
    machine.prepareVMCS12()
    machine.vmcs12.secondaryProcessorBasedControls.insert(.enableVMFunctions)
    machine.vmcs12.vmFunctionControls = .eptpSwitching
    machine.vmcs12[.eptpListAddress] = Self.list
    machine.memory[Self.list + 8] = Self.otherEPT | 0x1E
    machine.memory[Self.list + 16] = Self.otherEPT | 0x1F
    #expect(machine.execute(.vmlaunch) == .enterL2(loadMSRs: .none))
    machine.vmx.vmcs02[.exitInstructionLength] = 3
  }

  private func exit(function: UInt64 = 0, index: UInt64) -> Route {
    machine.registers[.rax] = function
    machine.registers[.rcx] = index
    return machine.exitL2(.vmfunc)
  }

  private func isForL1(_ route: Route) -> Bool {
    if case .reflectedToL1(let exit) = route { exit.reason.basic == .vmfunc } else { false }
  }

  @Test func switchesTheEPTP() {
    let vmcs02 = machine.vmx.vmcs02
    #expect(vmcs02.secondaryProcessorBasedControls.contains(.enableVMFunctions))
    #expect(vmcs02[.vmFunctionControls] == 0, "each function exits to L0")
    let before = vmcs02[.eptPointer]
    let rip = vmcs02[.guestRIP]
    #expect(exit(index: 0xFFFF_FFFF_0000_0001) == .keptByL0(.vmxInstruction), "ECX has 32 bits")
    #expect(machine.vmx.execute(.vmfunc) == .succeeded)
    #expect(machine.vmcs12[.eptPointer] == Self.otherEPT | 0x1E)
    #expect(vmcs02[.eptPointer] != before)
    #expect(vmcs02[.guestRIP] == rip + 3)
    _ = machine.reflectFromL2(.cpuid)
    #expect(machine.vmread(.eptPointer) == Self.otherEPT | 0x1E)
  }

  @Test func whatCannotBeSwitchedToExitsToL1() {
    #expect(isForL1(exit(index: 2)), "an EPTP that VM entry would refuse")
    #expect(isForL1(exit(index: 512)))
    #expect(isForL1(exit(function: 1, index: 1)))
    machine.vmcs12.vmFunctionControls = []
    #expect(isForL1(exit(index: 1)))
  }
}
