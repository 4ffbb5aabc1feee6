import Experiments
import Foundation
import Testing

/// Three hypervisors above one another: Testudo is L0, Linux's KVM L1, and L2 the guest hypervisor `minimal`, which KVM
/// lets have VMX (its parameter `nested`). What `minimal` runs is L3.
///
/// Testudo's L2 is everything that KVM runs, so exits of L3 are counted as L2's.
@Suite(
  "Linux's KVM with a hypervisor in its guest", .serialized,
  .enabled(if: LinuxParts.areThere, "\(LinuxParts.advice)"),
  .enabled(if: InitialDisk.canBuildPrograms, "\(InitialDisk.clangAdvice)"))
struct DepthTests {
  private static let count = 100

  private static func run(_ workload: String, access: String, _ words: String = "") throws -> LinuxRun {
    try LinuxRun(
      LinuxKernelTests.kernel, "quiet modules=yes workload=\(workload) iterations=\(count) \(words)",
      options: ["--vmcs-access", access])
  }

  private static let plain = Result { try run("cpuid", access: "off") }
  private static let shadowed = Result { try run("cpuid", access: "hardware") }

  /// What `minimal` writes to the serial port that the KVM program gives it.
  private static func expected(_ workload: String) -> [String] {
    let exits = workload == "none" ? 0 : count
    return [
      "minimal: a guest hypervisor in Embedded Swift", "workload \(workload), iterations \(count)",
      "exits handled \(exits)", "done", "multiboot: the image reported 0",
    ]
  }

  private func expectWork(of run: LinuxRun) {
    #expect(run.status == 0, "\(run.ending)")
    let lines = (run.report?.serial ?? "").split(whereSeparator: \.isNewline).map(String.init)
    let start = lines.firstIndex { $0.hasPrefix("minimal: ") } ?? lines.startIndex
    #expect(Array(lines[start...].prefix(5)) == Self.expected("cpuid"), "\(run.ending)")
    #expect(run.report?.failedEntries == 0)
  }

  /// KVM handles an exit of L3 by giving it to L2, and L2's VMRESUME by entering L3.
  private func expectExits(of run: LinuxRun) {
    // Each CPUID of L3 has L2 execute one, which then is one more exit; so has its look at the processor's features.
    #expect(run.exits(from: "L2", "CPUID", to: "L1") == 2 * Self.count + 1)
    #expect(run.exits(from: "L2", "VMRESUME", to: "L1") == Self.count)
    for instruction in ["VMXON", "VMXOFF", "VMCLEAR", "VMPTRLD", "VMLAUNCH", "VMCALL"] {
      #expect(run.exits(from: "L2", instruction, to: "L1") == 1, "\(instruction)")
    }
    // Each VM entry of L1 lasts until an exit that L1 handles.
    let entries = run.exits(from: "L1", "VMLAUNCH", to: "L0") + run.exits(from: "L1", "VMRESUME", to: "L0")
    let exits = (run.report?.exits ?? []).filter { $0.from == "L2" && $0.routedTo == "L1" }
    #expect(entries == exits.reduce(0) { $0 + $1.count })
  }

  @Test("An L3 gets all of its exits handled by an L2 of KVM")
  func hypervisorRunsInKVM() throws {
    let run = try Self.plain.get()
    expectWork(of: run)
    expectExits(of: run)
  }

  @Test("With VMCS shadowing in L1, KVM shadows the VMCS of its guest hypervisor, too")
  func shadowingReachesL2() throws {
    let off = try Self.plain.get()
    let hardware = try Self.shadowed.get()
    expectWork(of: hardware)
    expectExits(of: hardware)
    // minimal's four VMREADs and one VMWRITE an exit need KVM no more, and each of KVM's own fewer exits.
    let perOffExit = try #require(off.report?.multiplication.perL2Exit)
    let perHardwareExit = try #require(hardware.report?.multiplication.perL2Exit)
    #expect(perHardwareExit < perOffExit / 1.5, "\(perHardwareExit) \(perOffExit)")
  }

  @Test("Every workload of minimal does its work as L3")
  func workloadsRun() throws {
    let workloads = GuestCatalog.minimalWorkloads.map(\.name)
    let commands = workloads.map { "/multiboot /minimal.elf workload=\($0) iterations=\(Self.count)" }
    let run = try LinuxRun(
      LinuxKernelTests.kernel, commands: commands.joined(separator: "\n"), "quiet modules=yes",
      options: ["--vmcs-access", "hardware"])
    #expect(run.status == 0, "\(run.ending)")
    let lines = (run.report?.serial ?? "").split(whereSeparator: \.isNewline).map(String.init)
    let start = try #require(lines.firstIndex { $0.hasPrefix("minimal: ") }, "\(run.ending)")
    #expect(Array(lines[start...].prefix(workloads.count * 5)) == workloads.flatMap(Self.expected))
    #expect(run.report?.failedEntries == 0)
  }

  @Test("KVM without unrestricted_guest runs a hypervisor in its guest as well")
  func restrictedGuest() throws {
    let run = try Self.run("cpuid", access: "hardware", "without=unrestricted_guest")
    #expect(run.lines.contains("init: unrestricted_guest N"), "\(run.ending)")
    expectWork(of: run)
    expectExits(of: run)
  }
}
