import Foundation

/// One text file of the repository.
struct SourceFile {
  /// Its path from the repository's root, such as `Sources/VMX/VMCS.swift`.
  var path: String
  var text: String
  /// The text without comments and the contents of string literals.
  var code: String

  init(path: String, text: String) {
    self.path = path
    self.text = text
    code = SwiftText.code(text)
  }

  /// The target that a path under `Sources/` or `Tests/` belongs to.
  var target: String? {
    let parts = path.split(separator: "/")
    return parts.count >= 3 && (parts[0] == "Sources" || parts[0] == "Tests") ? String(parts[1]) : nil
  }
}

/// The checkout that these tests were built from.
enum Repository {
  static let root = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  /// The Swift files of the package and of its tests, read once for all rules.
  static let sources = Result { try swiftFiles(under: "Sources") }
  static let tests = Result { try swiftFiles(under: "Tests") }

  static func text(of path: String) throws -> String {
    try String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)
  }

  /// All files with one of `extensions` under `folder`, in the order of their paths. Symbolic links are not followed.
  static func files(under folder: String, extensions: Set<String>) throws -> [SourceFile] {
    let start = root.appendingPathComponent(folder)
    let keys: [URLResourceKey] = [.isRegularFileKey, .isSymbolicLinkKey]
    guard let walk = FileManager.default.enumerator(at: start, includingPropertiesForKeys: keys) else {
      return []
    }
    var files: [SourceFile] = []
    for case let url as URL in walk where extensions.contains(url.pathExtension) {
      let values = try url.resourceValues(forKeys: Set(keys))
      guard values.isRegularFile == true, values.isSymbolicLink != true else { continue }
      let path = String(url.standardizedFileURL.path.dropFirst(root.standardizedFileURL.path.count + 1))
      files.append(SourceFile(path: path, text: try String(contentsOf: url, encoding: .utf8)))
    }
    return files.sorted { $0.path < $1.path }
  }

  private static func swiftFiles(under folder: String) throws -> [SourceFile] {
    try files(under: folder, extensions: ["swift"])
  }

  static func package() throws -> PackageDescription {
    PackageDescription(manifest: try text(of: "Package.swift"))
  }
}
