import Foundation
import Hypervisor
import VMX

/// A VMCS access model as a user names it: one of ``VMCSAccessModel``, or `hardware:FILE` with the fields that do not
/// exit.
public struct VMCSAccess: Equatable, Sendable {
  /// As the user wrote it.
  public let name: String
  public let model: VMCSAccessModel
  /// With `hardware`: the fields that L1 reaches without a VM exit.
  public let fields: ShadowedFieldSet

  /// What users are told that they can write.
  public static let choices = VMCSAccessModel.allCases.map(\.rawValue) + ["hardware:FILE"]

  private static let filePrefix = VMCSAccessModel.hardware.rawValue + ":"

  public init(_ model: VMCSAccessModel) { self.init(name: model.rawValue, model: model, fields: .standard) }

  private init(name: String, model: VMCSAccessModel, fields: ShadowedFieldSet) {
    self.name = name
    self.model = model
    self.fields = fields
  }

  /// Reads `text`, and the file that it names, relative to `folder` if that is given; nil if it is no access model.
  public init?(_ text: String, relativeTo folder: String? = nil) throws(ShadowedFieldListError) {
    if let model = VMCSAccessModel(rawValue: text) {
      self.init(model)
      return
    }
    guard text.hasPrefix(Self.filePrefix), text.count > Self.filePrefix.count else { return nil }
    let path = String(text.dropFirst(Self.filePrefix.count))
    let place = path.hasPrefix("/") ? path : folder.map { "\($0)/\(path)" } ?? path
    self.init(name: text, model: .hardware, fields: try ShadowedFieldList.read(place))
  }

  /// Sets `policy` to it.
  public func apply(to policy: inout NestedPolicy) {
    policy.vmcsAccess = model
    policy.shadowedFields = fields
  }
}

/// A text file of VMCS fields, one to a line by its name in the field table, with `read` behind it if only VMREAD is to
/// complete without a VM exit. What follows `#` is a comment.
public enum ShadowedFieldList {
  /// The largest file that is read.
  static let largestFile = 1 << 20

  static func read(_ path: String) throws(ShadowedFieldListError) -> ShadowedFieldSet {
    guard let data = FileManager.default.contents(atPath: path), data.count <= largestFile else {
      throw ShadowedFieldListError(
        file: path, line: 0, problem: "cannot be read: expected a text file with a VMCS field in each line")
    }
    return try fields(of: String(decoding: data, as: UTF8.self), file: path)
  }

  /// The fields that `text` lists.
  public static func fields(
    of text: String, file: String
  ) throws(ShadowedFieldListError) -> ShadowedFieldSet {
    var fields = ShadowedFieldSet()
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    for (number, line) in lines.enumerated() {
      let words = line.prefix { $0 != "#" }.split(whereSeparator: \.isWhitespace)
      guard let name = words.first else { continue }
      guard let field = field(named: name) else {
        throw ShadowedFieldListError(
          file: file, line: number + 1,
          problem: "there is no VMCS field '\(name)': 'testudo vmcs show' prints their names")
      }
      guard words.count == 1 || words.count == 2 && words[1] == "read" else {
        throw ShadowedFieldListError(
          file: file, line: number + 1, problem: "expected a field, and 'read' behind it or nothing")
      }
      fields.insert(field, writable: words.count == 1)
    }
    return fields
  }

  private static func field(named name: some StringProtocol) -> VMCSField? {
    for row in 0..<VMCSField.count where "\(VMCSField.rows[row].name)" == name {
      return VMCSField.rows[row].field
    }
    return nil
  }

  /// The text of a list of `fields`, each with whether VMWRITE is to reach it too, under a comment.
  public static func text(_ fields: [(field: VMCSField, isWritable: Bool)], comment: String) -> String {
    "# \(comment)\n" + fields.map { "\($0.field.name)\($0.isWritable ? "" : " read")\n" }.joined()
  }
}

/// What is wrong with a file of VMCS fields.
public struct ShadowedFieldListError: Error, Equatable, CustomStringConvertible {
  public var file: String
  /// Counted from 1; 0 when the whole file is meant.
  public var line: Int
  public var problem: String

  public var description: String { line > 0 ? "\(file):\(line): \(problem)" : "\(file): \(problem)" }
}
