/// What Package.swift declares: the rooms in order, and what each may import.
struct PackageDescription {
  struct Room {
    var name: String
    var imports: [String]
  }

  /// In the order of the manifest, lowest layer first; the command last.
  var rooms: [Room]
  /// Targets without Swift sources, which any room may stand on.
  var shims: [String]

  init(manifest: String) {
    let code = SwiftText.withoutComments(manifest)
    rooms = code.matches(of: /Room\(\s*name: "(\w+)"(?:,\s*imports: \[([^\]]*)\])?/).map { match in
      Room(name: String(match.1), imports: Self.modules(in: match.2 ?? ""))
    }
    if let match = code.firstMatch(of: /executableTarget\(\s*name: "(\w+)",\s*dependencies: \[([^\]]*)\]/) {
      rooms.append(Room(name: String(match.1), imports: Self.modules(in: match.2)))
    }
    shims = code.matches(of: /\.target\(name: "(\w+)"\)/).map { String($0.1) }
  }

  /// The module names in a list of dependencies: plain strings, and the names of products.
  private static func modules(in list: Substring) -> [String] {
    var names = list.matches(of: /\.product\(name: "(\w+)"/).map { String($0.1) }
    let plain = list.replacing(/\.product\([^)]*\)/, with: "")
    names += plain.matches(of: /"(\w+)"/).map { String($0.1) }
    return names
  }

  func room(_ name: String) -> Room? { rooms.first { $0.name == name } }

  /// Rooms that declare an import of a room that is not above them in the manifest.
  func upwardDeclarations() -> [String] {
    var seen = Set(shims)
    let names = Set(rooms.map(\.name))
    var found: [String] = []
    for room in rooms {
      for module in room.imports where names.contains(module) && !seen.contains(module) {
        found.append("Package.swift: \(room.name) declares \(module), which is not above it")
      }
      seen.insert(room.name)
    }
    return found
  }
}
