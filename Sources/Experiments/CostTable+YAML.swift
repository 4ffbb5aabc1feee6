import CostModel
import Yams

extension CostTable {
  /// The highest frequency that a table can have, in cycles per second.
  static let frequencyLimit: UInt64 = 1_000_000_000_000

  /// Reads a cost table. Throws ``ManifestError``.
  public init(yaml text: String, file: String) throws {
    let fields = try ManifestFields(yaml: text, file: file)
    try fields.refuseUnknown(known: ["name", "summary", "frequency", "figures"])
    let frequency = try fields.count("frequency")
    guard frequency <= Self.frequencyLimit else {
      throw fields.error(
        "frequency", "expected at most \(Self.frequencyLimit) cycles per second, found \(frequency)")
    }
    let figures = try fields.mappings("figures").map { figure in
      try figure.refuseUnknown(known: ["item", "cycles", "certainty", "source"])
      return CostFigure(
        try figure.choice("item", of: CostItem.allCases.map(\.rawValue), CostItem.init),
        cycles: try figure.number("cycles"), source: try figure.string("source"),
        certainty: try figure.choice(
          "certainty", of: FigureCertainty.allCases.map(\.rawValue), FigureCertainty.init))
    }
    let name = try fields.string("name")
    let summary = try fields.string("summary")
    do throws(CostTableError) {
      try self.init(name: name, summary: summary, frequency: frequency, figures: figures)
    } catch {
      throw fields.error("figures", error.description)
    }
  }
}
