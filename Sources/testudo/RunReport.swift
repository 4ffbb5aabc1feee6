import ExitAnalysis
import Hypervisor
import KVMProcessor
import Report
import Trace

/// A finished run as `testudo run` reports it.
struct RunReport {
  /// The version of the JSON object; a key's meaning never changes within one.
  static let schema = "testudo.run/1"

  /// The guest as the user named it.
  var guest: String
  /// The number of our own hypervisors under it.
  var carriers: Int
  /// Nil if the user left both to an image of their own.
  var workload: String?
  var iterations: UInt64?
  /// The guest's command line.
  var commandLine: String
  var processor: String
  /// The VMCS access model as the user named it.
  var vmcsAccess: String
  var configuration: MachineConfiguration
  var result: RunResult
  var hostSeconds: Double
  /// Who did what in a run on the KVM processor.
  var kvm: KVMRunCounts?
  /// What the guest wrote to its serial port, as far as it was kept.
  var serial: [UInt8]
  /// The number of bytes that it wrote.
  var serialCount: UInt64

  private var multiplication: Multiplication { Multiplication(result.trees) }

  // MARK: For people

  func text() -> String {
    var text = "\n" + heading + "\n\n"
    if !result.exits.isEmpty { text += ExitTable.table(result.exits).rendered() + "\n" }
    text += ExitTable.sentence(multiplication) + "\n"
    if configuration.nested.vmcsAccess != .off { text += access + "\n" }
    text += cost + "\n"
    if let kvm { text += Self.text(kvm) + "\n" }
    if result.idleCycles > 0 { text += waiting + "\n" }
    if result.pageWalks.l1.walks | result.pageWalks.l2.walks != 0 { text += walks + "\n" }
    if result.consoleInput.bytes > 0 { text += input + "\n" }
    if result.processors.count > 1 { text += processors }
    for failure in result.entryFailures { text += Self.text(failure) }
    if result.outcome.isSuccess { text += "\(result.outcome)\n" }
    return text
  }

  private var heading: String {
    var parts = [guest]
    if carriers > 0 {
      parts[0] += " as L\(carriers + 1) on \(carriers == 1 ? "a carrier" : "\(carriers) carriers")"
    }
    if let workload { parts.append("workload \(workload)") }
    if let iterations { parts.append("\(grouped(iterations)) iterations") }
    parts.append("VMCS access \(vmcsAccess)")
    parts.append("\(processor) processor")
    return parts.joined(separator: ", ")
  }

  private var access: String {
    let exitless = result.exitlessAccesses
    return
      "VMCS access without exits: \(grouped(exitless.reads)) reads and \(grouped(exitless.writes)) writes of L1; "
      + "L0 copied \(grouped(result.sync.fieldsToShadow)) fields to where L1 reads them and "
      + "\(grouped(result.sync.fieldsFromShadow)) back to vmcs12"
  }

  private var cost: String {
    let speed = hostSeconds > 0 ? Double(result.instructions) / hostSeconds / 1e6 : 0
    return
      "\(grouped(result.instructions)) guest instructions, \(grouped(result.virtualCycles)) virtual cycles; "
      + "\(decimal(hostSeconds, places: 3)) s on this host, \(decimal(speed, places: 1)) million instructions/s"
  }

  private static func text(_ counts: KVMRunCounts) -> String {
    "\(grouped(counts.runs)) runs on KVM, \(grouped(counts.handedOver)) instructions by the software processor, of which "
      + "\(grouped(counts.faults)) met a fault on KVM; \(grouped(counts.mappings)) mappings"
  }

  private static func json(_ counts: KVMRunCounts) -> JSONValue {
    [
      "runs": .unsigned(counts.runs), "handedOver": .unsigned(counts.handedOver),
      "faults": .unsigned(counts.faults), "mappings": .unsigned(counts.mappings),
    ]
  }

  private var waiting: String {
    let share = Double(result.idleCycles) * 100 / Double(max(result.virtualCycles, 1))
    return
      "\(grouped(result.idleCycles)) of the virtual cycles (\(decimal(share, places: 1)) %) passed while the guest "
      + "waited for an event"
  }

  private var walks: String {
    let parts = [ExitLevel.l1, .l2].filter { result.pageWalks[$0].walks > 0 }.map { level in
      let counts = result.pageWalks[level]
      let average = Double(counts.references) / Double(counts.walks)
      return "\(grouped(counts.walks)) of \(level.name) (\(decimal(average, places: 1)) references each)"
    }
    let references = result.pageWalks.l1.references &+ result.pageWalks.l2.references
    return
      "TLB misses: \(parts.joined(separator: " and ")), whose page walks took "
      + "\(grouped(references &* result.walkReferenceCycles)) virtual cycles"
  }

  private var input: String {
    let input = result.consoleInput
    return
      "\(grouped(input.bytes)) bytes of input for the guest's console"
      + (input.isLive ? ", some as they were typed, so that another run may differ" : "")
  }

