import CHypervisor
import CInstructions
import NestedVMX
import VMX
import X86

/// A VMCS of the processor below, and the VMCS of the nested core that it stands for.
///
/// The nested core keeps its VMCSs in memory, in a format of its own, in which to read a field is a load; those of a
/// processor are reached by VMREAD and VMWRITE. So what the core has changed is written before each VM entry, and what a
/// VM exit changes is read after it.
struct HardwareVMCS {
  /// The nested core's.
  let contents: VMCS
  /// What the processor's holds, as far as the carrier knows.
  private let known: VMCS
  let region: UInt64
  /// The shadow VMCS that it links to, once there is one.
  var shadow: ShadowVMCS?
  private let fields: ExchangedFields
  private var isLaunched = false

  init(_ contents: VMCS, revision: UInt32, _ fields: ExchangedFields, _ pool: PagePool) {
    self.contents = contents
    self.fields = fields
    known = VMCS(region: pool.take().bytes)
    region = pool.take().address.rawValue
    UnsafeMutablePointer<UInt32>(physical: region).pointee = revision
    if vmclear(region) { vmxFailed("VMCLEAR") }
    makeCurrent()
    // A new VMCS holds anything.
    fields.writable.forEach { vmwrite($0, 0) }
  }

  func makeCurrent() {
    if vmptrld(region) { vmxFailed("VMPTRLD") }
  }

  /// Runs the guest of this VMCS, which is current, until its next VM exit; false if the VM entry failed by VMfail.
  mutating func enter(_ registers: UnsafeMutablePointer<RegisterFile>) -> Bool {
    writeChanges()
    if enter_guest(registers, isLaunched) { return false }
    isLaunched = true
    readWhatExitsChange()
    return true
  }

  private func writeChanges() {
    fields.writable.forEach { field in
      let value = contents.words[field.slot]
      guard value != known.words[field.slot] else { return }
      vmwrite(field, field == .vmcsLinkPointer ? linkPointer(value) : value)
      known.words[field.slot] = value
    }
  }

  /// The link pointer for the processor: the core's names a page of its own.
  private func linkPointer(_ value: UInt64) -> UInt64 {
    if let shadow, shadow.page == value { return shadow.region }
    return value
  }

  /// What the nested core may ask for whatever the exit is.
  private func readWhatExitsChange() { fields.read.forEach(read) }

  /// The rest of what a VM exit saves: what the core needs to give the exit to the guest, or of an instruction with an
  /// operand in memory.
  func readRestOfGuestState() { fields.readOnDemand.forEach(read) }

  private func read(_ field: VMCSField) {
    let value = vmread(field)
    contents.words[field.slot] = value
    known.words[field.slot] = value
  }
}

/// The fields that go between the two kinds of VMCS, of those that the processor has.
struct ExchangedFields {
  /// What the core writes.
  let writable: FieldList
  /// What is read after each VM exit, and what only after some.
  let read: FieldList
  let readOnDemand: FieldList

  init(of capabilities: VMXCapabilities) {
    writable = FieldList { $0.exists(on: capabilities) && $0.area != .readOnlyData }
    read = FieldList { $0.exists(on: capabilities) && Self.isAlwaysRead($0) }
    readOnDemand = FieldList {
      // No VM exit changes the link pointer.
      $0.exists(on: capabilities) && $0.area == .guestState && !Self.isAlwaysRead($0)
        && $0 != .vmcsLinkPointer
    }
  }

  /// Whether the core may look at a field that VM exits change before it is known who gets the exit: the information that
  /// the exit gives, and of the guest what any instruction needs. The event to inject and the mode of the guest are in
  /// VM-entry control fields.
  private static func isAlwaysRead(_ field: VMCSField) -> Bool {
    switch field {
    case .exitReason, .exitQualification, .exitInterruptionInformation, .exitInterruptionErrorCode,
      .idtVectoringInformation, .idtVectoringErrorCode, .exitInstructionLength, .exitInstructionInformation,
      .guestLinearAddress, .guestPhysicalAddress,
      .guestRIP, .guestRSP, .guestRFLAGS, .guestCR0, .guestCR3, .guestCR4, .guestEFER,
      .guestCSAccessRights, .guestSSAccessRights, .guestInterruptibilityState, .guestDebugCtl,
      .guestPendingDebugExceptions, .guestActivityState, .entryInterruptionInformation, .entryControls:
      true
    default: false
    }
  }
}

/// VMCS fields, gathered once.
struct FieldList {
  private let fields: UnsafeMutablePointer<VMCSField>
  private let count: Int

  init(_ isIncluded: (VMCSField) -> Bool) {
    fields = .allocate(capacity: VMCSField.count)
    var count = 0
    for position in 0..<VMCSField.count {
      let field = VMCSField.rows[position].field
      guard isIncluded(field) else { continue }
      (fields + count).initialize(to: field)
      count &+= 1
    }
    self.count = count
  }

  @inline(__always)
  func forEach(_ body: (VMCSField) -> Void) {
    for position in 0..<count { body(fields[position]) }
  }
}
