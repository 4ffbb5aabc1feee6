import CostModel
import Report

/// The tables and the plot of an experiment that compares memory designs.
extension ExperimentResult {
  static let captionOfDesigns =
    "Hardware exits and virtual cycles per iteration of L2's workload, by memory design:"

  /// One row per case: what an iteration takes, whose exits there were, and what was paid for in all iterations.
  var csvOfDesigns: CSVTable {
    var table = CSVTable(
      header: [
        "guest", "workload", "memory_design", "vmcs_access", "iterations", "hardware_exits_per_iteration",
        "cycles_per_iteration", "l2_exits_to_l0", "l2_exits_to_l1", "l1_exits",
      ] + Self.items.map(\.name) + ["instructions", "waited_cycles", "predicted_cycles", "tree_cycles"])
    table.rows = measurements.compactMap { row in
      guard let work = row.iterationWork else { return nil }
      return [
        manifest.guest, row.test.workload, row.test.memoryDesign.rawValue, row.test.vmcsAccess.name,
        "\(row.iterations)", decimal(row.value(.hardwareExitsPerIteration), places: 3),
        decimal(row.value(.cyclesPerIteration), places: 1), "\(work.keptByL0)", "\(work.handledByL1)",
        "\(work.fromL1)",
      ] + Self.items.map { "\(work.work[$0.item])" }
        + ["\(work.instructions)", "\(work.waited)", "\(row.predictedCycles)", "\(work.span)"]
    }
    return table
  }

  /// One row per workload, with the figures of each design beside each other.
  var tableOfDesigns: TextTable {
    var columns = [TextTable.Column("workload")]
    for measure in Measure.ofIterations {
      for design in manifest.memoryDesigns {
        columns.append(.init("\(measure.word), \(design.rawValue)", .right))
      }
    }
    var table = TextTable(columns: columns)
    for workload in manifest.workloads {
      let rows = measurements.filter { $0.test.workload == workload }
      table.append(
        [workload]
          + Measure.ofIterations.flatMap { measure in
            rows.map { row in
              measure == .hardwareExitsPerIteration
                ? decimal(row.value(measure), places: 2) : grouped(UInt64(row.value(measure).rounded()))
            }
          })
    }
    return table
  }

  /// The manifest's measure per workload, one bar per design.
  var chartOfDesigns: BarChart {
    BarChart(
      title: manifest.name, valueAxis: manifest.plot.axis, groups: manifest.workloads,
      series: manifest.memoryDesigns.map { design in
        let rows = measurements.filter { $0.test.memoryDesign == design }
        return BarChart.Series(name: design.rawValue, values: rows.map { $0.value(manifest.plot) })
      })
  }
}
