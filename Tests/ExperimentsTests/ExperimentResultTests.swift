import CostModel
import Experiments
import ExitAnalysis
import Foundation
import Hypervisor
import Report
import Testing
import Trace
import VMX

@Suite struct ExperimentResultTests {
  /// Ten trees of `exits` hardware exits and 1,234 cycles together.
  private static func trees(exits: Int) -> TreeWork {
    var trees = TreeWork(areMemoryAccesses: false)
    for tree in 0..<UInt64(10) {
      for _ in 1..<exits {
        trees.add(ExitEvent(from: .l1, reason: ExitReason.vmread.rawValue, start: 0, tree: tree))
      }
      trees.add(
        ExitEvent(
          from: .l2, reason: ExitReason.cpuid.rawValue, routedTo: .l1, start: 0, end: tree < 4 ? 124 : 123,
          tree: tree))
    }
    return trees
  }

  static func result() throws -> ExperimentResult {
    let manifest = try Manifest(yaml: ManifestTests.text, file: "m.yaml")
    let measurements = manifest.cases.enumerated().map { index, test in
      Measurement(
        test: test, iterations: 10,
        trees: Self.trees(exits: index + 1), predictedCycles: 7, instructions: 5, virtualCycles: 6,
        sync: SyncCounts())
    }
    return ExperimentResult(manifest: manifest, measurements: measurements)
  }

  @Test func csvHasARowPerCase() throws {
    let csv = try Self.result().csv
    #expect(csv.rows.count == 4)
    #expect(csv.rows.allSatisfy { $0.count == csv.header.count })
    #expect(
      csv.rows[3].prefix(8) == ["minimal", "io", "hardware", "10", "10", "40", "4.000", "123.4"])
    #expect(CSVTable(text: csv.text) == csv)
  }

  /// Counts times prices is what the trees took, exactly, in each recorded result and in a run.
  @Test func thePredictionIsTheMeasurement() throws {
    for folder in ExperimentFolder.all(under: ExperimentFolderTests.root) {
      let recorded = try #require(folder.recordedResult())
      let columns = try ["predicted_cycles", "tree_cycles"].map { name in
        try #require(recorded.header.firstIndex(of: name), "\(folder.name) \(name)")
      }
      for row in recorded.rows { #expect(row[columns[0]] == row[columns[1]], "\(folder.name): \(row)") }
    }
    for measurement in try ExperimentRun(try Manifest(yaml: ManifestTests.text, file: "m.yaml"))
      .measurements()
    {
      #expect(measurement.trees.trees == 10)
      #expect(measurement.predictedCycles == measurement.trees.span)
      let prices = CostTable.reference.prices
      #expect(measurement.trees.work.cycles(prices) < measurement.trees.span)
    }
  }

  /// The difference of two runs is so many iterations, whatever is under the guest.
  @Test func iterationsOnCarriersAreMeasured() throws {
    let text =
      ManifestTests.text.replacing("plot: hardwareExitsPerL2Exit", with: "plot: hardwareExitsPerIteration")
      .replacing("[off, hardware]", with: "[off]").replacing("[cpuid, io]", with: "[hypercall]")
    let manifest = try Manifest(yaml: text + "\ncarriers: [0, 1]\n", file: "m.yaml")
    let result = ExperimentResult(
      manifest: manifest, measurements: try ExperimentRun(manifest).measurements())
    for measurement in result.measurements {
      let work = try #require(measurement.iterationWork)
      #expect(measurement.predictedCycles == work.span)
      #expect(work.keptByL0 + work.handledByL1 + work.fromL1 == work.work.exits)
    }
    let without = try #require(result.measurements.first)
    let with = try #require(result.measurements.last)
    #expect(without.value(.hardwareExitsPerIteration) == 7)
    // An exit of L3 and the six exits of L2 that it leads to are exits to the carrier, each with exits of its own.
    #expect(with.iterationWork?.handledByL1 == 7 * 10)
    #expect(with.value(.hardwareExitsPerIteration) > 7 * 20)
    #expect(result.table.rows.map(\.first) == ["hypercall, no carrier", "hypercall, 1 carrier"])
    #expect(result.chart.groups.count == 2 && result.chart.series.count == 1)
    #expect(result.csv.rows.allSatisfy { $0.count == result.csv.header.count })
    #expect(result.csv.rows[1].prefix(4) == ["minimal", "hypercall", "1", "off"])
  }

  @Test func tableHasARowPerWorkload() throws {
    let table = try Self.result().table
    #expect(table.rows == [["cpuid", "1.00", "2.00", "123", "123"], ["io", "3.00", "4.00", "123", "123"]])
  }

  @Test func chartShowsTheManifestsMeasure() throws {
    let chart = try Self.result().chart
    #expect(chart.groups == ["cpuid", "io"])
    #expect(chart.series.map(\.values) == [[1, 3], [2, 4]])
  }
}

