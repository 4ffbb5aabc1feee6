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
    let isLinux = guestName == LinuxGuest.name
    guard
      let workloads = isLinux
        ? LinuxGuest.workloads.map(\.workload) : GuestCatalog.guest(guestName)?.workloads
    else {
      let names = GuestCatalog.guests.map(\.name) + [LinuxGuest.name]
      throw fields.error(
        "guest", "there is no guest \(guestName): expected one of \(names.joined(separator: ", "))")
    }
    if !isLinux, fields.mapping["kernel"] != nil {
      throw fields.error("kernel", "only the guest \(LinuxGuest.name) has a kernel: expected no such field")
    }
    let designs = try fields.mapping["memoryDesign"] == nil ? [.eptOnEPT] : Self.memoryDesigns(fields)
    let carriers = try fields.mapping["carriers"] == nil ? [0] : Self.carriers(fields)
    let measures = designs.count > 1 || carriers != [0] ? Measure.ofIterations : Measure.ofTrees
    self.init(
      name: try fields.string("name"), question: try fields.string("question"), guest: guestName,
      linux: isLinux
        ? LinuxGuest(release: try fields.string("kernel"), folder: folder ?? ".") : nil,
      workloads: try fields.list("workloads", of: workloads.map(\.name)) { name in
        workloads.contains { $0.name == name } ? name : nil
      },
      iterations: try fields.count("iterations"),
      vmcsAccess: try fields.list("vmcsAccess", of: VMCSAccess.choices) {
        try VMCSAccess($0, relativeTo: folder)
      },
      memoryDesigns: designs, carriers: carriers, memory: try fields.memory("memory"),
      plot: try fields.choice("plot", of: measures.map(\.rawValue)) { name in
        measures.first { $0.rawValue == name }
      })
    guard !comparesDesigns || vmcsAccess.count == 1 else {
      throw fields.error("vmcsAccess", "with several memory designs: expected one VMCS access model")
    }
    guard !comparesDepths || iterations <= .max / 2 else {
      throw fields.error(
        "iterations", "with carriers: expected at most \(UInt64.max / 2), found \(iterations)")
    }
    guard !comparesDepths || !isLinux && memoryDesigns == [.eptOnEPT] else {
      throw fields.error(
        "carriers", "expected a built-in guest and the memory design ept-on-ept, which a carrier needs")
    }
  }

  private static func carriers(_ fields: ManifestFields) throws -> [Int] {
    let counts = (0...Carriers.limit).map(String.init)
    return try fields.list("carriers", of: counts) { counts.contains($0) ? Int($0) : nil }
  }

  private static func memoryDesigns(_ fields: ManifestFields) throws -> [MemoryDesign] {
    try fields.list("memoryDesign", of: MemoryDesign.allCases.map(\.rawValue)) { MemoryDesign(rawValue: $0) }
  }

  private static let fieldNames = [
    "schema", "name", "question", "guest", "kernel", "workloads", "iterations", "vmcsAccess", "memoryDesign",
    "carriers", "memory", "plot",
  ]
}