  private var processors: String {
    result.processors.map { count in
      "CPU \(count.number): \(grouped(count.exits)) exits, \(grouped(count.instructions)) instructions\n"
    }.joined()
  }

  private static func text(_ failure: EntryFailureReport) -> String {
    "VM entry of L1 failed with \(failure.consequence): \(failure.check)\n"
      + "  \(failure.field) = \(hexadecimal(failure.value)), expected \(failure.expected)\n"
      + "  SDM, \"\(failure.section)\"\n"
  }

  // MARK: For programs

  /// Everything as one JSON object; only `hostSeconds` differs between equal runs.
  func json() -> JSONValue {
    [
      "schema": .string(Self.schema), "guest": .string(guest), "carriers": .unsigned(UInt64(carriers)),
      "workload": workload.map(JSONValue.string) ?? .null,
      "iterations": iterations.map(JSONValue.unsigned) ?? .null, "processor": .string(processor),
      "vmcsAccess": .string(vmcsAccess),
      "eptComposition": .string(configuration.nested.eptComposition.rawValue),
      "memoryDesign": .string(configuration.nested.memoryDesign.rawValue),
      "memory": .unsigned(configuration.memorySize), "commandLine": .string(commandLine),
      "costTable": .string(configuration.costs.name), "outcome": outcome,
      "instructions": .unsigned(result.instructions), "virtualCycles": .unsigned(result.virtualCycles),
      "idleCycles": .unsigned(result.idleCycles),
      "processors": .array(result.processors.map(Self.json)), "hostSeconds": .number(hostSeconds),
      "exits": ExitTable.json(result.exits),
      "multiplication": ExitTable.json(multiplication), "sync": sync,
      "exitlessAccesses": [
        "reads": .unsigned(result.exitlessAccesses.reads),
        "writes": .unsigned(result.exitlessAccesses.writes),
        "cycles": .unsigned(result.exitlessAccesses.cycles),
      ],
      "pageWalks": .array([walks(.l2), walks(.l1)]),
      "kvm": kvm.map(Self.json) ?? .null,
      "failedEntries": .unsigned(result.failedEntries),
      "entryFailures": .array(result.entryFailures.map(Self.json)),
      "serial": .string(String(decoding: serial, as: UTF8.self)), "serialBytes": .unsigned(serialCount),
      "consoleInput": [
        "bytes": .unsigned(result.consoleInput.bytes), "live": .bool(result.consoleInput.isLive),
      ],
    ]
  }

  private func walks(_ level: ExitLevel) -> JSONValue {
    let counts = result.pageWalks[level]
    return [
      "level": .string("\(level.name)"), "walks": .unsigned(counts.walks),
      "guestReferences": .unsigned(counts.guestReferences), "eptReferences": .unsigned(counts.eptReferences),
      "byReferences": .array(counts.byReferences.map(JSONValue.unsigned)),
      "cycles": .unsigned(counts.references &* result.walkReferenceCycles),
    ]
  }

  private static func json(_ count: ProcessorCount) -> JSONValue {
    ["exits": .unsigned(count.exits), "instructions": .unsigned(count.instructions)]
  }

  private var outcome: JSONValue {
    [
      "kind": .string(result.outcome.kind), "success": .bool(result.outcome.isSuccess),
      "sentence": .string(result.outcome.description),
    ]
  }

  private var sync: JSONValue {
    [
      "regionsLoaded": .unsigned(result.sync.regionsLoaded),
      "regionsFlushed": .unsigned(result.sync.regionsFlushed),
      "shadowFills": .unsigned(result.sync.shadowFills), "shadowDrains": .unsigned(result.sync.shadowDrains),
      "fieldsToShadow": .unsigned(result.sync.fieldsToShadow),
      "fieldsFromShadow": .unsigned(result.sync.fieldsFromShadow),
    ]
  }

  private static func json(_ failure: EntryFailureReport) -> JSONValue {
    [
      "check": .string(failure.check), "field": .string(failure.field),
      "value": .string(hexadecimal(failure.value)),
      "expected": .string(failure.expected), "section": .string(failure.section),
      "consequence": .string(failure.consequence),
    ]
  }
}

extension RunProgress {
  /// How far a run has come after so many seconds, for people.
  func text(after seconds: Double) -> String {
    let speed = Double(instructions) / max(seconds, 1e-3) / 1e6
    return
      "\(grouped(instructions)) instructions, \(grouped(exits)) exits, \(decimal(speed, places: 1)) MIPS, "
      + "\(decimal(seconds, places: 0)) s"
  }
}

extension RunOutcome {
  /// The outcome in one word for programs.
  fileprivate var kind: String {
    switch self {
    case .guestReported: "guestReported"
    case .poweredOff: "poweredOff"
    case .reset: "reset"
    case .tripleFault: "tripleFault"
    case .halted: "halted"
    case .outsideMemory: "outsideMemory"
    case .shutdown: "shutdown"
    case .instructionLimit: "instructionLimit"
    case .stopped(.timeout): "timeout"
    case .stopped(.interrupted): "interrupted"
    case .internalError: "internalError"
    }
  }
}
