import ArgumentParser

@main
struct Testudo: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "testudo",
    abstract: "Runs a hypervisor (L1) with its guest (L2) and accounts for every exit.")
}
