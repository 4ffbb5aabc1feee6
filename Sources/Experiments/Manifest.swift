import Hypervisor

/// What an experiment runs: every combination of its workloads and its VMCS access models.
public struct Manifest: Equatable, Sendable {
  /// The value of the field `schema` that this version understands.
  public static let schema = "testudo.experiment/1"

  /// The experiment's name: that of its folder.
  public var name: String
  /// The question that it answers, in one sentence.
  public var question: String
  /// The name of a built-in guest, or ``LinuxGuest/name``.
  public var guest: String
  /// The kernel and the program, if the guest is Linux.
  public var linux: LinuxGuest?
  public var workloads: [String]
  /// Iterations of the workload in each run.
  public var iterations: UInt64
  public var vmcsAccess: [VMCSAccess]
  /// L1's memory in bytes.
  public var memory: UInt64
  /// The figure that the plot shows.
  public var plot: Measure

  /// One combination.
  public struct Case: Equatable, Sendable {
    public var workload: String
    public var vmcsAccess: VMCSAccess

    public init(workload: String, vmcsAccess: VMCSAccess) {
      self.workload = workload
      self.vmcsAccess = vmcsAccess
    }
  }

  /// All combinations in the order of the manifest, the access models of one workload beside each other.
  public var cases: [Case] {
    workloads.flatMap { workload in vmcsAccess.map { Case(workload: workload, vmcsAccess: $0) } }
  }
}

/// A figure of a run that a plot can show.
public enum Measure: String, CaseIterable, Sendable {
  case hardwareExitsPerL2Exit
  case cyclesPerL2Exit

  /// The word for it in the head of a table whose caption says per what.
  public var word: String {
    switch self {
    case .hardwareExitsPerL2Exit: "exits"
    case .cyclesPerL2Exit: "cycles"
    }
  }

  /// What the plot's axis says.
  public var axis: String {
    switch self {
    case .hardwareExitsPerL2Exit: "hardware exits per L2 exit"
    case .cyclesPerL2Exit: "virtual cycles per L2 exit"
    }
  }
}
