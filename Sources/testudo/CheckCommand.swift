import ArgumentParser
import Report

struct CheckCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check",
    abstract: "Says what is wrong with a VMCS, and what a VM entry with it would do.",
    discussion: """
      Lists every VM-entry check of the SDM that the VMCS of a dump violates, in the SDM's order. The processor is \
      the one whose capabilities the dump has; if it has none, the software processor: as L1 sees it for a vmcs12. \
      Fields that the dump lacks are 0. Checks that read memory are listed as not checked. The exit status is 0 if \
      the VM entry succeeds and 1 if it fails.
      """)

  @Argument(
    help: ArgumentHelp("A VMCS dump, as 'testudo run --dump-vmcs' writes it.", valueName: "file.json"))
  var file: String

  @Flag(help: "Print one JSON object.")
  var json = false

  func run() throws {
    let file = try VMCSFile(file)
    let verdict = EntryVerdict(file.dump, capabilities: file.capabilities)
    try Output.write(json ? verdict.json.text(indent: 2) + "\n" : verdict.text())
    guard !verdict.enters else { return }
    let count = verdict.violations.count
    throw CommandError(
      .guestFailure,
      "\(file.path): \(count) check\(count == 1 ? " is" : "s are") violated: \(verdict.sentence)")
  }
}
