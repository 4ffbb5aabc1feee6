import Hypervisor

/// Something that a guest's L2 can be told to do.
public struct Workload: Equatable, Sendable {
  /// The name on the command line.
  public var name: String
  /// What L2 does, and which exits that causes.
  public var summary: String
}

/// A guest image that is built into this program.
public struct Guest: Sendable {
  /// The name that selects it.
  public var name: String
  /// One line about it.
  public var summary: String
  /// What its L2 can do; the first is the default.
  public var workloads: [Workload]
  /// The image and its name.
  public var image: GuestImage

  /// The workload called `name`, or nil if this guest has none.
  public func workload(_ name: String) -> Workload? { workloads.first { $0.name == name } }

  /// The words that tell the guest what to do (Guests/minimal/README.md).
  public static func commandLine(workload: String, iterations: UInt64) -> String {
    "workload=\(workload) iterations=\(iterations)"
  }
}

/// The guests that are built into this program.
public enum GuestCatalog {
  /// What L2 of the guest `minimal` can do. Each iteration is one exit but where the summary says otherwise; one
  /// VMCALL more ends L2.
  public static let minimalWorkloads = [
    Workload(name: "cpuid", summary: "one CPUID an iteration; CPUID always exits"),
    Workload(name: "hypercall", summary: "one VMCALL an iteration"),
    Workload(name: "io", summary: "one OUT an iteration, to a port that L1 intercepts"),
    Workload(name: "msr", summary: "one RDMSR or WRMSR an iteration, which L1 intercepts"),
    Workload(name: "hlt", summary: "one HLT an iteration, from which L1 wakes it"),
    Workload(
      name: "memory", summary: "touches a fresh page an iteration: an EPT violation, for which L1 maps a page"
    ),
    Workload(
      name: "interrupt", summary: "one timer interrupt of L1 an iteration, which ends L2's run by a VM exit"),
    Workload(name: "none", summary: "computes without an exit but the last"),
  ]

  public static let guests = [
    Guest(
      name: "minimal", summary: "a small bare-metal hypervisor in Embedded Swift, with one L2 guest",
      workloads: minimalWorkloads,
      image: GuestImage(name: "minimal", bytes: PackageResources.minimal_elf)),
    Guest(
      name: "minimal-broken", summary: "the same with one wrong VM-execution control: its VMLAUNCH fails",
      workloads: minimalWorkloads,
      image: GuestImage(name: "minimal-broken", bytes: PackageResources.minimal_broken_elf)),
  ]

  /// The workloads of all guests, each once.
  public static var workloads: [Workload] {
    guests.flatMap(\.workloads).reduce(into: []) { found, workload in
      if !found.contains(workload) { found.append(workload) }
    }
  }

  /// The guest called `name`, or nil if none is built in.
  public static func guest(_ name: String) -> Guest? { guests.first { $0.name == name } }
}
