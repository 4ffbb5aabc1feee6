import NestedVMX
import Testing
import Translation
import VMX
import X86

@Suite("The composed EPT")
struct ComposedEPTTests {
  let machine: TestMachine

  init() throws {
    machine = try TestMachine()
    machine.setTablesOfEPT12()
    setLeaf(0, 0x4_0000 | 0x37)
    machine.launch()
  }

  private func setLeaf(_ index: UInt64, _ entry: UInt64) { machine.setLeafOfEPT12(index, entry) }

  private func violate(_ address: UInt64, _ qualification: UInt64 = 0x181) -> Route {
    machine.violate(address, qualification)
  }

  private func leaf(_ address: UInt64) -> UInt64? { machine.leafOfEPT02(address) }

  @Test func pointerIsValid() {
    let pointer = EPTPointer(rawValue: machine.vmx.vmcs02[.eptPointer])
    #expect(pointer.isValid(capability: TestProcessor.capabilities.eptAndVPID, physicalWidth: 46))
    #expect(pointer.walkLength == 4 && pointer.memoryType == .writeBack)
  }

  @Test func violationFillsTheProductOfBoth() {
    #expect(leaf(0x123) == nil)
    #expect(violate(0x123) == .keptByL0(.composedEPT))
    #expect(leaf(0x123) == (0x4_0000 + TestMemory.offset) | 0x37)
  }

  @Test func permissionsAreTheIntersection() {
    setLeaf(1, 0x4_1000 | 0x35)
    #expect(violate(0x1000) == .keptByL0(.composedEPT))
    #expect(leaf(0x1000) ?? 0 & 7 == (0x4_1000 + TestMemory.offset) | 0x35)
    machine.memory.protected[0x4_2000] = [.read]
    setLeaf(2, 0x4_2000 | 0x37)
    #expect(violate(0x2000) == .keptByL0(.composedEPT))
    #expect((leaf(0x2000) ?? 0) & 7 == 1)
  }

  @Test func upperLevelsRestrictToo() {
    machine.memory[TestMachine.ept12 + 0x2000] = (TestMachine.ept12 + 0x3000) | 5
    #expect(violate(0x0) == .keptByL0(.composedEPT))
    #expect((leaf(0) ?? 0) & 7 == 5)
    guard case .reflectedToL1(let exit) = violate(0x0, 0x182) else {
      Issue.record("kept")
      return
    }
    #expect(exit.qualification == 0x182 | 5 << 3)
  }

  /// SDM, "Operations that Invalidate Cached Mappings": an EPT violation is one, so that L1 needs no INVEPT to change
  /// the mapping that caused it.
  @Test func violationOfL1DropsTheMapping() {
    setLeaf(1, 0x4_1000 | 0x35)
    #expect(violate(0x1000) == .keptByL0(.composedEPT))
    guard case .reflectedToL1 = violate(0x1000, 0x182 | 5 << 3) else {
      Issue.record("kept")
      return
    }
    #expect(leaf(0x1000) == nil)
    #expect(violate(0x0) == .keptByL0(.composedEPT))
    #expect(leaf(0x0) != nil)
  }

  @Test func ept12ViolationGoesToL1() {
    guard case .reflectedToL1(let exit) = violate(0x5678, 0x181) else {
      Issue.record("kept")
      return
    }
    #expect(exit.reason.basic == .eptViolation)
    #expect(exit.qualification == 0x181, "nothing is permitted")
    #expect(exit.guestPhysicalAddress == 0x5678)
    setLeaf(5, 0x4_5000 | 0x31)
    guard case .reflectedToL1(let write) = violate(0x5678, 0x182) else {
      Issue.record("kept")
      return
    }
    #expect(write.qualification == 0x182 | 1 << 3, "reading is permitted")
  }

  @Test func ept12MisconfigurationGoesToL1() {
    setLeaf(3, 0x4_3000 | 0x36)
    guard case .reflectedToL1(let exit) = violate(0x3000) else {
      Issue.record("kept")
      return
    }
    #expect(exit.reason.basic == .eptMisconfiguration)
    #expect(exit.guestPhysicalAddress == 0x3000)
  }

  @Test func executeOnlyNeedsTheCapability() throws {
    setLeaf(3, 0x4_3000 | 0x34)
    #expect(violate(0x3000, 0x184) == .keptByL0(.composedEPT))
    #expect((leaf(0x3000) ?? 0) & 7 == 4)
  }

  @Test func ept01FaultIsL0s() {
    setLeaf(4, 0x7FF_0000 | 0x37)
    #expect(violate(0x4010) == .keptByL0(.memoryOfL1))
    #expect(machine.vmx.faultingAddress == PhysicalAddress(0x7FF_0010))
    machine.memory.protected[0x4_0000] = [.read]
    #expect(violate(0x20, 0x182) == .keptByL0(.memoryOfL1))
    #expect(machine.vmx.faultingAddress == PhysicalAddress(0x4_0020))
  }

