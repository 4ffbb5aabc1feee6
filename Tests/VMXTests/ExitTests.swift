import Testing
import VMX
import X86

@Suite struct ExitTests {
  /// Numbers of the SDM's appendix "VMX Basic Exit Reasons".
  @Test(arguments: [
    (0, "EXCEPTION_OR_NMI"), (1, "EXTERNAL_INTERRUPT"), (2, "TRIPLE_FAULT"), (7, "INTERRUPT_WINDOW"),
    (10, "CPUID"),
    (12, "HLT"), (18, "VMCALL"), (20, "VMLAUNCH"), (23, "VMREAD"), (24, "VMRESUME"), (25, "VMWRITE"),
    (28, "CONTROL_REGISTER_ACCESS"), (30, "IO_INSTRUCTION"), (31, "RDMSR"), (32, "WRMSR"),
    (33, "VM_ENTRY_FAILURE_INVALID_GUEST_STATE"), (37, "MONITOR_TRAP_FLAG"), (44, "APIC_ACCESS"),
    (48, "EPT_VIOLATION"), (49, "EPT_MISCONFIGURATION"), (50, "INVEPT"), (52, "VMX_PREEMPTION_TIMER_EXPIRED"),
    (53, "INVVPID"), (55, "XSETBV"), (62, "PAGE_MODIFICATION_LOG_FULL"), (74, "BUS_LOCK"),
  ])
  func reasonHasTheNumberOfTheSDM(_ number: UInt16, _ name: String) {
    #expect(ExitReason(rawValue: number)?.name.description == name)
  }

