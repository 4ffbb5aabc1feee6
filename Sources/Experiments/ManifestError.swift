/// What is wrong with an experiment's manifest: one line that names the file, the line, the field, and what was
/// expected there.
public struct ManifestError: Error, Equatable, CustomStringConvertible {
  public var file: String
  /// Counted from 1; 0 when the whole file is meant.
  public var line: Int
  /// The field's key, or an empty string when no field is meant.
  public var field: String
  public var problem: String

  public init(file: String, line: Int, field: String, problem: String) {
    self.file = file
    self.line = line
    self.field = field
    self.problem = problem
  }

  public var description: String {
    let place = line > 0 ? "\(file):\(line)" : file
    return field.isEmpty ? "\(place): \(problem)" : "\(place): \(field): \(problem)"
  }
}
