import ArgumentParser
import Report

struct VMCSCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "vmcs",
    abstract: "Shows, compares and merges VMCS dumps, as 'testudo run --dump-vmcs' writes them.",
    subcommands: [VMCSShow.self, VMCSDiff.self, VMCSMerge.self])
}

struct VMCSShow: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "show", abstract: "Shows a VMCS with the meaning of its fields.")

  @Argument(help: ArgumentHelp("A VMCS dump.", valueName: "file.json"))
  var file: String

  @Flag(help: "Show fields that are 0, too.")
  var all = false

  func run() throws {
    try Output.write(VMCSDescription(try VMCSFile(file).dump, showsZeros: all).text())
  }
}

struct VMCSDiff: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "diff",
    abstract: "Shows the fields in which two VMCSs differ.",
    discussion:
      "The exit status is 0 whether they differ or not; a field that is in one dump only counts as 0.")

  @Argument(help: ArgumentHelp("A VMCS dump.", valueName: "before.json"))
  var before: String

  @Argument(help: ArgumentHelp("Another one.", valueName: "after.json"))
  var after: String

  @Flag(help: "Print one JSON object.")
  var json = false

  func run() throws {
    let difference = VMCSDifference(try VMCSFile(before).dump, try VMCSFile(after).dump)
    guard !json else {
      try Output.write(difference.json.text(indent: 2) + "\n")
      return
    }
    let count = difference.changes.count
    if count > 0 { try Output.write(difference.table().rendered() + "\n") }
    try Output.write(count == 0 ? "no field differs\n" : "\(count) field\(count == 1 ? "" : "s") differ\n")
  }
}

struct VMCSMerge: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "merge",
    abstract: "Merges a vmcs01 and a vmcs12 into vmcs02, and says who decided each field and control.",
    discussion: """
      L0 runs L2 on vmcs02. Each of its fields has one rule: from L1 (vmcs12), from L0 (vmcs01), the union or \
      intersection of their bits, bit by bit for words of controls, translated, or derived by L0. 'decided by' names \
      the level whose value won, or the processor if it fixes a control. The processor is the one whose capabilities \
      the dump of vmcs01 has, else the software processor.
      """)

  @Argument(help: ArgumentHelp("A dump of vmcs01.", valueName: "vmcs01.json"))
  var vmcs01: String

  @Argument(help: ArgumentHelp("A dump of vmcs12.", valueName: "vmcs12.json"))
  var vmcs12: String

  @Flag(help: "Print one JSON object, with every field.")
  var json = false

  @Flag(help: "Show fields that are 0 or that vmcs02 has not, too.")
  var all = false

  func run() throws {
    let first = try file(vmcs01, .vmcs01)
    let second = try file(vmcs12, .vmcs12)
    let table = MergeTable(vmcs01: first.dump, vmcs12: second.dump, processor: first.capabilities)
    try Output.write(json ? table.json.text(indent: 2) + "\n" : table.text(all: all))
  }

  /// The dump at `path`, which must not say that it is another VMCS than the one wanted in its place.
  private func file(_ path: String, _ kind: VMCSDump.Kind) throws -> VMCSFile {
    var file = try VMCSFile(path)
    guard [kind, .vmcs].contains(file.dump.kind) else {
      throw CommandError(
        .malformedInput,
        "\(path): a dump of \(file.dump.kind.rawValue): expected one of \(kind.rawValue): "
          + "'testudo vmcs merge VMCS01.json VMCS12.json'")
    }
    file.dump.kind = kind
    return file
  }
}
