import VMX

/// One check of the SDM on a VM entry.
public struct EntryCheck: Sendable {
  /// The section of the SDM that has the check.
  public let section: EntryCheckSection
  /// The field that is wrong when the check is violated.
  public let field: VMCSField
  /// What is checked, such as "I/O-bitmap A address is aligned".
  public let name: StaticString
  /// What the field must be, such as "bits 11:0 are 0".
  public let expected: StaticString
  /// The exit qualification of a VM entry that fails by this check of the guest-state area.
  public let qualification: EntryFailureQualification
  /// What the check reads of memory beside the VMCS.
  public let memory: EntryCheckMemory
  let isViolated: @Sendable (EntryInspection, VMCSField) -> Bool

  @inline(__always)
  init(
    _ section: EntryCheckSection, _ field: VMCSField, _ name: StaticString, _ expected: StaticString,
    qualification: EntryFailureQualification = .none, memory: EntryCheckMemory = .none,
    _ isViolated: @escaping @Sendable (EntryInspection, VMCSField) -> Bool
  ) {
    self.section = section
    self.field = field
    self.name = name
    self.expected = expected
    self.qualification = qualification
    self.memory = memory
    self.isViolated = isViolated
  }

  /// What becomes of a VM entry that violates this check first.
  public var failure: EntryFailure {
    switch section.area {
    case .controls: .controls
    case .hostState: .hostState
    case .guestState: .guestState(qualification)
    }
  }
}

/// What a check reads of memory.
public enum EntryCheckMemory: UInt8, Sendable {
  case none
  /// The first bytes of the VMCS that the VMCS link pointer names.
  case linkedVMCS
  /// The virtual TPR, in the virtual-APIC page.
  case virtualTPR
  /// The PDPTEs that CR3 points to.
  case pdptes
}

/// A part of the VMCS that is checked together: it decides what a failed VM entry is.
public enum EntryCheckArea: UInt8, Sendable {
  case controls
  case hostState
  case guestState
}

/// A section of the SDM on the checks of VM entry, in its order.
///
/// Source: SDM volume 3, chapter "VM Entries".
public enum EntryCheckSection: UInt8, CaseIterable, Sendable {
  case executionControlFields
  case exitControlFields
  case entryControlFields
  case hostRegisters
  case hostSegments
  case addressSpaceSize
  case guestRegisters
  case guestSegments
  case guestDescriptorTables
  case guestRIPAndRFLAGS
  case guestNonRegisterState
  case guestPDPTEs

  /// The title of the section.
  public var title: StaticString {
    switch self {
    case .executionControlFields: "VM-Execution Control Fields"
    case .exitControlFields: "VM-Exit Control Fields"
    case .entryControlFields: "VM-Entry Control Fields"
    case .hostRegisters: "Checks on Host Control Registers, MSRs, and SSP"
    case .hostSegments: "Checks on Host Segment and Descriptor-Table Registers"
    case .addressSpaceSize: "Checks Related to Address-Space Size"
    case .guestRegisters: "Checks on Guest Control Registers, Debug Registers, and MSRs"
    case .guestSegments: "Checks on Guest Segment Registers"
    case .guestDescriptorTables: "Checks on Guest Descriptor-Table Registers"
    case .guestRIPAndRFLAGS: "Checks on Guest RIP, RFLAGS, and SSP"
    case .guestNonRegisterState: "Checks on Guest Non-Register State"
    case .guestPDPTEs: "Checks on Guest Page-Directory-Pointer-Table Entries"
    }
  }

  public var area: EntryCheckArea {
    switch self {
    case .executionControlFields, .exitControlFields, .entryControlFields: .controls
    case .hostRegisters, .hostSegments, .addressSpaceSize: .hostState
    default: .guestState
    }
  }
}

/// How a VM entry fails.
public enum EntryFailure: Equatable, Sendable {
  /// VMfailValid with error 7.
  case controls
  /// VMfailValid with error 8.
  case hostState
  /// A VM-entry failure with exit reason 33 and this qualification.
  case guestState(EntryFailureQualification)

  /// The VM-instruction error, or nil if the failure is reported like a VM exit.
  public var instructionError: VMInstructionError? {
    switch self {
    case .controls: .entryInvalidControlFields
    case .hostState: .entryInvalidHostStateFields
    case .guestState: nil
    }
  }

  /// The exit reason of a failure that is reported like a VM exit, else nil.
  public var exitReason: ExitReasonField? {
    guard case .guestState = self else { return nil }
    return ExitReasonField(.entryFailureInvalidGuestState, entryFailure: true)
  }
}

/// A check that a VMCS violates.
public struct EntryViolation: Sendable {
  public let check: EntryCheck
  /// The value of the check's field.
  public let value: UInt64

  /// What becomes of a VM entry whose first violation this is.
  public var failure: EntryFailure { check.failure }

  /// Writes one line: the check, the field and its value, what it must be, and the SDM's section.
  public func write<Output: TextOutputStream>(to output: inout Output) {
    output.write(check.name.description)
    output.write(": ")
    output.write(check.field.name.description)
    output.write(" is ")
    output.write(hexadecimal(value))
    output.write("; expected that ")
    output.write(check.expected.description)
    output.write(" (SDM, \"")
    output.write(check.section.title.description)
    output.write("\")")
  }

  /// The line that ``write(to:)`` writes.
  public var description: String {
    var line = ""
    write(to: &line)
    return line
  }

  private func hexadecimal(_ value: UInt64) -> String {
    var text = "0x"
    text.append(String(value, radix: 16, uppercase: true))
    return text
  }
}
