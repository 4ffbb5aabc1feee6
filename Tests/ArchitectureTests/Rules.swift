import Testing

/// A rule of the house: what is wrong with a file, one sentence each; nothing if the file keeps it.
struct Rule: Sendable, CustomTestStringConvertible {
  var name: String
  var violations: @Sendable (SourceFile) -> [String]

  var testDescription: String { name }

  init(_ name: String, violations: @escaping @Sendable (SourceFile) -> [String]) {
    self.name = name
    self.violations = violations
  }

  /// A rule that no line of code, comments and strings left out, may match.
  static func forbidding(
    _ name: String, in targets: Set<String>? = nil, _ pattern: @escaping @Sendable () -> Regex<Substring>
  ) -> Rule {
    Rule(name) { file in
      if let targets, !targets.contains(file.target ?? "") { return [] }
      return SwiftText.lines(of: file.code).compactMap { line in
        line.text.firstMatch(of: pattern()).map { "\(file.path):\(line.number): \($0.output)" }
      }
    }
  }
}

enum Rules {
  /// The targets that guests are built from, too: they obey Embedded Swift.
  static let embedded: Set<String> = ["X86", "VMX", "EntryChecks", "Translation", "NestedVMX"]
  static let processors: Set<String> = ["Processor", "SoftwareProcessor", "KVMProcessor"]
  /// Modules that come with the toolchain or the C library.
  static let systemModules: Set<String> = ["Foundation", "Glibc", "Musl", "Synchronization", "Dispatch"]
  /// The most lines that a file may have unless it is a table.
  static let longestFile = 450

  /// Every import is declared for the target in the manifest, or comes with the toolchain.
  static func declaredImports(_ package: PackageDescription) -> Rule {
    Rule("a target imports only what Package.swift declares for it") { file in
      guard let target = file.target, let room = package.room(target) else { return [] }
      let allowed = Set(room.imports).union(systemModules)
      return SwiftText.imports(in: file.code).filter { !allowed.contains($0.module) }.map {
        "\(file.path):\($0.line): \(target) imports \($0.module), which Package.swift does not declare for it"
      }
    }
  }

  /// The nested core computes and never touches a processor.
  static let nestedCoreKnowsNoProcessor = forbiddenImports(
    "NestedVMX imports no processor", of: "NestedVMX", processors)

  /// L0 is written against the contract; the command and the experiments choose a processor.
  static let hypervisorKnowsOnlyTheContract = forbiddenImports(
    "Hypervisor imports only the processor contract", of: "Hypervisor", processors.subtracting(["Processor"]))

  private static func forbiddenImports(_ name: String, of target: String, _ modules: Set<String>) -> Rule {
    Rule(name) { file in
      guard file.target == target else { return [] }
      return SwiftText.imports(in: file.code).filter { modules.contains($0.module) }.map {
        "\(file.path):\($0.line): \(target) imports \($0.module)"
      }
    }
  }

  /// Foundation does not exist for guests.
  static let embeddedImportsNothingOutside = Rule("Embedded targets import nothing from outside the package")
  {
    file in
    guard let target = file.target, embedded.contains(target) else { return [] }
    return SwiftText.imports(in: file.code).filter { systemModules.contains($0.module) }.map {
      "\(file.path):\($0.line): \(target) imports \($0.module)"
    }
  }

  static let embeddedLanguage = Rule.forbidding(
    "Embedded targets use no existential, untyped throws or Codable", in: embedded
  ) { /\bany [A-Z]\w*|\bthrows(?!\()\b|\bCodable\b/ }

  static let noTraps = Rule.forbidding("no trap that guest state could reach") {
    /\bfatalError\(|\bpreconditionFailure\(|\btry!|\bas!/
  }

  /// A note of work left undone belongs in the tracker.
  static let nothingLeftUndone = Rule("no note of undone work") { file in
    SwiftText.lines(of: file.text).filter { $0.text.contains(/\b(?:TODO|FIXME|XXX)\b/) }.map {
      "\(file.path):\($0.number): \($0.text)"
    }
  }

  static let noTestableImport = Rule("tests use package access") { file in
    SwiftText.lines(of: file.code).filter { $0.text.contains("@testable") }.map {
      "\(file.path):\($0.number): @testable import; release builds have none"
    }
  }

  /// A type named like a module makes every qualified name in that module ambiguous.
  static func noTypeNamedLikeATarget(_ package: PackageDescription) -> Rule {
    let targets = Set(package.rooms.map(\.name))
    return Rule("no type is named like a target") { file in
      let declaration = /\b(?:struct|class|enum|actor|protocol|typealias)\s+(\w+)/
      return SwiftText.lines(of: file.code).compactMap { line in
        guard let match = line.text.firstMatch(of: declaration), targets.contains(String(match.1)) else {
          return nil
        }
        return "\(file.path):\(line.number): the type \(match.1) is named like a target"
      }
    }
  }

  /// A long file is a table, most of whose lines have the same shape, or it is two files.
  static let fileLength = Rule("a file has at most \(longestFile) lines unless it is a table") { file in
    let lines = SwiftText.lines(of: file.text)
    guard lines.count > longestFile else { return [] }
    let code = SwiftText.lines(of: SwiftText.withoutComments(file.text)).filter {
      !$0.text.allSatisfy(\.isWhitespace)
    }
    let rows = code.filter {
      $0.text.contains(/^\s*(?:\.\w+\(|\w+\("|\w+\(\.|\(|\[|case |(?:\w+ )*static let |\.\w+,)/)
    }
    guard rows.count * 4 < code.count * 3 else { return [] }
    return ["\(file.path): \(lines.count) lines, and only \(rows.count) of \(code.count) are rows of a table"]
  }

  /// A path of the machine that somebody worked on means nothing on another one.
  static let noMachinePaths = Rule("no path of one machine") { file in
    let places = ["home", "root", "Users", "opt", "mnt", "work"].joined(separator: "|")
    guard let pattern = try? Regex("(^|[\\s\"'`(=:,])/(\(places))/\\w") else {
      return ["the pattern is malformed"]
    }
    return SwiftText.lines(of: file.text).filter { $0.text.contains(pattern) }.map {
      "\(file.path):\($0.number): \($0.text)"
    }
  }
}
