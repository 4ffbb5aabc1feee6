import EntryChecks
import NestedVMX
import Report
import Testing
import VMX

/// What is told of VMCS dumps: the merge, the checks, the meaning of fields, and differences.
@Suite struct VMCSReportTests {
  private static func row(_ table: MergeTable, _ field: VMCSField) throws -> MergeTable.Row {
    try #require(table.rows.first { $0.field == field })
  }

  @Test func mergeTellsWhoDecidedEachControl() throws {
    var first = VMCSDump(kind: .vmcs01)
    var second = VMCSDump(kind: .vmcs12)
    first[.pinBasedControls] = UInt64(PinBasedControls.nmiExiting.rawValue)
    second[.pinBasedControls] = UInt64(PinBasedControls.activatePreemptionTimer.rawValue)
    first[.exceptionBitmap] = 1 << 14
    second[.exceptionBitmap] = 1 << 3
    second[.guestRIP] = 0x1000
    first[.hostRIP] = 0x2000
    var processor = VMXCapabilities()
    processor.pinBased = 0xFF << 32 | 0x16
    let table = MergeTable(vmcs01: first, vmcs12: second, processor: processor)
    #expect(table.rows.map(\.field) == VMCSField.allInOrder)
    #expect(try Self.row(table, .guestRIP).vmcs02 == 0x1000)
    #expect(try Self.row(table, .hostRIP).vmcs02 == 0x2000)
    let pin = try Self.row(table, .pinBasedControls)
    #expect(pin.vmcs02 == 0x5E)
    #expect(pin.origins.first { $0.origin == .l0 }?.bits == 8)
    #expect(pin.origins.first { $0.origin == .l1 }?.bits == 0x40)
    #expect(pin.origins.first { $0.origin == .processor }?.bits == 0x16)
    let text = table.text()
    #expect(text.contains(/EXCEPTION_BITMAP +union +0x4000 +0x8 +0x4008 +L1: 0x8, L0: 0x4000/))
    #expect(text.contains(/3  NMI exiting +1 +0 +1 +L0\n/))
    #expect(text.contains(/6  Activate VMX-preemption timer +0 +1 +1 +L1\n/))
    #expect(!text.contains("GUEST_RSP"))
    #expect(table.text(all: true).contains("GUEST_RSP"))
  }

  @Test func mergeDoesNotInventWhatL0Prepared() throws {
    let first = VMCSDump(kind: .vmcs01)
    let second = VMCSDump(kind: .vmcs12)
    let unknown = MergeTable(vmcs01: first, vmcs12: second, processor: VMXCapabilities())
    #expect(try !Self.row(unknown, .eptPointer).isKnown)
    #expect(try Self.row(unknown, .guestRIP).isKnown)
    #expect(unknown.text().contains(/EPT_POINTER +derived +0x0 +0x0 +\?/))
    var prepared = first
    var context = MergeContext()
    context.eptPointer = 0x701E
    prepared.prepared = PreparedFields(context)
    let known = MergeTable(vmcs01: prepared, vmcs12: second, processor: VMXCapabilities())
    #expect(try Self.row(known, .eptPointer).vmcs02 == 0x701E)
    #expect(!known.text().contains("?"))
  }

  /// Checks that read memory are not made up: they are told as not checked, and what needs none is.
  @Test func checkTellsWhatNeedsMemory() {
    var dump = VMCSDump(kind: .vmcs12)
    func unchecked() -> [String] {
      EntryVerdict(dump, capabilities: VMXCapabilities()).unchecked.map(\.check)
    }
    dump[.vmcsLinkPointer] = .max
    #expect(unchecked() == [])
    dump[.vmcsLinkPointer] = 0x1000
    #expect(unchecked().count == 2)
    #expect(unchecked().allSatisfy { $0.hasPrefix("Linked VMCS") })
    dump[.vmcsLinkPointer] = .max
    dump[.primaryProcessorBasedControls] = UInt64(PrimaryProcessorBasedControls.useTPRShadow.rawValue)
    #expect(unchecked() == ["TPR threshold is not above the virtual TPR"])
    dump[.primaryProcessorBasedControls] = 0
    dump[.guestCR0] = 1 << 31
    dump[.guestCR4] = 1 << 5
    #expect(unchecked().count == 4)
    let violations = EntryVerdict(dump, capabilities: VMXCapabilities()).violations
    #expect(!violations.isEmpty)
    #expect(!violations.contains { $0.check.section == .guestPDPTEs })
    dump[.guestCR0] = 0
    dump[.entryMSRLoadCount] = 1
    #expect(unchecked().count == 1)
  }

