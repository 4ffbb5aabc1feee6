import Experiments
import Foundation
import Testing

/// The KVM processor on KVMs that other people have: Testudo on kvm_amd in QEMU, and on kvm_intel on Testudo.
///
/// One boot answers all tests of a KVM, since the boot is most of the time.
@Suite(
  "The KVM processor on a stock KVM", .serialized,
  .enabled(if: StaticProgram.canBeLinked, "\(StaticProgram.advice)"),
  .enabled(if: StockKVM.allCases.contains { $0.obstacle == nil }, "\(LinuxParts.advice)"))
struct StockKVMTests {
  /// Fewer where each iteration takes the machine of software long.
  private static func iterations(_ workload: String) -> Int {
    switch workload {
    case "memory": 300
    case "none", "interrupt": 5
    default: 100
    }
  }

  /// Arguments of `testudo run`, but for those that choose the processor.
  private static func arguments(_ workload: String, _ iterations: Int) -> [String] {
    ["run", "minimal", "--workload", workload, "--iterations", "\(iterations)", "--json"]
  }

  static let workloads = GuestCatalog.minimalWorkloads.map(\.name)
  /// A workload that single steps bear, and how often.
  private static let stepped = (workload: "memory", iterations: 20)

  /// What is asked of each KVM. The guest's own output would come between, so it goes to a file.
  private static let commands: [(name: String, command: String)] =
    [("doctor", "testudo doctor --json")]
    + workloads.map { ($0, command(arguments($0, iterations($0)), "patched")) }
    + [("stepped", command(arguments(stepped.workload, stepped.iterations), "stepped"))]

  private static func command(_ arguments: [String], _ intercepts: String) -> String {
    command(arguments, "--intercepts \(intercepts) --lending all", seconds: 120)
  }

  private static func command(_ arguments: [String], _ options: String, seconds: Int) -> String {
    "testudo \(arguments.joined(separator: " ")) --processor kvm \(options) --timeout \(seconds) "
      + "2>/tmp/errors || { cat /tmp/errors; false; }"
  }

  /// Linux as L1 whose KVM has an L2, with as much lent to the KVM below as is gain. On kvm_amd alone: in Testudo's software
  /// processor, what is executed in software would be so twice.
  private static let linuxCount = 1000
  private static let linux = (
    name: "linux",
    command: command(
      ["run", "/vmlinuz", "--initrd", "/initrd", "--json", "--cmdline"]
        + ["'console=ttyS0 panic=-1 oops=panic quiet modules=yes l2=\(linuxCount)'"], "", seconds: 400)
  )

  /// What a machine with the KVM `host` is asked.
  private static func commands(on host: StockKVM) -> [(name: String, command: String)] {
    host == .amd ? commands + [linux] : commands
  }

  private static func files(on host: StockKVM) throws -> [(path: String, bytes: [UInt8])] {
    let program = [(path: "testudo", bytes: try StaticProgram.bytes.get())]
    guard host == .amd, let kernel = LinuxParts.kernels.first else { return program }
    let parts = [("vmlinuz", kernel.image), ("initrd", try InitialDisk.file(for: kernel))]
    return program + (try parts.map { ($0, Array(try Data(contentsOf: $1))) })
  }

  private static let answers: [StockKVM: Result<[String: StockKVM.Answer], any Error>] = {
    let hosts = StockKVM.allCases.filter { $0.obstacle == nil }
    return Dictionary(
      uniqueKeysWithValues: hosts.map { host in
        (
          host,
          Result {
            try host.answers(to: commands(on: host), adding: files(on: host))
          }
        )
      })
  }()

  /// What `command` wrote on `kvm`; a test whose KVM cannot be had is cancelled with a sentence.
  private func answer(_ command: String, on kvm: StockKVM) throws -> StockKVM.Answer {
    if let obstacle = kvm.obstacle { try Test.cancel("\(obstacle)") }
    return try #require(try Self.answers[kvm]?.get()[command])
  }

  @Test("Testudo finds the KVM, and what it can do", arguments: StockKVM.allCases)
  func doctorIsContent(_ kvm: StockKVM) throws {
    struct Report: Decodable {
      struct Finding: Decodable {
        var subject: String
        var verdict: String
        var found: String
      }
      var findings: [Finding]
    }
    let answer = try answer("doctor", on: kvm)
    #expect(answer.status == 0, "\(answer.text)")
    let report = try JSONDecoder().decode(Report.self, from: Data(answer.text.utf8))
    for subject in ["/dev/kvm", "KVM processor"] {
      let finding = try #require(report.findings.first { $0.subject == subject })
      #expect(finding.verdict != "no", "\(finding)")
    }
    let vendor = kvm == .amd ? "AMD-V" : "VT-x"
    #expect(report.findings.contains { $0.found.hasPrefix(vendor) })
  }

