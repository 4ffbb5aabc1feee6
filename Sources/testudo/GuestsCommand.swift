import ArgumentParser
import Experiments
import Report

struct GuestsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "guests",
    abstract: "Lists the built-in guests and what their L2 can be told to do.",
    discussion:
      "Any other ELF64 image with a PVH note, a Multiboot 1 header or a 64-bit entry runs by its path.")

  @Flag(help: "Print one JSON object.")
  var json = false

  func run() throws {
    guard !json else {
      try Output.write(Self.json(GuestCatalog.guests).text(indent: 2) + "\n")
      return
    }
    var guests = TextTable(columns: [.init("guest"), .init("bytes", .right), .init("what it is")])
    var workloads = TextTable(columns: [.init("workload"), .init("of guest"), .init("what L2 does")])
    for guest in GuestCatalog.guests {
      guests.append([guest.name, grouped(UInt64(guest.image.bytes.count)), guest.summary])
    }
    for workload in GuestCatalog.workloads {
      let names = GuestCatalog.guests.filter { $0.workload(workload.name) != nil }.map(\.name)
      workloads.append([workload.name, names.joined(separator: ", "), workload.summary])
    }
    try Output.write(guests.rendered() + "\n" + workloads.rendered())
    try Output.write(
      "\nThe first workload is the default. Run one with: testudo run minimal --workload cpuid\n"
        + "With a hypervisor of ours under it: testudo run minimal --carriers 1\n")
  }

  private static func json(_ guests: [Guest]) -> JSONValue {
    [
      "schema": "testudo.guests/1",
      "guests": .array(
        guests.map { guest in
          [
            "name": .string(guest.name), "summary": .string(guest.summary),
            "bytes": .unsigned(UInt64(guest.image.bytes.count)),
            "workloads": .array(
              guest.workloads.map { ["name": .string($0.name), "summary": .string($0.summary)] }),
          ]
        }),
    ]
  }
}