  @Test func largePagesOfEPT12AreSplit() {
    machine.memory[TestMachine.ept12 + 0x1000 + 8] = 0xB7  // 1 GByte at 0x4000_0000 to 0
    #expect(violate(0x4000_5123) == .keptByL0(.composedEPT))
    #expect(leaf(0x4000_5123) == (0x5000 + TestMemory.offset) | 0x37)
    #expect(leaf(0x4000_6000) == nil)
  }

  @Test func dirtyFlagOfEPT12IsSetByTheFirstWrite() {
    _ = machine.reflectFromL2(.cpuid)
    machine.vmcs12[.eptPointer] = TestMachine.ept12 | 0x5E
    machine.execute(.vmresume)
    #expect(violate(0x0) == .keptByL0(.composedEPT))
    #expect((leaf(0) ?? 0) & 7 == 5, "writes still exit")
    #expect(machine.memory[TestMachine.ept12 + 0x3000] & 0x300 == 0x100)
    #expect(machine.memory[TestMachine.ept12] & 0x100 != 0)
    #expect(violate(0x0, 0x182) == .keptByL0(.composedEPT))
    #expect((leaf(0) ?? 0) & 7 == 7)
    #expect(machine.memory[TestMachine.ept12 + 0x3000] & 0x300 == 0x300)
  }

  /// SDM, "Accessed and Dirty Flags for EPT": accesses to guest paging structures count as writes, so that ept02 must
  /// have the processor treat them so, too.
  @Test func ept02HasFlagsIfEPT12Has() {
    #expect(machine.vmx.vmcs02[.eptPointer] & 1 << 6 == 0)
    _ = machine.reflectFromL2(.cpuid)
    machine.vmcs12[.eptPointer] = TestMachine.ept12 | 0x5E
    machine.execute(.vmresume)
    #expect(machine.vmx.vmcs02[.eptPointer] & 1 << 6 != 0)
    // An ordinary read, and then a walk that reads the page as a paging structure.
    #expect(violate(0x0, 0x181) == .keptByL0(.composedEPT))
    #expect(violate(0x0, 0x083 | 5 << 3) == .keptByL0(.composedEPT))
    #expect(machine.memory[TestMachine.ept12 + 0x3000] & 0x300 == 0x300)
    #expect((leaf(0) ?? 0) & 7 == 7)
  }

  /// SDM, "Operations that Invalidate Cached Mappings": a VM entry without VPIDs invalidates the combined mappings, so that
  /// the next write sets a dirty flag that L1 has cleared, even without INVEPT.
  @Test(arguments: [false, true]) func dirtyFlagThatL1Clears(usesVPID: Bool) {
    _ = machine.reflectFromL2(.cpuid)
    machine.vmcs12[.eptPointer] = TestMachine.ept12 | 0x5E
    if usesVPID {
      machine.vmcs12.secondaryProcessorBasedControls.insert(.enableVPID)
      machine.vmcs12[.vpid] = 3
    }
    machine.execute(.vmresume)
    #expect(violate(0x0, 0x182) == .keptByL0(.composedEPT))
    setLeaf(1, 0x4_1000 | 0x37)
    #expect(violate(0x1000, 0x182) == .keptByL0(.composedEPT))
    _ = machine.reflectFromL2(.cpuid)
    machine.memory[TestMachine.ept12 + 0x3000] &= ~0x300
    machine.execute(.vmresume)
    #expect((leaf(0) == nil) == !usesVPID)
    #expect((leaf(0x1000) ?? 0) & 7 == 7)
  }

  /// More pages than L0 keeps note of make it forget all.
  @Test func dirtyFlagsOfManyPages() {
    _ = machine.reflectFromL2(.cpuid)
    machine.vmcs12[.eptPointer] = TestMachine.ept12 | 0x5E
    machine.execute(.vmresume)
    for index: UInt64 in 0..<257 {
      setLeaf(index, 0x4_0000 + (index & 15) << 12 | 0x37)
      #expect(violate(index << 12, 0x182) == .keptByL0(.composedEPT))
    }
    _ = machine.reflectFromL2(.cpuid)
    machine.execute(.vmresume)
    #expect(leaf(0) == nil && leaf(256 << 12) == nil)
  }

  /// SDM, "Mode-Based Execute Control": bit 10 permits fetches from user-mode linear addresses.
  @Test func modeBasedExecuteControl() {
    _ = machine.reflectFromL2(.cpuid)
    machine.vmcs12.secondaryProcessorBasedControls.insert(.modeBasedExecuteControlForEPT)
    machine.execute(.vmresume)
    for entry: UInt64 in [0, 0x1000, 0x2000] { machine.memory[TestMachine.ept12 + entry] |= 1 << 10 }
    setLeaf(0, 0x4_0000 | 1 << 10 | 0x31)
    #expect(violate(0x0, 0x384) == .keptByL0(.composedEPT), "bit 9: a user-mode linear address")
    #expect((leaf(0) ?? 0) & 0x407 == 0x401)
    guard case .reflectedToL1(let exit) = violate(0x0, 0x184) else {
      Issue.record("kept")
      return
    }
    #expect(exit.qualification == 0x184 | 1 << 3 | 1 << 6)
    #expect(machine.vmx.vmcs02.secondaryProcessorBasedControls.contains(.modeBasedExecuteControlForEPT))
  }

