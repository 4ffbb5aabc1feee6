import EntryChecks
import NestedVMX
import Processor
import VMX
import X86

/// What the nested core's decisions demand.
extension VirtualCPU {
  /// Emulates a VMX instruction of L1, and enters L2 or takes note of a failure if that is what it means.
  mutating func executeVMXInstruction(_ reason: ExitReasonField) {
    guard let basic = reason.basic else { return }
    switch vmx.execute(basic) {
    case .succeeded, .failInvalid, .fault: break
    case .failValid(let error): noteEntryFailure(error)
    case .enterL2(let list):
      requests.windowsOfL2 = []
      loadMSRsAtEntry(list)
      if let watch, vmx.isInL2 { watch.noteEntry(vmcsSet) }
    case .entryFailed(let reflection, let failure):
      entryFailures.note(failure, &vmx)
      watch?.noteFailure(vmcsSet)
      perform(reflection)
    }
  }

  private mutating func noteEntryFailure(_ error: VMInstructionError) {
    guard error == .entryInvalidControlFields || error == .entryInvalidHostStateFields else { return }
    entryFailures.note(error, &vmx)
    watch?.noteFailure(vmcsSet)
  }

  /// The VMCSs as they stand.
  var vmcsSet: VMCSSet {
    VMCSSet(
      vmcs01: vmx.vmcs01, vmcs12: vmx.vmcs12, vmcs02: watch?.hasEntered ?? true ? vmx.vmcs02 : nil,
      vmcs12Address: vmx.currentVMCS?.rawValue, processor: vmx.processor, offered: vmx.capabilities,
      physicalAddressWidth: vmx.physicalAddressWidth,
      isInIA32eMode: EFER(rawValue: vmx.vmcs01[.guestEFER]).contains(.lma), prepared: vmx.merge)
  }

  /// Gives an exit of L2 to L1.
  mutating func reflect(_ exit: ExitInformation) { perform(vmx.reflect(exit)) }

  // Between the levels the guest state of L2 is in vmcs02, that of L1 in vmcs01.
  private var l1: RunningGuest { RunningGuest(vmcs: vmx.vmcs01, registers: registers, work: work) }
  private var l2: RunningGuest { RunningGuest(vmcs: vmx.vmcs02, registers: registers, work: work) }

  /// The MSRs that a VM exit to L1 stores and loads. A failure is a VMX abort, which shuts the machine down.
  private mutating func perform(_ reflection: Reflection) {
    if !store(reflection.storeMSRs, from: l2) {
      abort(.savingGuestMSRs)
    } else if let cause = reflection.abort {
      abort(cause)
    } else if load(reflection.loadMSRs, into: l1) != nil {
      abort(.loadingHostMSRs)
    }
  }

  /// The MSRs that a VM entry loads for L2. A failure is a failed VM entry.
  private mutating func loadMSRsAtEntry(_ list: MSRList) {
    guard let position = load(list, into: l2) else { return }
    perform(vmx.failEntry(loadingEntry: position))
  }

  /// Loads the MSRs of `list` for `guest`; the position of the first entry that cannot be loaded, or nil.
  ///
  /// Source: SDM volume 3, "Loading MSRs".
  private mutating func load(_ list: MSRList, into guest: RunningGuest) -> UInt32? {
    for position in 0..<list.count {
      let entry = vmx.entry(position, of: list)
      guard !entry.mustNotBeLoaded, writeMSR(entry.index, entry.value, of: guest) else { return position }
    }
    return list.isTooLong ? list.count : nil
  }

  /// Stores the MSRs of `list` for `guest`; false if one of them cannot be stored.
  ///
  /// The time-stamp counter is stored as L1 would read it: a VM exit does not add L2's offset.
  /// Source: SDM volume 3, "Saving MSRs".
  private mutating func store(_ list: MSRList, from guest: RunningGuest) -> Bool {
    for position in 0..<list.count {
      let entry = vmx.entry(position, of: list)
      let isTSC = entry.index == ModelSpecificRegister.timeStampCounter.rawValue
      guard !entry.mustNotBeStored, let value = readMSR(entry.index, of: isTSC ? l1 : guest),
        vmx.store(value, inEntry: position, of: list)
      else { return false }
    }
    return !list.isTooLong
  }

  private mutating func abort(_ cause: VMXAbort) {
    vmx.abort(cause)
    let refused =
      switch cause {
      case .savingGuestMSRs: "an MSR of its store list"
      case .hostPDPTEChecking: "a page-directory-pointer-table entry of the host"
      default: "an MSR of its load list"
      }
    outcome = .shutdown(
      sentence:
        "a VM exit from L2 to L1 ended in VMX abort \(cause.rawValue), because \(refused) was refused, "
        + "and the machine shut down")
  }
}

/// The violated checks of the VM entries that failed, for the report of the run.
struct EntryFailureLog {
  /// The reports kept at the most: a hypervisor that tries again and again adds nothing new.
  static let limit = 64

  private(set) var reports: [EntryFailureReport] = []
  private(set) var count: UInt64 = 0

  /// Takes note of what VMfailValid `error` of VMLAUNCH or VMRESUME was about.
  mutating func note(_ error: VMInstructionError, _ vmx: inout VirtualVMX<L1RAM, PagePool>) {
    note(consequence: "VMfailValid(\(error.rawValue)): \(error.description)", &vmx)
  }

  /// Takes note of a VM entry that failed after its controls and host state had passed.
  mutating func note(_ reason: ExitReasonField, _ vmx: inout VirtualVMX<L1RAM, PagePool>) {
    note(consequence: "VM-entry failure (exit reason \(reason.basicNumber))", &vmx)
  }

  private mutating func note(consequence: String, _ vmx: inout VirtualVMX<L1RAM, PagePool>) {
    count &+= 1
    guard reports.count < Self.limit else { return }
    var found: [EntryFailureReport] = []
    vmx.forEachViolation { violation in
      found.append(EntryFailureReport(violation, consequence: consequence))
    }
    for report in found where reports.count < Self.limit && !reports.contains(report) {
      reports.append(report)
    }
  }
}

extension EntryFailureReport {
  init(_ violation: EntryViolation, consequence: String) {
    self.init(
      check: violation.check.name.description, field: violation.check.field.name.description,
      value: violation.value, expected: violation.check.expected.description,
      section: violation.check.section.title.description, consequence: consequence)
  }
}
