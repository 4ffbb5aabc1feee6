import NestedVMX
import Testing
import VMX
import X86

@Suite("VMCLEAR, VMPTRLD and VMPTRST")
struct CurrentVMCSTests {
  let machine: TestMachine

  init() throws {
    machine = try TestMachine()
    machine.execute(.vmxon, pointer: TestMachine.vmxonRegion)
  }

  @Test func vmptrldMakesCurrent() {
    #expect(machine.execute(.vmptrld, pointer: TestMachine.region) == .succeeded)
    #expect(machine.vmx.currentVMCS == PhysicalAddress(TestMachine.region))
    #expect(machine.vmx.sync.regionsLoaded == 1)
  }

  @Test func vmptrldFailures() {
    machine.execute(.vmptrld, pointer: TestMachine.otherRegion)
    #expect(machine.execute(.vmptrld, pointer: 0x123) == .failValid(.vmptrldInvalidAddress))
    #expect(machine.vmread(.vmInstructionError) == 9)
    #expect(machine.execute(.vmptrld, pointer: 1 << 52) == .failValid(.vmptrldInvalidAddress))
    #expect(
      machine.execute(.vmptrld, pointer: TestMachine.vmxonRegion) == .failValid(.vmptrldVMXONPointer))
    machine.memory[TestMachine.region] = 1
    #expect(machine.execute(.vmptrld, pointer: TestMachine.region) == .failValid(.vmptrldIncorrectRevision))
    #expect(machine.vmread(.vmInstructionError) == 11)
    #expect(machine.execute(.vmptrld, pointer: 0x4000_0000) == .failValid(.vmptrldIncorrectRevision))
    #expect(machine.vmx.currentVMCS == PhysicalAddress(TestMachine.otherRegion))
  }

  /// SDM, "VMPTRLD—Load Pointer to Virtual-Machine Control Structure": bit 31 needs the processor's VMCS shadowing.
  @Test func shadowVMCSsNeedVMCSShadowing() throws {
    var processor = TestProcessor.capabilities
    processor.secondaryProcessorBased = TestProcessor.msr(0, 0xFFFF_FFFF & ~(1 << 14))
    let machine = try TestMachine(processor: processor)
    machine.enterVMX()
    machine.memory[TestMachine.otherRegion] = UInt64(VirtualCapabilities.revision) | 1 << 31
    #expect(
      machine.execute(.vmptrld, pointer: TestMachine.otherRegion) == .failValid(.vmptrldIncorrectRevision))
  }

  @Test func vmptrldOfAnotherKeepsBoth() {
    machine.execute(.vmptrld, pointer: TestMachine.region)
    _ = machine.vmwrite(.guestRIP, 0x1111)
    machine.execute(.vmptrld, pointer: TestMachine.otherRegion)
    #expect(machine.vmread(.guestRIP) == 0)
    _ = machine.vmwrite(.guestRIP, 0x2222)
    machine.execute(.vmptrld, pointer: TestMachine.region)
    #expect(machine.vmread(.guestRIP) == 0x1111)
    machine.execute(.vmptrld, pointer: TestMachine.otherRegion)
    #expect(machine.vmread(.guestRIP) == 0x2222)
    #expect(machine.vmx.sync.regionsFlushed == 3)
  }

  @Test func vmptrldOfTheCurrentCopiesNothing() {
    machine.execute(.vmptrld, pointer: TestMachine.region)
    _ = machine.vmwrite(.guestRIP, 0x1111)
    machine.execute(.vmptrld, pointer: TestMachine.region)
    #expect(machine.vmread(.guestRIP) == 0x1111)
    #expect(machine.vmx.sync.regionsLoaded == 1)
  }

  @Test func hostileRegionIsCutToFieldWidths() {
    for offset in stride(from: UInt64(16), to: 4096, by: 8) {
      machine.memory[TestMachine.region + offset] = .max
    }
    machine.execute(.vmptrld, pointer: TestMachine.region)
    for position in 0..<VMCSField.count {
      let field = VMCSField.rows[position].field
      #expect(machine.vmcs12[field] == field.width.mask)
    }
  }

  @Test func vmclearFlushesAndClears() {
    machine.execute(.vmptrld, pointer: TestMachine.region)
    _ = machine.vmwrite(.guestRIP, 0x1111)
    machine.vmcs12.isLaunched = true
    #expect(machine.execute(.vmclear, pointer: TestMachine.region) == .succeeded)
    #expect(machine.vmx.currentVMCS == nil)
    #expect(machine.memory[TestMachine.region + 8] & 0xFFFF_FFFF == 0)
    #expect(machine.memory.notedWrites > 0)
    machine.execute(.vmptrld, pointer: TestMachine.region)
    #expect(machine.vmread(.guestRIP) == 0x1111)
  }

  @Test func vmclearOfAnotherClearsItsLaunchState() {
    machine.execute(.vmptrld, pointer: TestMachine.region)
    machine.vmcs12.isLaunched = true
    machine.execute(.vmptrld, pointer: TestMachine.otherRegion)
    #expect(machine.memory[TestMachine.region + 8] & 0xFFFF_FFFF == 1)
    machine.execute(.vmclear, pointer: TestMachine.region)
    #expect(machine.memory[TestMachine.region + 8] & 0xFFFF_FFFF == 0)
    #expect(machine.vmx.currentVMCS == PhysicalAddress(TestMachine.otherRegion))
  }

  @Test func vmclearFailures() {
    #expect(machine.execute(.vmclear, pointer: 0x10) == .failInvalid)
    machine.execute(.vmptrld, pointer: TestMachine.region)
    #expect(machine.execute(.vmclear, pointer: 0x10) == .failValid(.vmclearInvalidAddress))
    #expect(
      machine.execute(.vmclear, pointer: TestMachine.vmxonRegion) == .failValid(.vmclearVMXONPointer))
    #expect(machine.vmread(.vmInstructionError) == 3)
    #expect(machine.execute(.vmclear, pointer: 0x4000_0000) == .succeeded, "a hole takes the write")
  }

  @Test func vmptrstStoresThePointer() {
    machine.execute(.vmptrst)
    #expect(machine.memory[TestMachine.operand] == .max)
    machine.execute(.vmptrld, pointer: TestMachine.region)
    machine.execute(.vmptrst, at: 0x2_0FFC)
    #expect(machine.memory[0x2_0FFC] == TestMachine.region, "across a page")
  }
}
