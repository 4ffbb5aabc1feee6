import Foundation
import Report

/// The folder of one experiment: its manifest, its README and its recorded result.
public struct ExperimentFolder: Equatable, Sendable {
  public var path: String

  public init(path: String) { self.path = path }

  public var name: String { URL(fileURLWithPath: path).lastPathComponent }
  public var manifestPath: String { file("manifest.yaml") }
  public var resultPath: String { file("result.csv") }

  public func file(_ name: String) -> String { path.hasSuffix("/") ? path + name : path + "/" + name }

  /// Reads the manifest. Throws ``ManifestError``.
  public func manifest() throws -> Manifest {
    let text: String
    do { text = try String(contentsOfFile: manifestPath, encoding: .utf8) } catch {
      guard !FileManager.default.isReadableFile(atPath: manifestPath) else {
        throw ManifestError(
          file: manifestPath, line: 1, field: "", problem: "not YAML: expected a file of UTF-8 text")
      }
      throw ManifestError(
        file: manifestPath, line: 0, field: "",
        problem: "there is no readable manifest here: expected a YAML file")
    }
    let manifest = try Manifest(yaml: text, file: manifestPath)
    guard manifest.name == name else {
      throw ManifestError(
        file: manifestPath, line: 0, field: "name",
        problem: "expected \(name) as the folder, found \(manifest.name)")
    }
    return manifest
  }

  /// The recorded result, or nil if there is none that can be read.
  public func recordedResult() -> CSVTable? {
    (try? String(contentsOfFile: resultPath, encoding: .utf8)).flatMap(CSVTable.init(text:))
  }

  /// The experiments under `directory`, which is a folder `Experiments` or one that contains it, in order of name.
  public static func all(under directory: String) -> [ExperimentFolder] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: root(directory))) ?? []
    return names.sorted().map { ExperimentFolder(path: root(directory) + "/" + $0) }
      .filter { FileManager.default.fileExists(atPath: $0.manifestPath) }
  }

  /// The experiment that a user means: a path to its folder or its manifest, or its name under `directory`.
  public static func find(_ nameOrPath: String, under directory: String) -> ExperimentFolder? {
    let asManifest = URL(fileURLWithPath: nameOrPath)
    let candidates = [
      ExperimentFolder(path: root(directory) + "/" + nameOrPath), ExperimentFolder(path: nameOrPath),
    ]
    if let found = candidates.first(where: { FileManager.default.fileExists(atPath: $0.manifestPath) }) {
      return found
    }
    guard asManifest.lastPathComponent == "manifest.yaml", FileManager.default.fileExists(atPath: nameOrPath)
    else {
      return nil
    }
    return ExperimentFolder(path: asManifest.deletingLastPathComponent().path)
  }

  private static func root(_ directory: String) -> String {
    let nested = directory + "/Experiments"
    return FileManager.default.fileExists(atPath: nested) ? nested : directory
  }
}