  @Test func reasonsHaveNamesOfTheirOwnBelowTheLimit() {
    #expect(Set(ExitReason.allCases.map(\.name.description)).count == ExitReason.allCases.count)
    #expect(ExitReason.allCases.map { Int($0.rawValue) }.max() == ExitReason.limit - 1)
    for number: UInt16 in [35, 38, 42] { #expect(ExitReason(rawValue: number) == nil) }
  }

  @Test func exitReasonFieldTellsAFailedEntry() {
    let failure = ExitReasonField(.entryFailureInvalidGuestState, entryFailure: true)
    #expect(failure.rawValue == 0x8000_0021)
    #expect(failure.isEntryFailure && failure.basic == .entryFailureInvalidGuestState)
    let exit = ExitReasonField(rawValue: 0x0800_000A)
    #expect(!exit.isEntryFailure && exit.isIncidentToEnclaveMode && exit.basic == .cpuid)
    #expect(ExitReasonField(rawValue: 0xFFFF).basic == nil)
  }

  @Test func instructionErrorsAreThoseOfTheSDM() {
    #expect(VMInstructionError.allCases.map(\.rawValue).filter { !(1...28).contains($0) } == [])
    for reserved: UInt32 in [0, 14, 21, 27, 29] { #expect(VMInstructionError(rawValue: reserved) == nil) }
    #expect(VMInstructionError(rawValue: 4)?.description.description == "VMLAUNCH with non-clear VMCS")
    #expect(VMInstructionError(rawValue: 13) == .vmwriteReadOnlyComponent)
  }

  @Test func controlRegisterQualification() {
    let load = ControlRegisterQualification(.movToCR, number: 3, register: .r10)
    #expect(load.rawValue == 0xA03)
    #expect(load.access == .movToCR && load.number == 3 && load.register == .r10)
    let store = ControlRegisterQualification(rawValue: 0x918)
    #expect(store.access == .movFromCR && store.number == 8 && store.register == .r9)
    #expect(ControlRegisterQualification.clts.rawValue == 0x20)
    let lmsw = ControlRegisterQualification.lmsw(source: 0xABCD, fromMemory: true)
    #expect(lmsw.rawValue == 0xABCD_0070)
    #expect(lmsw.access == .lmsw && lmsw.lmswSource == 0xABCD && lmsw.lmswFromMemory)
  }

  @Test func debugRegisterQualification() {
    let read = DebugRegisterQualification(number: 7, isRead: true, register: .rbx)
    #expect(read.rawValue == 0x317)
    #expect(read.number == 7 && read.isRead && read.register == .rbx)
  }

  @Test func ioQualification() {
    let out = IOQualification(port: 0x3F8, size: 1, isIn: false)
    #expect(out.rawValue == 0x03F8_0000)
    let ins = IOQualification(port: 0xFFFF, size: 4, isIn: true, isString: true, isREP: true)
    #expect(ins.rawValue == 0xFFFF_003B)
    #expect(ins.size == 4 && ins.isIn && ins.isString && ins.isREP && !ins.isImmediate && ins.port == 0xFFFF)
    #expect(IOQualification(port: 0x80, size: 2, isIn: true, isImmediate: true).rawValue == 0x0080_0049)
  }

  @Test func eptViolationQualification() {
    let qualification: EPTViolationQualification = [.write, .linearAddressValid, .finalTranslation]
    #expect(qualification.rawValue == 0x182)
    #expect(EPTViolationQualification.reporting([.read, .execute]).rawValue == 0x28)
    #expect(EPTViolationQualification(rawValue: 0x1AA).permissions == [.read, .execute])
    #expect(EPTViolationQualification(rawValue: 0x40).permissions == .userExecute)
  }

  @Test func otherQualifications() {
    let access = APICAccessQualification(.linearWrite, offset: 0x1300)
    #expect(access.rawValue == 0x1300 && access.offset == 0x300 && access.access == .linearWrite)
    #expect(APICAccessQualification(rawValue: 0x7000).access == nil)
    let task = TaskSwitchQualification(.jmp, selector: SegmentSelector(rawValue: 0x28))
    #expect(task.rawValue == 0x8000_0028 && task.source == .jmp && task.selector.rawValue == 0x28)
    #expect(DebugExceptionQualification.pendingDefined.rawValue == 0x1580F)
  }

  @Test func interruptionInformation() {
    let fault = InterruptionInformation(.pageFault, hasErrorCode: true)
    #expect(fault.rawValue == 0x8000_0B0E)
    #expect(fault.isValid && fault.vector == 14 && fault.kind == .hardwareException && fault.hasErrorCode)
    #expect(InterruptionInformation.nmi.rawValue == 0x8000_0202)
    #expect(InterruptionInformation(vector: 0x80, kind: .softwareInterrupt).rawValue == 0x8000_0480)
    #expect(InterruptionInformation(rawValue: 0x8000_0603).usesInstructionLength)
    #expect(!fault.usesInstructionLength && !InterruptionInformation.none.isValid)
    var unblocked = fault
    unblocked.isNMIUnblocked = true
    #expect(unblocked.rawValue == 0x8000_1B0E)
  }

  /// SDM volume 3, "Format of the VM-Exit Instruction-Information Field as Used for VMREAD and VMWRITE".
  @Test func memoryOperandInformation() {
    let information = ExitInstructionInformation(
      addressSize: 8, segment: .gs, base: .r12, index: .rcx, scale: 4
    ).withSecondRegister(.r15)
    #expect(information.rawValue == 2 | 2 << 7 | 5 << 15 | 1 << 18 | 12 << 23 | 15 << 28)
    #expect(information.scale == 4 && information.addressSize == 8 && information.segment == .gs)
    #expect(information.index == .rcx && information.base == .r12 && information.secondRegister == .r15)
    #expect(!information.isRegister)
    let absolute = ExitInstructionInformation(addressSize: 2, segment: .ds)
    #expect(absolute.rawValue == 3 << 15 | 1 << 22 | 1 << 27)
    #expect(absolute.index == nil && absolute.base == nil && absolute.addressSize == 2 && absolute.scale == 1)
    let register = ExitInstructionInformation(register: .rdi).withSecondRegister(.rax)
    #expect(register.rawValue == 7 << 3 | 1 << 10 && register.isRegister && register.register == .rdi)
    #expect(ExitInstructionInformation(rawValue: .max).addressSize == 8)
    #expect(ExitInstructionInformation(rawValue: .max).segment == .ds)
    #expect(ExitInstructionInformation.string(addressSize: 4, segment: .es).rawValue == 1 << 7)
    #expect(absolute.withIdentity(3).identity == 3)
  }
}
