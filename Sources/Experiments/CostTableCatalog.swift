import CostModel
import Foundation

/// The cost tables that are built into this program: one for each file of `Experiments/CostTables`.
public enum CostTableCatalog {
  private static let files: [(name: String, bytes: [UInt8])] = [
    ("reference", PackageResources.reference_yaml), ("paxville", PackageResources.paxville_yaml),
    ("woodcrest", PackageResources.woodcrest_yaml), ("harpertown", PackageResources.harpertown_yaml),
    ("nehalem", PackageResources.nehalem_yaml), ("sandybridge", PackageResources.sandybridge_yaml),
    ("haswell", PackageResources.haswell_yaml), ("skylake", PackageResources.skylake_yaml),
    ("icelake", PackageResources.icelake_yaml),
  ]

  /// The names of the tables, the default first, then by age.
  public static let names = files.map(\.name)

  /// The table that a user means by its name or by the path of a YAML file. Throws ``ManifestError``.
  public static func table(_ nameOrPath: String) throws -> CostTable {
    if let file = files.first(where: { $0.name == nameOrPath }) {
      return try CostTable(yaml: String(decoding: file.bytes, as: UTF8.self), file: "\(file.name).yaml")
    }
    guard let text = try? String(contentsOfFile: nameOrPath, encoding: .utf8) else {
      throw ManifestError(
        file: nameOrPath, line: 0, field: "",
        problem: "no such cost table: expected one of \(names.joined(separator: ", ")), or a YAML file")
    }
    return try CostTable(yaml: text, file: nameOrPath)
  }
}
