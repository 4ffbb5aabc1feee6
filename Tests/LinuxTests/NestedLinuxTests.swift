import Foundation
import Testing

/// Linux's own KVM as L1's hypervisor, and its exits as Testudo counts them.
@Suite(
  "Linux's KVM with an L2", .serialized, .enabled(if: LinuxParts.areThere, "\(LinuxParts.advice)"),
  .enabled(if: InitialDisk.canBuildPrograms, "\(InitialDisk.clangAdvice)"))
struct NestedLinuxTests {
  private static let count = 1000

  /// A run in which L2 executes `count` CPUIDs.
  private static func run(_ count: Int, access: String = "off", _ options: [String] = []) throws -> LinuxRun {
    try LinuxRun(
      LinuxKernelTests.kernel, "quiet modules=yes l2=\(count)", options: ["--vmcs-access", access] + options)
  }

  private static let plain = Result { try run(count) }
  private static let shadowed = Result { try run(count, access: "hardware") }

  /// L2 did its work: the program says so.
  private func expectWork(of run: LinuxRun, _ count: Int) {
    #expect(run.status == 0, "\(run.ending)")
    #expect(
      run.lines.suffix(3) == [
        "l2: wrote its byte to the port", "l2: halted after \(count) CPUIDs", "init: l2 ended with status 0",
      ], "\(run.ending)")
    #expect(run.report?.failedEntries == 0)
  }

  @Test("Each CPUID of L2 is one exit that L1 handles, and nothing else differs in kind")
  func cpuidsAreCounted() throws {
    let none = try Self.run(0)
    let some = try Self.plain.get()
    expectWork(of: none, 0)
    expectWork(of: some, Self.count)
    #expect(none.exits(from: "L2", "CPUID", to: "L1") == 0)
    #expect(some.exits(from: "L2", "CPUID", to: "L1") == Self.count)
    for run in [none, some] {
      #expect(run.exits(from: "L2", "IO_INSTRUCTION", to: "L1") == 1)
      #expect(run.exits(from: "L2", "HLT", to: "L1") == 1)
      #expect(run.exits(from: "L2", "CPUID", to: "L0") == 0)
    }
    // Each VM entry of L1 lasts until an exit of L2 that L1 handles.
    for run in [none, some] {
      let entries = run.exits(from: "L1", "VMLAUNCH", to: "L0") + run.exits(from: "L1", "VMRESUME", to: "L0")
      let exits = (run.report?.exits ?? []).filter { $0.from == "L2" && $0.routedTo == "L1" }
      #expect(entries == exits.reduce(0) { $0 + $1.count })
      #expect(entries < Self.count * 2)
    }
  }

  @Test("A CPUID of L2 takes KVM some ten exits without VMCS shadowing, and some three with it")
  func multiplicationIsThatOfKVM() throws {
    let off = try Self.plain.get()
    let hardware = try Self.shadowed.get()
    expectWork(of: hardware, Self.count)
    let perOffExit = try #require(off.report?.multiplication.perL2Exit)
    let perHardwareExit = try #require(hardware.report?.multiplication.perL2Exit)
    // The exit, L1's VMRESUME and CPUID, and a handful of VMREADs and VMWRITEs: which, is the kernel's matter.
    #expect((6...20).contains(perOffExit), "\(perOffExit)")
    #expect((2...5).contains(perHardwareExit), "\(perHardwareExit)")
    #expect(off.exits(from: "L1", "VMREAD", to: "L0") > 2 * Self.count)
    #expect(hardware.exits(from: "L1", "VMREAD", to: "L0") < Self.count)
    #expect(hardware.exits(from: "L2", "CPUID", to: "L1") == Self.count)
  }

  @Test("Two equal runs are equal")
  func runsRepeat() throws {
    let again = try Self.run(Self.count)
    #expect(try again.repeatable == Self.plain.get().repeatable)
  }

  @Test(
    "KVM runs L2 without EPT, and on an L0 without EPT", arguments: ["shadow-on-ept", "shadow-on-shadow"])
  func memoryDesigns(_ design: String) throws {
    let run = try Self.run(Self.count, access: "hardware", ["--memory-design", design])
    expectWork(of: run, Self.count)
    #expect(run.exits(from: "L2", "CPUID", to: "L1") == Self.count)
    #expect(run.exits(from: "L2", "EPT_VIOLATION", to: "L1") == 0)
    #expect(run.exits(from: "L2", "EXCEPTION_OR_NMI", to: "L1") > 0)
    #expect((run.exits(from: "L1", "EXCEPTION_OR_NMI", to: "L0") > 0) == (design == "shadow-on-shadow"))
  }

  @Test("KVM runs L2 on a machine with two virtual CPUs as well")
  func severalProcessors() throws {
    let run = try Self.run(Self.count, access: "hardware", ["--cpus", "2"])
    expectWork(of: run, Self.count)
    #expect(run.exits(from: "L2", "CPUID", to: "L1") == Self.count)
  }

  @Test("KVM runs L2 on the KVM processor")
  func onTheKVMProcessor() throws {
    let run = try Self.run(Self.count, ["--processor", "kvm"])
    if run.status == 69 { try Test.cancel("\(run.errors)") }
    expectWork(of: run, Self.count)
    #expect(run.exits(from: "L2", "CPUID", to: "L1") == Self.count)
    #expect(run.exits(from: "L2", "CPUID", to: "L0") == 0)
  }

  /// The parameters of kvm_intel that can be switched off, and what then is reported of it.
  static let parameters = [
    (parameter: "ept", lines: ["init: ept N", "init: unrestricted_guest N", "init: vpid Y"]),
    (parameter: "unrestricted_guest", lines: ["init: ept Y", "init: unrestricted_guest N", "init: vpid Y"]),
    (parameter: "vpid", lines: ["init: ept Y", "init: unrestricted_guest Y", "init: vpid N"]),
  ]

  @Test("KVM without a feature of VMX runs its L2, too", arguments: parameters)
  func featuresCanBeLeftOut(_ parameter: String, _ lines: [String]) throws {
    let run = try LinuxRun(
      LinuxKernelTests.kernel, "quiet modules=yes l2=\(Self.count) exits=\(Self.count) without=\(parameter)",
      options: ["--vmcs-access", "hardware"])
    #expect(run.status == 0, "\(run.ending)")
    #expect(
      run.lines.suffix(9) == lines + [
        "init: nested Y", "l2: wrote its byte to the port", "l2: halted after \(Self.count) CPUIDs",
        "init: l2 ended with status 0", "exits: iterations checked: \(Self.count)",
        "init: exits ended with status 0",
      ], "\(run.ending)")
    #expect(run.report?.failedEntries == 0)
    #expect(run.exits(from: "L2", "CPUID", to: "L1") == 2 * Self.count)
    #expect(run.exits(from: "L2", "VMCALL", to: "L1") == Self.count)
    let isPaging = parameter != "ept"
    #expect((run.exits(from: "L2", "EPT_VIOLATION", to: "L1") >= Self.count) == isPaging)
    #expect((run.exits(from: "L2", "EXCEPTION_OR_NMI", to: "L1") >= Self.count) == !isPaging)
    // Without unrestricted guests, KVM runs real-address mode as virtual-8086 mode, in which HLT is a fault.
    let isUnrestricted = lines.contains("init: unrestricted_guest Y")
    #expect((run.exits(from: "L2", "HLT", to: "L1") == 1) == isUnrestricted)
  }

  @Test("No exit of L2 is lost, and none comes of itself")
  func exitsAreWhole() throws {
    let count = 10_000
    let run = try LinuxRun(
      LinuxKernelTests.kernel, "quiet modules=yes exits=\(count)", options: ["--vmcs-access", "hardware"])
    #expect(run.lines.contains("exits: iterations checked: \(count)"), "\(run.ending)")
    ExitBalance.check(run, count)
  }
}

