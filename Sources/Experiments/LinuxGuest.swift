import Foundation
import Hypervisor
import VMX

/// Linux with its KVM as L1: a kernel of a distribution, its KVM modules, and one program of ours as the first process,
/// which a manifest has beside it as `l1.c`.
///
/// None of the kernel is part of this project: `Tests/LinuxTests/fetch` gets it, to a folder for each release under
/// `TESTUDO_LINUX`.
public struct LinuxGuest: Equatable, Sendable {
  /// The name that a manifest selects it by.
  public static let name = "linux-kvm"
  /// The variable that names the folder of kernels, and that folder without it.
  public static let variable = "TESTUDO_LINUX"
  private static let defaultFolder = ".cache/testudo/linux"
  private static let modules = ["irqbypass.ko", "kvm.ko", "kvm-intel.ko"]

  /// What L2 can do. Each iteration is one exit of the reason that is measured, but for those of memory.
  static let workloads: [(workload: Workload, reason: ExitReason)] = [
    (Workload(name: "cpuid", summary: "one CPUID an iteration"), .cpuid),
    (
      Workload(name: "hypercall", summary: "one VMCALL an iteration, of a number that KVM does not know"),
      .vmcall
    ),
    (Workload(name: "io", summary: "one IN an iteration, from KVM's own 8259"), .ioInstruction),
    (
      Workload(name: "memory", summary: "touches a fresh page an iteration, which KVM gets from Linux"),
      .eptViolation
    ),
    // Those of memory, which are measured between two CPUIDs of L2, in L2's own address space.
    (Workload(name: "walk", summary: "two loads an iteration that miss the TLB"), .cpuid),
    (
      Workload(name: "touch", summary: "touches a fresh page an iteration, by page tables of its own"), .cpuid
    ),
    (Workload(name: "remap", summary: "gives a linear page another physical one, and loads from it"), .cpuid),
    (Workload(name: "switch", summary: "goes to another address space and back, loading in each"), .cpuid),
  ]

  /// The release of the kernel, such as 6.1.0-50-cloud-amd64.
  public var release: String
  /// The folder that has `l1.c`.
  public var folder: String

  public init(release: String, folder: String) {
    self.release = release
    self.folder = folder
  }

  /// The exit of L2 that `workload` is about.
  static func reason(of workload: String) -> ExitReason? {
    workloads.first { $0.workload.name == workload }?.reason
  }

  /// The words that tell the kernel and its first process what to do.
  static func commandLine(workload: String, iterations: UInt64) -> String {
    "console=ttyS0 quiet panic=-1 -- \(workload) \(iterations)"
  }

  /// The folder of the kernel's release.
  private var kernelFolder: String {
    let environment = ProcessInfo.processInfo.environment
    let kernels =
      environment[Self.variable]
      ?? FileManager.default.homeDirectoryForCurrentUser.appendingPathComponent(Self.defaultFolder).path
    return kernels + "/" + release
  }

  /// Whether the kernel and its modules are there.
  public var isThere: Bool {
    (["vmlinuz"] + Self.modules).allSatisfy {
      FileManager.default.isReadableFile(atPath: kernelFolder + "/" + $0)
    }
  }

  /// The kernel, and the RAM disk with its modules and the program, which the host's C compiler makes. Throws
  /// ``LinuxGuestError``.
  public func images() throws(LinuxGuestError) -> (kernel: GuestImage, initrd: GuestImage) {
    let kernel = try file("vmlinuz")
    var archive = NewcArchive()
    archive.add(file: "init", try compiled())
    for module in Self.modules { archive.add(file: module, permissions: 0o644, try file(module)) }
    return (
      GuestImage(name: "\(Self.name) \(release)", bytes: kernel),
      GuestImage(name: "\(Self.name) initrd", bytes: archive.bytes)
    )
  }

  private func file(_ name: String) throws(LinuxGuestError) -> [UInt8] {
    let path = kernelFolder + "/" + name
    guard let data = FileManager.default.contents(atPath: path) else {
      throw LinuxGuestError(
        problem: "\(path): is missing: get it by 'Tests/LinuxTests/fetch linux-image-\(release)', or set "
          + "\(Self.variable) to a folder that has \(release)/vmlinuz and its KVM modules")
    }
    return Array(data)
  }

  /// `l1.c` as a program without a C library.
  private func compiled() throws(LinuxGuestError) -> [UInt8] {
    let source = folder + "/l1.c"
    let target = FileManager.default.temporaryDirectory.appendingPathComponent("testudo-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: target) }
    let compiler = Process()
    compiler.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    compiler.arguments =
      ["cc", "-O2", "-static", "-nostdlib", "-ffreestanding", "-fno-stack-protector", "-fno-pie", "-no-pie"]
      + ["-o", target.path, source]
    compiler.standardOutput = FileHandle.nullDevice
    do { try compiler.run() } catch {
      throw LinuxGuestError(problem: "\(source): cannot be compiled: there is no /usr/bin/env")
    }
    compiler.waitUntilExit()
    guard compiler.terminationStatus == 0, let data = FileManager.default.contents(atPath: target.path) else {
      throw LinuxGuestError(
        problem: "\(source): cannot be compiled: expected a C compiler called cc, and Linux's headers")
    }
    return Array(data)
  }
}

/// Why there is no Linux to run: one line.
public struct LinuxGuestError: Error, Equatable, CustomStringConvertible {
  public var problem: String
  public var description: String { problem }
}
