import NestedVMX
import Testing
import VMX
import X86

@Suite("VMREAD and VMWRITE")
struct FieldTests {
  let machine: TestMachine

  init() throws {
    machine = try TestMachine()
    machine.enterVMX()
  }

  @Test func everyFieldOfVMCS12IsStored() {
    for position in 0..<VMCSField.count {
      let field = VMCSField.rows[position].field
      guard machine.vmx.hasField(field) else {
        #expect(machine.vmwrite(field, 1) == .failValid(.unsupportedComponent))
        continue
      }
      #expect(machine.vmwrite(field, 0x1234_5678_9ABC_DEF0) == .succeeded)
      #expect(machine.vmread(field) == 0x1234_5678_9ABC_DEF0 & field.width.mask)
    }
  }

  @Test func highHalfIsItsOwnAccess() {
    _ = machine.vmwrite(.tscOffset, 0x1111_2222_3333_4444)
    let high = UInt64(VMCSField.tscOffset.rawValue | 1)
    machine.execute(.vmread, field: high)
    #expect(machine.registers[.rcx] == 0x1111_2222)
    machine.registers[.rcx] = 0xAAAA_BBBB_CCCC_DDDD
    machine.execute(.vmwrite, field: high)
    #expect(machine.vmread(.tscOffset) == 0xCCCC_DDDD_3333_4444)
  }

  @Test func unknownEncodingsFail() {
    for encoding: UInt64 in [0x7FFF, 0x1_0000_4402, 0xFFFF_FFFF_FFFF_FFFF, 0x4403, 0x202E] {
      #expect(machine.execute(.vmread, field: encoding) == .failValid(.unsupportedComponent))
    }
    #expect(machine.vmread(.vmInstructionError) == 12)
  }

  @Test func withoutCurrentVMCSBothFailInvalid() {
    machine.execute(.vmclear, pointer: TestMachine.region)
    #expect(machine.execute(.vmread, field: 0x4402) == .failInvalid)
    #expect(machine.execute(.vmwrite, field: 0x681E) == .failInvalid)
  }

  @Test func readOnlyFieldsObeyMISC() throws {
    #expect(machine.vmwrite(.exitReason, 7) == .succeeded)
    var processor = TestProcessor.capabilities
    processor.miscellaneous = VMXMiscellaneousData(rawValue: processor.miscellaneous.rawValue & ~(1 << 29))
    let strict = try TestMachine(processor: processor)
    strict.enterVMX()
    #expect(strict.vmwrite(.exitReason, 7) == .failValid(.vmwriteReadOnlyComponent))
    #expect(strict.vmread(.vmInstructionError) == 13)
    #expect(strict.vmread(.exitReason) == 0)
  }

  @Test func memoryOperands() {
    machine.memory[TestMachine.operand] = 0xABCD
    #expect(machine.execute(.vmwrite, second: UInt64(VMCSField.guestRIP.rawValue)) == .succeeded)
    #expect(machine.vmread(.guestRIP) == 0xABCD)
    machine.memory[TestMachine.operand + 0x100] = .max
    machine.execute(.vmread, at: TestMachine.operand + 0x100, second: UInt64(VMCSField.guestRIP.rawValue))
    #expect(machine.memory[TestMachine.operand + 0x100] == 0xABCD)
  }

  @Test func rspIsInTheVMCS() {
    _ = machine.vmwrite(.guestRIP, 0x5555)
    machine.registers[.rax] = UInt64(VMCSField.guestRIP.rawValue)
    let information = ExitInstructionInformation(register: .rsp).withSecondRegister(.rax)
    machine.vmcs01[.exitInstructionInformation] = UInt64(information.rawValue)
    #expect(machine.vmx.execute(.vmread) == .succeeded)
    #expect(machine.vmcs01[.guestRSP] == 0x5555)
    #expect(machine.registers.pointee.rsp == 0)
  }

  @Test func outside64BitModeOperandsHave32Bits() {
    machine.vmcs01[.guestEFER] = 0
    machine.vmcs01[.guestCSAccessRights] = 0xC09B
    machine.vmcs01[.guestCR0] = 0x33
    machine.vmcs12[.tscOffset] = .max
    _ = machine.vmwrite(.tscOffset, 0x9999_0000_1111_2222)
    #expect(machine.vmcs12[.tscOffset] == 0x1111_2222, "the high bits of a longer field are cleared")
    machine.vmcs12[.guestRIP] = 0x7777_0000_0000_1234
    #expect(machine.vmread(.guestRIP) == 0x1234)
    machine.memory[TestMachine.operand] = .max
    machine.execute(.vmread, second: UInt64(VMCSField.guestRIP.rawValue))
    #expect(machine.memory[TestMachine.operand] == 0xFFFF_FFFF_0000_1234)
  }
}

@Suite("Memory operands of VMX instructions")
struct MemoryOperandTests {
  let machine: TestMachine

  init() throws {
    machine = try TestMachine()
    machine.enterVMX()
  }

  private func vmptrst(
    _ information: ExitInstructionInformation, displacement: UInt64 = 0
  ) -> VMXInstructionOutcome {
    machine.vmcs01[.exitInstructionInformation] = UInt64(information.rawValue)
    machine.vmcs01[.exitQualification] = displacement
    return machine.vmx.execute(.vmptrst)
  }

  @Test func baseIndexScaleAndDisplacement() {
    machine.registers[.rdi] = 0x2_0000
    machine.registers[.r9] = 0x10
    let information = ExitInstructionInformation(
      addressSize: 8, segment: .ds, base: .rdi, index: .r9, scale: 8)
    #expect(vmptrst(information, displacement: 0xFFFF_FFFF_FFFF_FFF8) == .succeeded)
    #expect(machine.memory[0x2_0078] == TestMachine.region)
  }

