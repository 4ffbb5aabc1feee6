import Hypervisor

extension Manifest {
  /// Reads a manifest; what files it names are relative to its own folder. Throws ``ManifestError``.
  public init(yaml text: String, file: String) throws {
    let fields = try ManifestFields(yaml: text, file: file)
    let folder =
      file.contains("/") ? String(file.prefix(upTo: file.lastIndex(of: "/") ?? file.endIndex)) : nil
    try fields.refuseUnknown(known: Self.fieldNames)
    let schema = try fields.string("schema")
    guard schema == Self.schema else {
      throw fields.error("schema", "expected \(Self.schema), found \(schema)")
    }
    let guestName = try fields.string("guest")
    guard let guest = GuestCatalog.guest(guestName) else {
      throw fields.error(
        "guest",
        "there is no guest \(guestName): expected one of \(GuestCatalog.guests.map(\.name).joined(separator: ", "))"
      )
    }
    self.init(
      name: try fields.string("name"), question: try fields.string("question"), guest: guestName,
      workloads: try fields.list("workloads", of: guest.workloads.map(\.name)) { name in
        guest.workload(name) == nil ? nil : name
      },
      iterations: try fields.count("iterations"),
      vmcsAccess: try fields.list("vmcsAccess", of: VMCSAccess.choices) {
        try VMCSAccess($0, relativeTo: folder)
      },
      memory: try fields.memory("memory"),
      plot: try fields.choice("plot", of: Measure.allCases.map(\.rawValue), Measure.init))
  }

  private static let fieldNames = [
    "schema", "name", "question", "guest", "workloads", "iterations", "vmcsAccess", "memory", "plot",
  ]
}
