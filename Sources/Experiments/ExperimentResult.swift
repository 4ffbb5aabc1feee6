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

  /// Some of the measurements, and what they have in common.
  struct Part {
    var name: String
    var includes: (Manifest.Case) -> Bool
  }

  /// What stands beside each other in the table and in a group of the plot: the designs if there are several, else the
  /// access models.
  var series: [Part] {
    if manifest.comparesDesigns {
      return manifest.memoryDesigns.map { design in
        Part(name: design.rawValue) { $0.memoryDesign == design }
      }
    }
    return manifest.vmcsAccess.map { access in Part(name: access.name) { $0.vmcsAccess == access } }
  }

  /// The rows of the table and the groups of the plot: the workloads, each with every number of carriers.
  var groups: [Part] {
    manifest.workloads.flatMap { workload in
      manifest.carriers.map { count in
        Part(name: manifest.comparesDepths ? "\(workload), \(Self.carriers(count))" : workload) {
          $0.workload == workload && $0.carriers == count
        }
      }
    }
  }

  private static func carriers(_ count: Int) -> String {
    switch count {
    case 0: "no carrier"
    case 1: "1 carrier"
    default: "\(count) carriers"
    }
  }

  private var measures: [Measure] { manifest.measuresIterations ? Measure.ofIterations : Measure.ofTrees }

  /// What ``table`` shows.
  public var caption: String {
    if manifest.comparesDesigns {
      return "Hardware exits and virtual cycles per iteration of L2's workload, by memory design:"
    }
    if manifest.comparesDepths {
      return
        "Hardware exits and virtual cycles per iteration of the workload of \(manifest.guest), by VMCS access model:"
    }
    return "Hardware exits and virtual cycles per L2 exit that L1 handles, by VMCS access model:"
  }

  /// One row per group, with the figures of each series beside each other.
  public var table: TextTable {
    var table = TextTable(
      columns: [.init("workload")]
        + measures.flatMap { measure in
          series.map { TextTable.Column("\(measure.word), \($0.name)", .right) }
        })
    for group in groups {
      let rows = measurements.filter { group.includes($0.test) }
      table.append(
        [group.name] + measures.flatMap { measure in rows.map { measure.text($0.value(measure)) } })
    }
    return table
  }

  /// The manifest's measure per group, one bar per series.
  public var chart: BarChart {
    BarChart(
      title: manifest.name, valueAxis: manifest.plot.axis, groups: groups.map(\.name),
      series: series.map { part in
        let rows = measurements.filter { part.includes($0.test) }
        return BarChart.Series(
          name: manifest.comparesDesigns ? part.name : "access \(part.name)",
          values: rows.map { $0.value(manifest.plot) })
      })
  }
}

extension Measure {
  /// A value of the measure for people.
  fileprivate func text(_ value: Double) -> String {
    switch self {
    case .hardwareExitsPerL2Exit, .hardwareExitsPerIteration: decimal(value, places: 2)
    case .cyclesPerL2Exit, .cyclesPerIteration: grouped(UInt64(value.rounded()))
    }
  }
}
