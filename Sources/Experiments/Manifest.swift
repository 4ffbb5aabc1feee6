import Hypervisor

/// What an experiment runs: every combination of its workloads, its numbers of carriers, its VMCS access models and its
/// memory designs.
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
  /// What is compared if there are several; one where a manifest says nothing of it.
  public var memoryDesigns: [MemoryDesign]
  /// How many carriers are under the guest; 0 where a manifest says nothing of it.
  public var carriers: [Int]
  /// L1's memory in bytes.
  public var memory: UInt64
  /// The figure that the plot shows.
  public var plot: Measure

  /// One combination.
  public struct Case: Equatable, Sendable {
    public var workload: String
    public var vmcsAccess: VMCSAccess
    public var memoryDesign: MemoryDesign
    public var carriers: Int

    public init(
      workload: String, vmcsAccess: VMCSAccess, memoryDesign: MemoryDesign? = nil, carriers: Int = 0
    ) {
      self.workload = workload
      self.vmcsAccess = vmcsAccess
      self.memoryDesign = memoryDesign ?? .eptOnEPT
      self.carriers = carriers
    }
  }

  /// All combinations in the order of the manifest, the access models and designs of one workload beside each other.
  public var cases: [Case] {
    workloads.flatMap { workload in
      carriers.flatMap { count in
        vmcsAccess.flatMap { access in
          memoryDesigns.map {
            Case(workload: workload, vmcsAccess: access, memoryDesign: $0, carriers: count)
          }
        }
      }
    }
  }

  /// Whether the designs are what is compared.
  public var comparesDesigns: Bool { memoryDesigns.count > 1 }

  /// Whether there are carriers under the guest, whose exits to L0 are no trees of the guest's.
  public var comparesDepths: Bool { carriers != [0] }

  /// Whether it is iterations of the workload that are measured, and not trees of exits.
  public var measuresIterations: Bool { comparesDesigns || comparesDepths }
}

/// A figure of a run that a plot can show.
public enum Measure: String, CaseIterable, Sendable {
  case hardwareExitsPerL2Exit
  case cyclesPerL2Exit
  case hardwareExitsPerIteration
  case cyclesPerIteration

  /// The figures of exit trees, and those of iterations.
  public static let ofTrees = [hardwareExitsPerL2Exit, cyclesPerL2Exit]
  public static let ofIterations = [hardwareExitsPerIteration, cyclesPerIteration]

  /// The word for it in the head of a table whose caption says per what.
  public var word: String {
    switch self {
    case .hardwareExitsPerL2Exit, .hardwareExitsPerIteration: "exits"
    case .cyclesPerL2Exit, .cyclesPerIteration: "cycles"
    }
  }

  /// What the plot's axis says.
  public var axis: String {
    switch self {
    case .hardwareExitsPerL2Exit: "hardware exits per L2 exit"
    case .cyclesPerL2Exit: "virtual cycles per L2 exit"
    case .hardwareExitsPerIteration: "hardware exits per iteration"
    case .cyclesPerIteration: "virtual cycles per iteration"
    }
  }
}
