import CostModel
import Report

/// The table of values.
extension ExperimentResult {
  /// One row per case with all its figures, how often what was paid for, what that comes to, and what it took.
  public var csv: CSVTable { manifest.measuresIterations ? csvOfIterations : csvOfTrees }

  /// What is paid for, but for an exit, an entry and a handler's base, of which each hardware exit has one.
  private static let items: [(item: CostItem, name: String)] = [
    (.vmread, "vmreads"), (.vmwrite, "vmwrites"), (.memoryAccess, "memory_accesses"), (.vmptrld, "vmptrlds"),
    (.invept, "invepts"), (.invvpid, "invvpids"), (.pageWalkReference, "walk_references"),
  ]

  /// Of the trees of L2 exits that L1 handled, all of them together.
  private var csvOfTrees: CSVTable {
    var table = CSVTable(
      header: [
        "guest", "workload", "vmcs_access", "iterations", "l2_exits", "hardware_exits",
        "hardware_exits_per_l2_exit",
        "cycles_per_l2_exit", "fields_to_shadow", "fields_from_shadow", "instructions", "virtual_cycles",
      ] + Self.items.map { "tree_\($0.name)" }
        + ["tree_instructions", "tree_waited_cycles", "predicted_cycles", "tree_cycles"])
    // What all of Linux did from its start is of no account for the trees, and changes with any device.
    let isWhole = manifest.linux == nil
    table.rows = measurements.map { row in
      [
        manifest.guest, row.test.workload, row.test.vmcsAccess.name, "\(row.iterations)",
        "\(row.trees.trees)", "\(row.trees.work.exits)",
        decimal(row.value(.hardwareExitsPerL2Exit), places: 3),
        decimal(row.value(.cyclesPerL2Exit), places: 1),
        "\(row.sync.fieldsToShadow)", "\(row.sync.fieldsFromShadow)", isWhole ? "\(row.instructions)" : "",
        isWhole ? "\(row.virtualCycles)" : "",
      ] + Self.items.map { "\(row.trees.work[$0.item])" }
        + [
          "\(row.trees.instructions)", "\(row.trees.waited)", "\(row.predictedCycles)",
          "\(row.trees.span)",
        ]
    }
    return table
  }

  /// What an iteration takes, whose exits there were, and what was paid for in all iterations.
  private var csvOfIterations: CSVTable {
    var table = CSVTable(
      header: [
        "guest", "workload", manifest.comparesDesigns ? "memory_design" : "carriers", "vmcs_access",
        "iterations", "hardware_exits_per_iteration",
        "cycles_per_iteration", "l2_exits_to_l0", "l2_exits_to_l1", "l1_exits",
      ] + Self.items.map(\.name) + ["instructions", "waited_cycles", "predicted_cycles", "tree_cycles"])
    table.rows = measurements.compactMap { row in
      guard let work = row.iterationWork else { return nil }
      return [
        manifest.guest, row.test.workload,
        manifest.comparesDesigns ? row.test.memoryDesign.rawValue : "\(row.test.carriers)",
        row.test.vmcsAccess.name,
        "\(row.iterations)", decimal(row.value(.hardwareExitsPerIteration), places: 3),
        decimal(row.value(.cyclesPerIteration), places: 1), "\(work.keptByL0)", "\(work.handledByL1)",
        "\(work.fromL1)",
      ] + Self.items.map { "\(work.work[$0.item])" }
        + ["\(work.instructions)", "\(work.waited)", "\(row.predictedCycles)", "\(work.span)"]
    }
    return table
  }
}
