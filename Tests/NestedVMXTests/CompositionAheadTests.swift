import NestedVMX
import Testing
import VMX
import X86

@Suite("The EPT composed ahead")
struct CompositionAheadTests {
  let machine: TestMachine

  init() throws {
    machine = try TestMachine(policy: NestedPolicy(eptComposition: .ahead))
    machine.setTablesOfEPT12()
    machine.setLeafOfEPT12(0, 0x4_0000 | 0x37)
    machine.setLeafOfEPT12(7, 0x4_7000 | 0x35)
  }

  @Test func launchMapsWhatEPT12Maps() {
    machine.launch()
    #expect(machine.leafOfEPT02(0x123) == (0x4_0000 + TestMemory.offset) | 0x37)
    #expect(machine.leafOfEPT02(0x7000) == (0x4_7000 + TestMemory.offset) | 0x35)
    #expect(machine.leafOfEPT02(0x1000) == nil)
  }

  @Test func misconfiguredAndMissingPagesAreLeftToTheirViolations() {
    machine.setLeafOfEPT12(3, 0x4_3000 | 0x36)
    machine.setLeafOfEPT12(4, 0x7FF_0000 | 0x37)
    machine.launch()
    #expect(machine.leafOfEPT02(0x3000) == nil)
    #expect(machine.leafOfEPT02(0x4000) == nil)
    #expect(machine.leafOfEPT02(0x7000) != nil)
  }

  @Test func aReflectedViolationIsComposedAtTheNextEntry() {
    machine.launch()
    guard case .reflectedToL1(let exit) = machine.violate(0x5678) else {
      Issue.record("kept")
      return
    }
    _ = machine.vmx.reflect(exit)
    machine.setLeafOfEPT12(5, 0x4_5000 | 0x37)
    machine.setLeafOfEPT12(6, 0x4_6000 | 0x37)
    machine.execute(.vmresume)
    #expect(machine.leafOfEPT02(0x5000) == (0x4_5000 + TestMemory.offset) | 0x37)
    #expect(machine.leafOfEPT02(0x6000) == nil, "L2 has not asked for it")
  }

  @Test func inveptLeadsToANewComposition() {
    machine.launch()
    _ = machine.reflectFromL2(.cpuid)
    machine.setLeafOfEPT12(0, 0x4_2000 | 0x31)
    machine.memory[TestMachine.operand] = TestMachine.ept12 | 0x1E
    machine.memory[TestMachine.operand + 8] = 0
    machine.execute(.invept, second: 1)
    machine.execute(.vmresume)
    #expect(machine.leafOfEPT02(0) == (0x4_2000 + TestMemory.offset) | 0x31)
  }

  @Test func accessedFlagsAreNotSetForAccessesThatL2DoesNotMake() {
    machine.launch()
    _ = machine.reflectFromL2(.cpuid)
    machine.vmcs12[.eptPointer] = TestMachine.ept12 | 0x5E
    machine.execute(.vmresume)
    #expect(machine.leafOfEPT02(0) == nil)
    #expect(machine.memory[TestMachine.ept12 + 0x3000] & 0x300 == 0)
  }

  /// An EPT whose tables all refer to themselves maps more pages than there is memory for their composition.
  @Test func theWorkIsBounded() throws {
    let machine = try TestMachine(policy: NestedPolicy(eptComposition: .ahead), pool: 2000)
    for index: UInt64 in 0..<512 {
      machine.memory[TestMachine.ept12 + index * 8] = TestMachine.ept12 | 7
    }
    machine.launch()
    #expect(machine.isInL2)
    let reads = machine.vmx.work.memoryReads
    #expect(reads < 200_000)
  }

  @Test func anExhaustedPoolLeavesTheRestToDemand() throws {
    let machine = try TestMachine(policy: NestedPolicy(eptComposition: .ahead), pool: 26)
    machine.memory[TestMachine.ept12] = (TestMachine.ept12 + 0x1000) | 7
    for index: UInt64 in 0..<4 { machine.memory[TestMachine.ept12 + 0x1000 + index * 8] = 0xB7 }
    machine.launch()
    #expect(machine.leafOfEPT02(0) != nil)
    #expect(machine.leafOfEPT02(3 << 30) == nil)
    #expect(machine.violate(3 << 30) == .keptByL0(.composedEPT))
  }
}
