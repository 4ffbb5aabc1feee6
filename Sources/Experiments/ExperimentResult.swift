import CostModel
import Report

/// What an experiment found, as a table of values, a table for people and a plot.
public struct ExperimentResult: Equatable, Sendable {
  public var manifest: Manifest
  public var measurements: [Measurement]

  public init(manifest: Manifest, measurements: [Measurement]) {
    self.manifest = manifest
    self.measurements = measurements
  }

  /// One row per case with all its figures: of the trees of L2 exits that L1 handled, all of them together, how often
  /// what was paid for, what that comes to, and what they took.
  public var csv: CSVTable {
    if manifest.comparesDesigns { return csvOfDesigns }
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

  /// What trees pay for, but for an exit, an entry and a handler's base, of which each hardware exit has one.
  static let items: [(item: CostItem, name: String)] = [
    (.vmread, "vmreads"), (.vmwrite, "vmwrites"), (.memoryAccess, "memory_accesses"), (.vmptrld, "vmptrlds"),
    (.invept, "invepts"), (.invvpid, "invvpids"), (.pageWalkReference, "walk_references"),
  ]

  /// What ``table`` shows.
  public var caption: String {
    manifest.comparesDesigns
      ? Self.captionOfDesigns
      : "Hardware exits and virtual cycles per L2 exit that L1 handles, by VMCS access model:"
  }

  /// One row per workload, with the figures of each access model beside each other.
  public var table: TextTable {
    if manifest.comparesDesigns { return tableOfDesigns }
    var columns = [TextTable.Column("workload")]
    for measure in Measure.ofTrees {
      for access in manifest.vmcsAccess {
        columns.append(.init("\(measure.word), \(access.name)", .right))
      }
    }
    var table = TextTable(columns: columns)
    for workload in manifest.workloads {
      let rows = measurements.filter { $0.test.workload == workload }
      table.append(
        [workload]
          + Measure.ofTrees.flatMap { measure in
            rows.map { row in
              measure == .hardwareExitsPerL2Exit
                ? decimal(row.value(measure), places: 2) : grouped(UInt64(row.value(measure).rounded()))
            }
          })
    }
    return table
  }

  /// The manifest's measure per workload, one bar per access model.
  public var chart: BarChart {
    if manifest.comparesDesigns { return chartOfDesigns }
    return BarChart(
      title: manifest.name, valueAxis: manifest.plot.axis,
      groups: manifest.workloads,
      series: manifest.vmcsAccess.map { access in
        let rows = measurements.filter { $0.test.vmcsAccess == access }
        return BarChart.Series(
          name: "access \(access.name)", values: rows.map { $0.value(manifest.plot) })
      })
  }
}