  @Test func inveptDropsAndTellsTheProcessor() {
    _ = violate(0x0)
    let used = machine.pages.used
    let pointer = machine.vmx.vmcs02[.eptPointer]
    _ = machine.reflectFromL2(.cpuid)
    while machine.vmx.takeInvalidation() != nil {}
    machine.memory[TestMachine.operand] = 0x9_001E
    machine.memory[TestMachine.operand + 8] = 0
    machine.execute(.invept, second: 1)
    #expect(machine.vmx.takeInvalidation() == nil, "another EPTP")
    machine.memory[TestMachine.operand] = TestMachine.ept12 | 0x1E
    machine.execute(.invept, second: 1)
    #expect(machine.vmx.takeInvalidation() == .ept(pointer))
    #expect(machine.pages.used == used - 3)
    machine.execute(.vmresume)
    #expect(machine.vmx.vmcs02[.eptPointer] == pointer)
    #expect(leaf(0) == nil)
    _ = violate(0x0)
    _ = machine.reflectFromL2(.cpuid)
    machine.execute(.invept, second: 2)
    #expect(machine.pages.used == used - 3)
  }

  @Test func anEPTPIsKeptWhileOthersAreUsed() {
    _ = violate(0x0)
    let pointer = machine.vmx.vmcs02[.eptPointer]
    for other in [UInt64(0x6_0000), 0x6_1000, 0x6_2000] {
      _ = machine.reflectFromL2(.cpuid)
      machine.vmcs12[.eptPointer] = other | 0x1E
      machine.execute(.vmresume)
      #expect(machine.vmx.vmcs02[.eptPointer] != pointer)
      #expect(leaf(0) == nil)
    }
    _ = machine.reflectFromL2(.cpuid)
    machine.vmcs12[.eptPointer] = TestMachine.ept12 | 0x1E
    machine.execute(.vmresume)
    #expect(machine.vmx.vmcs02[.eptPointer] == pointer)
    #expect(leaf(0) != nil)
  }

  @Test func rootsAreBounded() {
    _ = violate(0x0)
    let pointer = machine.vmx.vmcs02[.eptPointer]
    for number in 0..<8 {
      _ = machine.reflectFromL2(.cpuid)
      machine.vmcs12[.eptPointer] = UInt64(0x6_0000 + number * 0x1000) | 0x1E
      machine.execute(.vmresume)
      if number < 7 { while machine.vmx.takeInvalidation() != nil {} }
    }
    #expect(machine.vmx.vmcs02[.eptPointer] == pointer, "the oldest is taken over")
    #expect(leaf(0) == nil)
    #expect(machine.vmx.takeInvalidation() == .ept(pointer))
  }

  @Test func exhaustedPoolDropsEverythingAndGoesOn() throws {
    let machine = try TestMachine(pool: 26)  // 13 pages, 8 roots, L0's MSR bitmap, and 4 for tables
    machine.memory[TestMachine.ept12] = (TestMachine.ept12 + 0x1000) | 7
    for index: UInt64 in 0..<4 { machine.memory[TestMachine.ept12 + 0x1000 + index * 8] = 0xB7 }
    machine.launch()
    for index: UInt64 in 0..<4 {
      machine.vmx.vmcs02[.guestPhysicalAddress] = index << 30
      #expect(machine.exitL2(.eptViolation, qualification: 0x181) == .keptByL0(.composedEPT))
    }
    #expect(machine.pages.free.count == 1)
  }

  @Test func poolWithoutAPageIsAValue() throws {
    let machine = try TestMachine(pool: 22)
    machine.memory[TestMachine.ept12] = (TestMachine.ept12 + 0x1000) | 7
    machine.memory[TestMachine.ept12 + 0x1000] = 0xB7
    machine.launch()
    #expect(machine.exitL2(.eptViolation, qualification: 0x181) == .keptByL0(.outOfPages))
  }

  @Test func withoutEPTTheViolationIsEPT01s() throws {
    let machine = try TestMachine()
    machine.launch(ept: false)
    machine.vmx.vmcs02[.guestPhysicalAddress] = 0x90_0010
    #expect(machine.exitL2(.eptViolation, qualification: 0x181) == .keptByL0(.memoryOfL1))
    #expect(machine.vmx.faultingAddress == PhysicalAddress(0x90_0010))
  }
}