  @Test(
    "The exits of each workload are those of the software processor",
    arguments: StockKVM.allCases, workloads)
  func exitsAreEqual(_ kvm: StockKVM, _ workload: String) throws {
    try expectEqual(answer(workload, on: kvm), workload, Self.iterations(workload))
  }

  @Test("Single steps find the same exits", arguments: StockKVM.allCases)
  func singleSteps(_ kvm: StockKVM) throws {
    try expectEqual(answer("stepped", on: kvm), Self.stepped.workload, Self.stepped.iterations)
  }

  @Test("Linux boots as L1, and its KVM runs an L2", .enabled(if: InitialDisk.canBuildPrograms))
  func linuxIsL1() throws {
    let answer = try answer(Self.linux.name, on: .amd)
    try #require(answer.status == 0, "\(answer.text)")
    let report = try JSONDecoder().decode(LinuxRun.Report.self, from: Data(answer.text.utf8))
    #expect(report.outcome.kind == "poweredOff")
    #expect(report.serial.contains("l2: halted after \(Self.linuxCount) CPUIDs"))
    let cpuids = report.exits.filter { $0.from == "L2" && $0.reason == "CPUID" && $0.routedTo == "L1" }
    #expect(cpuids.reduce(0) { $0 + $1.count } == Self.linuxCount)
    // Not all of it was executed in software; how much, depends on how busy the host is.
    let shares = try JSONDecoder().decode(Shares.self, from: Data(answer.text.utf8))
    #expect(shares.kvm.runs > 20 && shares.kvm.handedOver < shares.instructions, "\(shares)")
  }

  /// Who executed how many instructions.
  private struct Shares: Decodable {
    struct KVM: Decodable {
      var runs: Int
      var handedOver: Int
    }
    var instructions: Int
    var kvm: KVM
  }

  private func expectEqual(_ answer: StockKVM.Answer, _ workload: String, _ iterations: Int) throws {
    try #require(answer.status == 0, "\(answer.text)")
    let found = try JSONDecoder().decode(ExitTable.self, from: Data(answer.text.utf8))
    var expected = try JSONDecoder().decode(
      ExitTable.self, from: Tool.output(TestudoProgram.file.path, Self.arguments(workload, iterations)))
    let hasTimer = workload == "interrupt"
    if hasTimer { expected.add(early: found.interruptsOfL2 - iterations) }
    #expect(found.outcome.success)
    #expect(found.processor == "kvm")
    #expect(found.rows(hasTimer: hasTimer) == expected.rows(hasTimer: hasTimer))
  }
}

/// The part of the JSON object of `testudo run` that does not depend on how long things take.
private struct ExitTable: Decodable {
  struct Outcome: Decodable { var success: Bool }

  var processor: String
  var outcome: Outcome
  var exits: [LinuxRun.Report.Exit]

  /// Interrupts of L1 that end L2's run.
  var interruptsOfL2: Int {
    exits.filter { $0.from == "L2" && $0.reason == "EXTERNAL_INTERRUPT" }.reduce(0) { $0 + $1.count }
  }

  /// Adds so many interrupts that came before L2 waited for them, with what L1 does at each (Guests/minimal). L1 doubles the
  /// time to the next each time, so there are few.
  mutating func add(early count: Int) {
    guard (1...20).contains(count) else { return }
    let perInterrupt = ["VMREAD": 5, "VMRESUME": 1, "EXTERNAL_INTERRUPT": 1, "EPT_VIOLATION": 2]
    for index in exits.indices { exits[index].count += count * perInterrupt[exits[index].reason, default: 0] }
  }

  /// How many exits of each kind went where, as lines in a fixed order. Of a workload that sets a timer those are left out
  /// that it causes while L1 runs: whether its deadline comes then depends on how long things take.
  func rows(hasTimer: Bool) -> [String] {
    exits.filter { !hasTimer || $0.from != "L1" || $0.reason != "EXTERNAL_INTERRUPT" }
      .map { "\($0.from) \($0.reason) \($0.routedTo) \($0.count)" }.sorted()
  }
}
