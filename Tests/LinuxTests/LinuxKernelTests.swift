import Foundation
import Testing

/// Unmodified Linux kernels as L1. One boot at a time, for each takes a processor for seconds.
@Suite("Linux as L1", .serialized, .enabled(if: LinuxParts.areThere, "\(LinuxParts.advice)"))
struct LinuxKernelTests {
  /// The kernel for the tests that need one only.
  static var kernel: LinuxKernel { get throws { try #require(LinuxParts.kernels.first) } }

  @Test(
    "A kernel boots to its first process, loads KVM and turns the machine off", arguments: LinuxParts.kernels)
  func kernelLoadsKVM(_ kernel: LinuxKernel) throws {
    let run = try LinuxRun(kernel, "modules=yes")
    #expect(run.status == 0, "\(run.ending)")
    #expect(run.report?.outcome.kind == "poweredOff")
    #expect(
      run.lines.filter { !$0.contains("MByte") } == [
        "init: reached", "init: /dev/kvm is there", "init: ept Y", "init: unrestricted_guest Y",
        "init: vpid Y", "init: nested Y",
      ], "\(run.ending)")
    #expect(run.report?.failedEntries == 0)
  }

  @Test(
    "A kernel uses whatever the oldest and the newest processor models promise",
    arguments: ["nehalem", "max"])
  func kernelTrustsCPUID(_ model: String) throws {
    let run = try LinuxRun(Self.kernel, "modules=yes", options: ["--cpu", model])
    #expect(run.status == 0, "\(run.ending)")
    #expect(run.lines.contains("init: /dev/kvm is there"), "\(run.ending)")
  }

  @Test("Several virtual CPUs and memory above 4 GByte are the kernel's to use", arguments: [2, 4])
  func kernelFindsProcessorsAndMemory(_ count: Int) throws {
    let run = try LinuxRun(Self.kernel, options: ["--cpus", "\(count)", "--memory", "\(count * 2)G"])
    #expect(run.status == 0, "\(run.ending)")
    let words = try #require(run.lines.last { $0.contains("MByte") }).split(separator: " ")
    #expect(words[1] == "\(count)")
    // The kernel keeps a part for itself.
    let megabytes = try #require(Int(words[3]))
    #expect((count * 1900..<count * 2048).contains(megabytes), "\(megabytes)")
    let processors = try #require(run.report?.processors)
    #expect(processors.count == count)
    #expect(processors.allSatisfy { $0.instructions > 1_000_000 }, "\(processors)")
  }

  @Test("A memory that is too small for the kernel is one sentence that says how much it needs")
  func memoryTooSmall() throws {
    let run = try LinuxRun(Self.kernel, options: ["--memory", "16M"])
    #expect(run.status == 65)
    #expect(run.report == nil)
    #expect(run.errors.split(separator: "\n").count == 1)
    #expect(run.errors.contains("the machine has 16 MByte; give it more, such as --memory"), "\(run.errors)")
  }

  @Test("With the memory that the sentence advises, the kernel starts, and ends by itself")
  func adviceHolds() throws {
    let refused = try LinuxRun(Self.kernel, options: ["--memory", "16M"])
    let advised = try #require(refused.errors.firstMatch(of: /--memory (\d+M)/)?.1)
    let run = try LinuxRun(Self.kernel, options: ["--memory", String(advised)])
    // It starts; whether the memory is enough to go on with is the kernel's own matter, and it says so.
    #expect(run.report?.serial.contains("Linux version") == true, "\(run.ending)")
    #expect(["poweredOff", "reset"].contains(run.report?.outcome.kind), "\(run.ending)")
  }

  /// The ways to reset a PC that Linux knows (its parameter `reboot`), and how a run ends by them.
  static let resets: [(way: String, kind: String, sentence: String)] = [
    ("t", "tripleFault", "triple fault"), ("k", "reset", "keyboard controller"),
    ("a", "reset", "reset control register"), ("p", "reset", "reset control register"),
  ]

  @Test("Each of Linux's ways to reset the machine ends the run by its name", arguments: resets)
  func resetEndsTheRun(_ way: String, _ kind: String, _ sentence: String) throws {
    let run = try LinuxRun(Self.kernel, "quiet reboot=\(way) end=reboot")
    #expect(run.status == 1, "\(run.ending)")
    #expect(run.lines.first == "init: reached", "\(run.ending)")
    #expect(run.report?.outcome.kind == kind)
    #expect(run.report?.outcome.sentence.contains(sentence) == true, "\(run.ending)")
  }
}
