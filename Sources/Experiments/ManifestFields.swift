import Hypervisor
import Yams

/// The fields of a YAML mapping, with errors that name the file and the line.
struct ManifestFields {
  var file: String
  var mapping: Node.Mapping

  init(yaml text: String, file: String) throws {
    self.file = file
    let node: Node?
    do { node = try Yams.compose(yaml: text) } catch let error as YamlError {
      throw ManifestError(
        file: file, line: Self.line(of: error), field: "", problem: "not YAML: \(Self.reason(error))")
    }
    guard let mapping = node?.mapping else {
      throw ManifestError(
        file: file, line: 1, field: "",
        problem: "expected a mapping of fields to values")
    }
    self.mapping = mapping
  }

  private init(file: String, mapping: Node.Mapping) {
    self.file = file
    self.mapping = mapping
  }

  private static func line(of error: YamlError) -> Int {
    switch error {
    case .scanner(_, _, let mark, _), .parser(_, _, let mark, _), .composer(_, _, let mark, _): mark.line
    default: 0
    }
  }

  private static func reason(_ error: YamlError) -> String {
    switch error {
    case .scanner(_, let problem, _, _), .parser(_, let problem, _, _), .composer(_, let problem, _, _):
      problem
    default: "it cannot be read as UTF-8 text with one document"
    }
  }

  func error(_ field: String, _ problem: String, at node: Node? = nil) -> ManifestError {
    let line = (node ?? mapping[field])?.mark?.line ?? 0
    return ManifestError(file: file, line: line, field: field, problem: problem)
  }

  func refuseUnknown(known: [String]) throws {
    for (key, _) in mapping {
      guard let name = key.scalar?.string, known.contains(name) else {
        throw error(
          key.scalar?.string ?? "", "unknown field: expected one of \(known.joined(separator: ", "))", at: key
        )
      }
    }
  }

  func string(_ field: String) throws -> String {
    guard let node = mapping[field] else { throw error(field, "the field is missing") }
    guard let text = node.scalar?.string, !text.isEmpty else { throw error(field, "expected text") }
    return text
  }

  func count(_ field: String) throws -> UInt64 {
    let text = try string(field)
    guard let value = UInt64(text), value > 0 else {
      throw error(field, "expected a whole number from 1, found \(text)")
    }
    return value
  }

  func number(_ field: String) throws -> UInt64 {
    let text = try string(field)
    guard let value = UInt64(text) else {
      throw error(field, "expected a whole number from 0, found \(text)")
    }
    return value
  }

  /// The mappings of a list, each with its own fields.
  func mappings(_ field: String) throws -> [ManifestFields] {
    guard let node = mapping[field] else { throw error(field, "the field is missing") }
    guard let sequence = node.sequence else { throw error(field, "expected a list") }
    return try sequence.map { item in
      guard let mapping = item.mapping else { throw error(field, "expected a mapping", at: item) }
      return ManifestFields(file: file, mapping: mapping)
    }
  }

  func memory(_ field: String) throws -> UInt64 {
    let text = try string(field)
    guard let bytes = ByteSize.bytes(of: text) else {
      throw error(field, "expected a size such as 256M or 1G, found \(text)")
    }
    let possible = MachineConfiguration.minimumMemory...MachineConfiguration.maximumMemory
    guard possible.contains(bytes), bytes % 4096 == 0 else {
      throw error(field, "expected a multiple of 4096 bytes from 2M to 1T, found \(text)")
    }
    return bytes
  }

  func choice<Value>(_ field: String, of names: [String], _ make: (String) -> Value?) throws -> Value {
    let text = try string(field)
    return try choice(text, field, of: names, at: mapping[field], make)
  }

  func list<Value>(
    _ field: String, of names: [String], _ make: (String) throws -> Value?
  ) throws -> [Value] {
    guard let node = mapping[field] else { throw error(field, "the field is missing") }
    guard let sequence = node.sequence, !sequence.isEmpty else {
      throw error(field, "expected a list of at least one of \(names.joined(separator: ", "))")
    }
    var seen: Set<String> = []
    return try sequence.map { item in
      let text = item.scalar?.string ?? ""
      guard seen.insert(text).inserted else { throw error(field, "\(text) stands twice", at: item) }
      return try choice(text, field, of: names, at: item, make)
    }
  }

  private func choice<Value>(
    _ text: String, _ field: String, of names: [String], at node: Node?,
    _ make: (String) throws -> Value?
  ) throws -> Value {
    let value: Value?
    do { value = try make(text) } catch { throw self.error(field, "\(error)", at: node) }
    guard let value else {
      throw error(field, "expected one of \(names.joined(separator: ", ")), found \(text)", at: node)
    }
    return value
  }
}