/// The exits of the program `Guest/exits.c`, against what its source says.
enum ExitBalance {
  static func check(_ run: LinuxRun, _ count: Int) {
    let rounds = (count + 999) / 1000
    for reason in ["CPUID", "VMCALL", "RDMSR"] {
      #expect(run.exits(from: "L2", reason, to: "L1") == count, "\(reason)")
    }
    #expect(run.exits(from: "L2", "IO_INSTRUCTION", to: "L1") == count + rounds)
    // Besides the fresh pages, its code and its stack.
    #expect(run.exits(from: "L2", "EPT_VIOLATION", to: "L1") == count + 2)
    // L0 composes each page when L2 touches it again, and code and stack once more in each round, after L1's INVEPT.
    #expect(run.exits(from: "L2", "EPT_VIOLATION", to: "L0") == count + 2 * rounds)
    // Each VM entry of L1 lasts until an exit that L1 handles.
    let entries = run.exits(from: "L1", "VMLAUNCH", to: "L0") + run.exits(from: "L1", "VMRESUME", to: "L0")
    let handled = (run.report?.exits ?? []).filter { $0.from == "L2" && $0.routedTo == "L1" }
    #expect(entries == handled.reduce(0) { $0 + $1.count })
    let known: Set = ["CPUID", "VMCALL", "RDMSR", "IO_INSTRUCTION", "EPT_VIOLATION", "EXTERNAL_INTERRUPT"]
    let others = (run.report?.exits ?? []).filter { $0.from == "L2" && !known.contains($0.reason) }
    #expect(others.map(\.reason) == [])
  }
}
