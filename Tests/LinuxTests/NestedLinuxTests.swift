import Foundation
import Testing

/// Linux's own KVM as L1's hypervisor, and its exits as Testudo counts them.
@Suite(
  "Linux's KVM with an L2", .serialized, .enabled(if: LinuxParts.areThere, "\(LinuxParts.advice)"),
  .enabled(if: InitialDisk.canBuildProgram, "\(InitialDisk.clangAdvice)"))
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

  @Test("KVM runs L2 on a machine with two virtual CPUs as well")
  func severalProcessors() throws {
    let run = try Self.run(Self.count, access: "hardware", ["--cpus", "2"])
    expectWork(of: run, Self.count)
    #expect(run.exits(from: "L2", "CPUID", to: "L1") == Self.count)
  }
}