@Suite struct ExperimentFolderTests {
  /// The experiments of this checkout.
  static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().path

  @Test func experimentsAreFoundByNameAndByPath() {
    let name = "exit-multiplication"
    let folder = ExperimentFolder.find(name, under: Self.root)
    #expect(folder?.name == name)
    #expect(ExperimentFolder.find(name, under: Self.root + "/Experiments") != nil)
    #expect(ExperimentFolder.find("\(Self.root)/Experiments/\(name)", under: "/nowhere") != nil)
    #expect(
      ExperimentFolder.find("\(Self.root)/Experiments/\(name)/manifest.yaml", under: "/nowhere")?.name == name
    )
    #expect(ExperimentFolder.find("no-such", under: Self.root) == nil)
    #expect(ExperimentFolder.find("README.md", under: Self.root) == nil)
  }

  /// Every committed experiment can be read, and its recorded result has a row for each of its cases.
  @Test func committedExperimentsAreComplete() throws {
    let folders = ExperimentFolder.all(under: Self.root)
    #expect(!folders.isEmpty)
    for folder in folders {
      let manifest = try folder.manifest()
      let recorded = try #require(folder.recordedResult(), "\(folder.resultPath)")
      #expect(recorded.rows.count == manifest.cases.count)
      for file in ["README.md", "result.svg"] {
        #expect(FileManager.default.fileExists(atPath: folder.file(file)), "\(folder.file(file))")
      }
    }
  }

  /// The figures that the texts show are the recorded ones.
  @Test(arguments: ["README.md", "Experiments/exit-multiplication/README.md"])
  func textsShowTheRecordedFigures(_ path: String) throws {
    let folder = try #require(ExperimentFolder.find("exit-multiplication", under: Self.root))
    let manifest = try folder.manifest()
    let recorded = try #require(folder.recordedResult())
    let text = try String(contentsOfFile: Self.root + "/" + path, encoding: .utf8)
    func column(_ name: String, of workload: String) throws -> [Double] {
      let key = try #require(recorded.header.firstIndex(of: "workload"))
      let column = try #require(recorded.header.firstIndex(of: name))
      return recorded.rows.filter { $0[key] == workload }.compactMap { Double($0[column]) }
    }
    for workload in manifest.workloads {
      let exits = try column("hardware_exits_per_l2_exit", of: workload).map { decimal($0, places: 2) }
      let cycles = try column("cycles_per_l2_exit", of: workload).map { grouped(UInt64($0.rounded())) }
      let cells = [workload] + exits + cycles
      let row = "| " + cells.joined(separator: " | ") + " |"
      #expect(text.contains(row), "\(path) lacks \(row)")
    }
  }

  @Test func folderMustBeNamedAsItsManifestSays() throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("testudo-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    try ManifestTests.text.write(
      to: folder.appendingPathComponent("manifest.yaml"), atomically: true, encoding: .utf8)
    let error = #expect(throws: ManifestError.self) { try ExperimentFolder(path: folder.path).manifest() }
    #expect(error?.field == "name")
  }
}
