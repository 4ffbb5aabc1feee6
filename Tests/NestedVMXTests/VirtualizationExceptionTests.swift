import NestedVMX
import Testing
import VMX
import X86

/// SDM volume 3, "Virtualization Exceptions", as L0 gives them to L1.
@Suite("Virtualization exceptions of L2")
struct VirtualizationExceptionTests {
  static let area: UInt64 = 0x4_8000

  let machine: TestMachine

  init() throws {
    machine = try TestMachine()
    machine.setTablesOfEPT12()
    machine.setLeafOfEPT12(0, 0x4_0000 | 0x31)
    machine.setLeafOfEPT12(1, 0x4_1000 | 0x31 | 1 << 63)
    machine.setLeafOfEPT12(2, 1 << 63)
    machine.prepareVMCS12()
    machine.vmcs12.secondaryProcessorBasedControls.insert(.eptViolationVE)
    machine.vmcs12[.virtualizationExceptionInformationAddress] = Self.area
    #expect(machine.execute(.vmlaunch) == .enterL2(loadMSRs: .none))
    machine.vmx.vmcs02[.guestLinearAddress] = 0x7000_0123
  }

  private func isForL1(_ route: Route, _ reason: ExitReason = .eptViolation) -> Bool {
    if case .reflectedToL1(let exit) = route { exit.reason.basic == reason } else { false }
  }

  @Test func savesItsInformationAndIsDelivered() {
    #expect(machine.violate(0x123, 0x182) == .keptByL0(.virtualizationException))
    #expect(machine.vmx.vmcs02.entryInterruptionInformation.rawValue == 0x8000_0314)
    #expect(machine.memory[Self.area] == 0xFFFF_FFFF_0000_0030)
    #expect(machine.memory[Self.area + 8] == 0x182 | 1 << 3)
    #expect(machine.memory[Self.area + 16] == 0x7000_0123)
    #expect(machine.memory[Self.area + 24] == 0x123)
    #expect(machine.memory[Self.area + 32] == 0)
  }

  @Test func secondOneExitsUntilSoftwareIsDone() {
    #expect(machine.violate(0x123, 0x182) == .keptByL0(.virtualizationException))
    #expect(isForL1(machine.violate(0x123, 0x182)))
    machine.memory[Self.area] = 0
    #expect(
      machine.violate(0x3000, 0x181) == .keptByL0(.virtualizationException), "an entry that is not present")
  }

  @Test func whatIsNotConvertibleExits() {
    #expect(isForL1(machine.violate(0x1000, 0x182)), "suppressed by the entry that maps the page")
    #expect(isForL1(machine.violate(0x2000, 0x181)), "suppressed by the entry that is not present")
    machine.vmx.vmcs02[.idtVectoringInformation] = 0x8000_0306
    #expect(isForL1(machine.violate(0x123, 0x182)), "an event was being delivered")
    machine.vmx.vmcs02[.idtVectoringInformation] = 0
    machine.vmx.vmcs02[.guestCR0] &= ~1
    #expect(isForL1(machine.violate(0x123, 0x182)), "real-address mode")
    machine.vmx.vmcs02[.guestCR0] |= 1
    machine.vmcs12[.virtualizationExceptionInformationAddress] = 0x7FFF_F000
    #expect(isForL1(machine.violate(0x123, 0x182)), "no memory for the information")
    #expect(machine.memory[Self.area] == 0)
  }

  @Test func exceptionBitmapSelectsIt() {
    machine.vmcs12[.exceptionBitmap] = 1 << 20
    #expect(isForL1(machine.violate(0x123, 0x182), .exceptionOrNMI))
    #expect(!machine.vmx.vmcs02.entryInterruptionInformation.isValid)
  }
}
