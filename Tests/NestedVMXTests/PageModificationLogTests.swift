import NestedVMX
import Testing
import VMX
import X86

/// SDM volume 3, "Page-Modification Logging", as L0 gives it to L1.
@Suite("Page-modification logging")
struct PageModificationLogTests {
  static let log: UInt64 = 0x4_8000

  let machine: TestMachine

  init() throws {
    machine = try TestMachine()
    machine.setTablesOfEPT12()
    for index: UInt64 in 0..<3 { machine.setLeafOfEPT12(index, 0x4_0000 + index << 12 | 0x37) }
    machine.prepareVMCS12()
    machine.vmcs12[.eptPointer] = TestMachine.ept12 | 0x5E
    machine.vmcs12.secondaryProcessorBasedControls.insert(.enablePML)
    machine.vmcs12[.pmlAddress] = Self.log
    machine.vmcs12[.guestPMLIndex] = 1
    machine.execute(.vmlaunch)
  }

  @Test func logsThePagesThatBecomeDirty() {
    #expect(machine.violate(0x1234, 0x181) == .keptByL0(.composedEPT))
    #expect(machine.vmcs12[.guestPMLIndex] == 1, "a read logs nothing")
    #expect(machine.violate(0x1234, 0x182) == .keptByL0(.composedEPT))
    #expect(machine.memory[Self.log + 8] == 0x1000)
    #expect(machine.vmcs12[.guestPMLIndex] == 0)
    #expect(machine.violate(0x2000, 0x182) == .keptByL0(.composedEPT))
    #expect(machine.memory[Self.log] == 0x2000)
    #expect(machine.vmcs12[.guestPMLIndex] == 0xFFFF)
  }

  @Test func fullLogIsL1sBeforeTheFlagIsSet() {
    #expect(machine.violate(0x0, 0x181) == .keptByL0(.composedEPT))
    machine.vmcs12[.guestPMLIndex] = 0xFFFF
    guard case .reflectedToL1(let exit) = machine.violate(0x0, 0x18A) else {
      Issue.record("kept")
      return
    }
    #expect(exit.reason.basic == .pageModificationLogFull && exit.qualification == 0)
    #expect(machine.memory[TestMachine.ept12 + 0x3000] & 0x200 == 0)
    _ = machine.vmx.reflect(exit)
    #expect(machine.vmcs12[.guestPMLIndex] == 0xFFFF)
    machine.vmcs12[.guestPMLIndex] = 511
    machine.execute(.vmresume)
    #expect(machine.violate(0x0, 0x182) == .keptByL0(.composedEPT))
    #expect(machine.vmcs12[.guestPMLIndex] == 510)
    #expect(machine.memory[Self.log + 511 * 8] == 0)
  }

  @Test func logWhereL1HasNoMemoryIsNone() {
    machine.vmcs12[.pmlAddress] = 0x7FFF_F000
    #expect(machine.violate(0x1000, 0x182) == .keptByL0(.composedEPT))
    #expect(machine.vmcs12[.guestPMLIndex] == 0)
  }
}