  @Test func checkNamesTheControlsThatAreNotAllowed() {
    var dump = VMCSDump(kind: .vmcs12)
    dump[.pinBasedControls] = UInt64(PinBasedControls.processPostedInterrupts.rawValue)
    var capabilities = VMXCapabilities()
    capabilities.pinBased = 0x29 << 32 | 0x8
    let text = EntryVerdict(dump, capabilities: capabilities).text()
    #expect(text.contains("must be 1: NMI exiting\n"))
    #expect(text.contains("must be 0: Process posted interrupts\n"))
    #expect(text.contains("VMfailValid(7)"))
  }

  @Test(
    arguments: [
      (.guestCR0, 0x8000_0031, "PE | ET | NE | PG"), (.guestRFLAGS, 0x202, "IF"),
      (.guestActivityState, 1, "HLT"), (.exceptionBitmap, 0x0000_400B, "vectors 0-1, 3, 14"),
      (.guestCSAccessRights, 0xA09B, "code, readable, accessed, DPL 0, 64-bit, 4-KByte units"),
      (.guestTRAccessRights, 0x8B, "TSS, busy, DPL 0"), (.guestLDTRAccessRights, 0x1_0000, "unusable"),
      (.entryInterruptionInformation, 0x8000_0B0E, "hardware exception, vector 14, with error code"),
      (.exitReason, 0x8000_0021, "VM_ENTRY_FAILURE_INVALID_GUEST_STATE, VM-entry failure"),
      (
        .eptPointer, 0x1000_005E,
        "4 levels, write-back, accessed and dirty flags"
      ),
      (.vmInstructionError, 7, "VM entry with invalid control field(s)"),
      (.primaryProcessorBasedControls, 0x82, "HLT exiting\nreserved: bits 1"), (.guestRIP, 5, ""),
    ] as [(VMCSField, UInt64, String)])
  func valueHasItsMeaning(_ field: VMCSField, _ value: UInt64, _ words: String) {
    #expect(FieldDecoding.lines(field, value).joined(separator: "\n") == words)
  }

  /// Examples of the SDM's tables of exit qualifications.
  @Test(
    arguments: [
      (.ioInstruction, 0x03F8_0000, "OUT, port 0x3f8, 1 byte"),
      (.ioInstruction, 0x0060_003B, "REP INS, port 0x60, 4 bytes"),
      (.controlRegisterAccess, 0x304, "MOV to CR4 from RBX"),
      (.controlRegisterAccess, 0x18, "MOV from CR8 to RAX"),
      (.controlRegisterAccess, 0x20, "CLTS"),
      (.eptViolation, 0x182, "data write | linear address valid | final translation"),
      (.entryFailureInvalidGuestState, 4, "VMCS link pointer"), (.cpuid, 0, ""),
    ] as [(ExitReason, UInt64, String)])
  func qualificationHasItsMeaning(_ reason: ExitReason, _ value: UInt64, _ words: String) {
    let lines = FieldDecoding.lines(.exitQualification, value, reason: ExitReasonField(reason))
    #expect(lines == (words.isEmpty ? [] : [words]))
  }

  @Test func noValueIsTooOddToShow() {
    var dump = VMCSDumpTests.full()
    for field in VMCSField.allInOrder { dump[field] = .max }
    #expect(VMCSDescription(dump).text().contains("GUEST_RIP"))
    #expect(
      MergeTable(vmcs01: dump, vmcs12: dump, processor: VMCSDumpTests.capabilities).text().contains("L1"))
    #expect(!EntryVerdict(dump, capabilities: VMCSDumpTests.capabilities).enters)
  }

  @Test func descriptionLeavesOutZeros() {
    var dump = VMCSDump(kind: .vmcs12)
    dump[.guestRIP] = 0x1000
    dump[.guestRSP] = 0
    dump[.guestCSSelector] = 8
    let text = VMCSDescription(dump).text()
    #expect(text.hasPrefix("vmcs12, revision 0x0, launch state clear, 3 fields\n"))
    #expect(text.contains(/GUEST_RIP +0x1000/))
    #expect(text.contains(/CS +0x8/))
    #expect(!text.contains("GUEST_RSP"))
    #expect(VMCSDescription(dump, showsZeros: true).text().contains("GUEST_RSP"))
  }

  @Test func differenceNamesFieldsAndControls() {
    var before = VMCSDump(kind: .vmcs12)
    before[.primaryProcessorBasedControls] = 1 << 7
    before[.vpid] = 0
    before[.guestRIP] = 1
    var after = before
    after[.vpid] = nil
    after[.guestRIP] = 2
    after[.primaryProcessorBasedControls] = 1 << 12
    let difference = VMCSDifference(before, after)
    #expect(difference.changes.map(\.field) == [.primaryProcessorBasedControls, .guestRIP])
    let text = difference.table().rendered()
    #expect(text.contains("+ RDTSC exiting"))
    #expect(text.contains("- HLT exiting"))
    #expect(VMCSDifference(before, before).changes.isEmpty)
  }
}
