import EntryChecks
import Hypervisor
import NestedVMX
import VMX
import X86

/// Random VMCSs, one after the other, with what must be true of each of them whatever it is.
package final class FuzzScript: RigScript {
  /// What became of the VMCSs.
  package struct Tally: Equatable {
    package var entered = 0
    package var failedByControlsOrHost = 0
    package var failedByGuestState = 0
    package var failedByMSRs = 0
    package var noCurrentVMCS = 0
    package var endedTheMachine = 0
    package var cutShort = 0
    package var instructions: UInt64 = 0

    package var count: Int {
      entered + failedByControlsOrHost + failedByGuestState + failedByMSRs + noCurrentVMCS
    }
  }

  package private(set) var tally = Tally()
  /// Every exit reason that L1 saw.
  package private(set) var reasons: Set<UInt16> = []
  /// What was not true, with the number of the VMCS.
  package private(set) var problems: [String] = []

  private let makeChoices: (Int) -> Choices?
  private let pristine = VMCS.allocate()
  private var number: Int
  private var previous: RigReport?
  private var random: RandomVMCS?
  private var expected: EntryFailure?
  private var isCurrent = false
  /// Whether memory is not as it was at first.
  private var isDirty = false

  /// VMCSs from number `first` on, each by the choices that `makeChoices` gives for its number, until it gives none.
  package init(from first: Int = 0, _ makeChoices: @escaping (Int) -> Choices?) {
    number = first
    self.makeChoices = makeChoices
  }

  deinit { pristine.deallocate() }

  // MARK: RigScript

  package func prepare(_ memory: RigMemory) -> Bool {
    guard let choices = makeChoices(number) else { return false }
    var random = RandomVMCS(choices)
    if isDirty { memory.restore() }
    memory[RigPlace.exitLimit] = UInt64(1 + random.choices.below(3))
    random.write(pristine, memory)
    isDirty = random.hasWrittenMemory
    memory.vmcs12.copy(from: pristine)
    self.random = random
    expected = nil
    isCurrent = false
    return true
  }

  package func launch(_ memory: RigMemory, _ registers: UnsafeMutablePointer<RegisterFile>) {
    random?.write(registers)
    // The region of a current VMCS is still as L1 found it.
    isCurrent = memory.vmcs12.revision == VirtualCapabilities.revision
    let environment = EntryEnvironment(
      capabilities: Rig.offered, physicalWidth: 46, currentVMCSPointer: RigPlace.vmcs12)
    let inspection = EntryInspection(vmcs: pristine, environment: environment) { memory.word(at: $0) }
    expected = inspection.firstViolation?.failure
  }

  package func finish(_ report: RigReport, _ memory: RigMemory) {
    if report.entries > 0 { isDirty = true }
    judge(report)
  }

  /// Takes note of how a machine ended.
  package func finish(_ end: Rig.End) {
    if case .internalError(let sentence) = end.result.outcome { complain(sentence) }
    isDirty = false
    guard let report = end.report else { return }
    tally.endedTheMachine += 1
    judge(report)
  }

  private func complain(_ what: String) {
    problems.append("VMCS \(number): \(what); the one before: \(String(describing: previous))")
  }

  /// What L0 made of the VMCS must be what the checks demand; if it was accepted, the processor has to agree.
  private func judge(_ report: RigReport) {
    defer {
      number += 1
      previous = report
    }
    tally.instructions &+= report.instructions
    if report.isCutShort { tally.cutShort += 1 }
    for exit in report.exits { reasons.insert(exit.reason.basicNumber) }
    for refusal in report.refusals { complain(refusal) }
    // An L2 that has run may have written over what L1 noted.
    if report.failure == .invalid, report.entries == 0 {
      tally.noCurrentVMCS += 1
      if isCurrent { complain("VMfailInvalid with a current VMCS") }
      return
    }
    guard let expected else { return judgeEntry(report) }
    if report.entries > 0 { complain("entered although it violates a check") }
    switch expected {
    case .controls, .hostState:
      tally.failedByControlsOrHost += 1
      let error = UInt64(expected.instructionError?.rawValue ?? 0)
      if report.failure != .valid(error) { complain("\(report) instead of VMfailValid(\(error))") }
    case .guestState(let qualification):
      tally.failedByGuestState += 1
      // L1 may have sent itself anywhere by its host state, and then has noted nothing.
      guard let exit = report.exits.first else { return }
      if exit.reason.rawValue != 0x8000_0021 || exit.qualification != qualification.rawValue {
        complain("\(report) instead of a failed entry with qualification \(qualification.rawValue)")
      }
    }
  }

  private func judgeEntry(_ report: RigReport) {
    if let exit = report.exits.first, exit.reason.basic == .entryFailureMSRLoading {
      tally.failedByMSRs += 1
      return
    }
    tally.entered += 1
    // As above: what L1 noted is of no account once L2 has run, and VMLAUNCH did not fail then.
    if report.entries == 0, let failure = report.failure, report.exits.isEmpty {
      complain("\(failure) although no check is violated")
    }
  }
}

extension Rig {
  /// Gives every VMCS of `script` to L1, on as many machines as it takes.
  package func runAll(_ script: FuzzScript, count: Int) throws {
    while script.tally.count < count {
      let before = script.tally.count
      let end = try run(script)
      script.finish(end)
      guard script.tally.count > before else { throw NoProgress(outcome: end.result.outcome) }
    }
  }
}
