import EntryChecks
import VMX

/// What a processor would make of a VM entry with the VMCS of a dump: every check that it violates, and the outcome.
public struct EntryVerdict {
  /// The version of the JSON object.
  public static let schema = "testudo.check/1"

  /// The physical-address width that is assumed of a dump that does not tell.
  public static let usualPhysicalAddressWidth: UInt8 = 46

  /// The violated checks in the SDM's order; the first decides the outcome.
  public let violations: [EntryViolation]
  /// What cannot be checked without memory: the check's name, and where it reads.
  public let unchecked: [(check: String, reads: String)]
  private let capabilities: VMXCapabilities

  /// Checks `dump` for a processor with `capabilities`. Nothing that the VMCS points to is read.
  public init(_ dump: VMCSDump, capabilities: VMXCapabilities) {
    let environment = EntryEnvironment(
      capabilities: capabilities,
      physicalWidth: dump.physicalAddressWidth ?? Self.usualPhysicalAddressWidth,
      isInIA32eMode: dump.isInIA32eMode ?? true, currentVMCSPointer: dump.address)
    var violations: [EntryViolation] = []
    var unchecked: [(check: String, reads: String)] = []
    dump.withVMCS { vmcs in
      let inspection = EntryInspection(vmcs: vmcs, environment: environment) { _ in nil }
      inspection.forEachViolationWithoutMemory { violations.append($0) }
      inspection.forEachCheckOfMemory { unchecked.append(($0.name.description, Self.place($0.memory))) }
      if vmcs[.entryMSRLoadCount] != 0 {
        unchecked.append(("MSRs of the VM-entry MSR-load list can be loaded", "the list in memory"))
      }
    }
    self.capabilities = capabilities
    self.violations = violations
    self.unchecked = unchecked
  }

  private static func place(_ memory: EntryCheckMemory) -> String {
    switch memory {
    case .none: "nothing"
    case .linkedVMCS: "the VMCS that the link pointer names"
    case .virtualTPR: "the virtual-APIC page"
    case .pdptes: "the PDPTEs that CR3 points to"
    }
  }

  /// Whether the VM entry succeeds, as far as the VMCS tells.
  public var enters: Bool { violations.isEmpty }

  /// What the processor does, in one sentence without a full stop.
  public var sentence: String {
    guard let failure = violations.first?.failure else {
      return unchecked.isEmpty
        ? "the VM entry succeeds" : "the VM entry succeeds, if what is not checked is right"
    }
    switch failure {
    case .controls, .hostState:
      let error = failure.instructionError
      return "the VM entry fails with VMfailValid(\(error?.rawValue ?? 0)): \(error?.description ?? "")"
    case .guestState(let qualification):
      return "the VM entry fails with exit reason \(hexadecimal(UInt64(failure.exitReason?.rawValue ?? 0))) "
        + "(VM-entry failure due to invalid guest state, 33), exit qualification \(qualification.rawValue) "
        + "(\(FieldDecoding.entryFailure(qualification.rawValue)))"
    }
  }

  // MARK: For people

  public func text() -> String {
    var text = ""
    for (position, violation) in violations.enumerated() {
      text += "\(violation.check.name)\n"
      text += "  \(violation.check.field.name) = \(hexadecimal(violation.value)), "
      text += "expected that \(violation.check.expected)\n"
      for line in details(position) { text += "  \(line)\n" }
      text += "  SDM, \"\(violation.check.section.title)\"\n\n"
    }
    for item in unchecked { text += "not checked, needs memory: \(item.check) (reads \(item.reads))\n" }
    if !unchecked.isEmpty { text += "\n" }
    return text + sentence + "\n"
  }

  /// The controls whose settings are not allowed, told once: at the first violation of their word.
  private func details(_ position: Int) -> [String] {
    let violation = violations[position]
    let field = violation.check.field
    guard let kind = ControlWordKind.allCases.first(where: { $0.field == field }),
      !violations[..<position].contains(where: { $0.check.field == field })
    else { return [] }
    let capability = capabilities.capability(of: kind)
    return FieldDecoding.controls(kind, capability.missing(in: violation.value)).map { "must be 1: \($0)" }
      + FieldDecoding.controls(kind, capability.excess(in: violation.value)).map { "must be 0: \($0)" }
  }

  // MARK: For programs

  public var json: JSONValue {
    [
      "schema": .string(Self.schema), "enters": .bool(enters), "outcome": outcome,
      "sentence": .string(sentence),
      "violations": .array(violations.map(Self.json)),
      "unchecked": .array(unchecked.map { ["check": .string($0.check), "reads": .string($0.reads)] }),
    ]
  }

  private var outcome: JSONValue {
    guard let failure = violations.first?.failure else { return ["kind": "enters"] }
    if let error = failure.instructionError {
      return ["kind": "VMfailValid", "vmInstructionError": .unsigned(UInt64(error.rawValue))]
    }
    guard case .guestState(let qualification) = failure else { return ["kind": "entryFailure"] }
    return [
      "kind": "entryFailure", "exitReason": .unsigned(UInt64(failure.exitReason?.basicNumber ?? 0)),
      "exitQualification": .unsigned(qualification.rawValue),
    ]
  }

  private static func json(_ violation: EntryViolation) -> JSONValue {
    [
      "check": .string(violation.check.name.description),
      "field": .string(violation.check.field.name.description),
      "value": .string(hexadecimal(violation.value)),
      "expected": .string(violation.check.expected.description),
      "section": .string(violation.check.section.title.description),
    ]
  }
}
