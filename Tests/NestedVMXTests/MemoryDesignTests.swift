import NestedVMX
import Testing
import VMX
import X86

/// What L1 is offered without EPT.
@Suite("Memory designs")
struct MemoryDesignTests {
  @Test(arguments: [MemoryDesign.shadowOnEPT, .shadowOnShadow])
  func withoutEPTNothingOfItIsOffered(_ design: MemoryDesign) throws {
    let machine = try TestMachine(policy: NestedPolicy(memoryDesign: design))
    let offered = machine.vmx.capabilities
    for controls: SecondaryProcessorBasedControls in [
      .enableEPT, .unrestrictedGuest, .enablePML, .eptViolationVE, .modeBasedExecuteControlForEPT,
      .enableVMFunctions,
    ] {
      #expect(!offered.allows(controls), "\(controls)")
    }
    #expect(offered.allows(SecondaryProcessorBasedControls.enableVPID))
    #expect(offered.eptAndVPID.isSuperset(of: [.invvpid, .invvpidIndividualAddress, .invvpidAllContexts]))
    #expect(!offered.eptAndVPID.contains(.invept))
    machine.enterVMX()
    expectInvalidOpcode(machine.execute(.invept, second: 2))
  }

  @Test func byDefaultL1HasEPT() throws {
    #expect(try TestMachine().vmx.capabilities.allows(SecondaryProcessorBasedControls.enableEPT))
    #expect(NestedPolicy().memoryDesign == .eptOnEPT)
  }
}