  @Test func baseRSPIsTheVMCSs() {
    machine.vmcs01[.guestRSP] = 0x2_2000
    _ = vmptrst(ExitInstructionInformation(addressSize: 8, segment: .ss, base: .rsp), displacement: 16)
    #expect(machine.memory[0x2_2010] == TestMachine.region)
  }

  @Test func addressSizeCutsTheOffset() {
    machine.registers[.rdi] = 0xFFFF_0000_0002_0000
    _ = vmptrst(ExitInstructionInformation(addressSize: 4, segment: .ds, base: .rdi))
    #expect(machine.memory[0x2_0000] == TestMachine.region)
  }

  @Test func fsHasItsBase() {
    machine.vmcs01[.guestFSBase] = 0x2_0000
    machine.vmcs01[.guestDSBase] = 0x9999
    _ = vmptrst(ExitInstructionInformation(addressSize: 8, segment: .fs), displacement: 0x40)
    #expect(machine.memory[0x2_0040] == TestMachine.region)
    _ = vmptrst(ExitInstructionInformation(addressSize: 8, segment: .ds), displacement: 0x2_0080)
    #expect(machine.memory[0x2_0080] == TestMachine.region, "DS has none in 64-bit mode")
  }

  @Test func nonCanonicalAddressesFault() {
    machine.registers[.rdi] = 0x8000_0000_0000_0000
    expectGeneralProtection(vmptrst(ExitInstructionInformation(addressSize: 8, segment: .ds, base: .rdi)))
    guard
      case .fault(let fault) = vmptrst(
        ExitInstructionInformation(addressSize: 8, segment: .ss, base: .rdi))
    else {
      Issue.record("no fault")
      return
    }
    #expect(fault == InstructionFault(vector: .stackSegmentFault, errorCode: 0))
    machine.registers[.rdi] = 0x0000_7FFF_FFFF_FFFC
    expectGeneralProtection(vmptrst(ExitInstructionInformation(addressSize: 8, segment: .ds, base: .rdi)))
  }

  @Test func pageFaultHasItsErrorCodeAndCR2() {
    machine.registers[.rdi] = 0x5000_0000
    let outcome = vmptrst(ExitInstructionInformation(addressSize: 8, segment: .ds, base: .rdi))
    #expect(outcome == .fault(InstructionFault(vector: .pageFault, errorCode: 2, linearAddress: 0x5000_0000)))
    #expect(machine.registers.pointee.cr2 == 0x5000_0000)
    #expect(machine.vmcs01[.entryExceptionErrorCode] == 2)
    #expect(machine.vmcs01[.guestRIP] == 0x8000 + 12, "three instructions before, none now")
  }

  @Test func secondPageFaultsBeforeAnythingIsWritten() {
    // 1 GByte is mapped: the operand's last bytes are beyond.
    machine.registers[.rdi] = 0x3FFF_FFFC
    let outcome = vmptrst(ExitInstructionInformation(addressSize: 8, segment: .ds, base: .rdi))
    #expect(outcome == .fault(InstructionFault(vector: .pageFault, errorCode: 2, linearAddress: 0x4000_0000)))
  }

  @Test func operandThatEndsWithItsPageNeedsNoOther() {
    machine.registers[.rdi] = 0x3FFF_FFF8
    #expect(vmptrst(ExitInstructionInformation(addressSize: 8, segment: .ds, base: .rdi)) == .succeeded)
  }

  @Test func writeToReadOnlyPageFaults() {
    machine.memory[TestMachine.pageTables + 0x1000] = 0x81
    #expect(
      machine.execute(.vmptrst)
        == .fault(InstructionFault(vector: .pageFault, errorCode: 3, linearAddress: TestMachine.operand)))
    #expect(machine.execute(.vmclear, pointer: TestMachine.otherRegion) == .succeeded, "reads are allowed")
  }

  @Test func accessSetsAccessedAndDirty() {
    machine.memory[TestMachine.pageTables + 0x1000] = 0x83
    machine.execute(.vmptrst)
    #expect(machine.memory[TestMachine.pageTables + 0x1000] & 0x60 == 0x60)
    #expect(machine.memory[TestMachine.pageTables] & 0x20 != 0)
  }

  @Test func protectedModeChecksTheSegment() throws {
    machine.vmcs01[.guestEFER] = 0
    machine.vmcs01[.guestCSAccessRights] = 0xC09B
    machine.vmcs01[.guestCR0] = 0x33
    machine.vmcs01[.guestDSBase] = 0x1_0000
    machine.vmcs01[.guestDSLimit] = 0x1_0107
    let information = ExitInstructionInformation(addressSize: 4, segment: .ds)
    #expect(vmptrst(information, displacement: 0x1_0100) == .succeeded)
    #expect(machine.memory[0x2_0100] == TestMachine.region)
    expectGeneralProtection(vmptrst(information, displacement: 0x1_0101))
    machine.vmcs01[.guestDSAccessRights] = 0xC091
    expectGeneralProtection(vmptrst(information, displacement: 0x100))
    machine.vmcs01[.guestDSAccessRights] = 0x1_0000
    expectGeneralProtection(vmptrst(information, displacement: 0x100))
    machine.vmcs01[.guestDSAccessRights] = 0xC097  // expand-down: above the limit only
    expectGeneralProtection(vmptrst(information, displacement: 0x1_0100))
    #expect(vmptrst(information, displacement: 0x1_0108) == .succeeded)
  }
}
