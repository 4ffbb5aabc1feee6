import Foundation
import Hypervisor
import NestedRig
import Testing
import Trace

/// A mistake that `minimal-broken` can make, and what the SDM says of it.
struct Mistake: CustomTestStringConvertible {
  var name: String
  var field: String
  var section: String
  var consequence: String
  var serial: String

  var testDescription: String { name }

  static let all = [
    Mistake(
      name: "virtual-nmis", field: "PIN_BASED_VM_EXECUTION_CONTROLS", section: "VM-Execution Control Fields",
      consequence: "VMfailValid(7)", serial: "VM-instruction error 7"),
    Mistake(
      name: "unrestricted-guest", field: "SECONDARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS",
      section: "VM-Execution Control Fields", consequence: "VMfailValid(7)", serial: "VM-instruction error 7"),
    Mistake(
      name: "reserved-control", field: "PRIMARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS",
      section: "VM-Execution Control Fields", consequence: "VMfailValid(7)", serial: "VM-instruction error 7"),
    Mistake(
      name: "host-cr4", field: "HOST_CR4", section: "Checks on Host Control Registers, MSRs, and SSP",
      consequence: "VMfailValid(8)", serial: "VM-instruction error 8"),
    Mistake(
      name: "guest-rflags", field: "GUEST_RFLAGS", section: "Checks on Guest RIP, RFLAGS, and SSP",
      consequence: "VM-entry failure (exit reason 33)", serial: "VM_ENTRY_FAILURE_INVALID_GUEST_STATE"),
  ]
}

/// Guests that fail, by mistake or malice: each run ends in a sentence.
@Suite struct FailureTests {
  @Test(arguments: Mistake.all) func aFailedEntryNamesTheCheck(_ mistake: Mistake) throws {
    let run = try runCommitted("minimal-broken", "broken=\(mistake.name)")
    #expect(run.result.outcome == .guestReported(code: 1))
    #expect(run.serial.contains(mistake.serial))
    #expect(run.result.failedEntries == 1)
    let report = try #require(run.result.entryFailures.first)
    #expect(report.field == mistake.field)
    #expect(report.section == mistake.section)
    #expect(report.consequence.hasPrefix(mistake.consequence))
    #expect(!run.result.exits.contains { $0.from == .l2 })
  }

  @Test func anUnknownWorkloadIsAFailure() throws {
    let run = try runCommitted("minimal", "workload=knitting")
    #expect(run.result.outcome == .guestReported(code: 1))
    #expect(run.serial.contains("failed: "))
  }

  @Test func theInstructionLimitEndsARunExactly() throws {
    let run = try runCommitted("minimal", "workload=none iterations=1000000") {
      $0.instructionLimit = 1_234_567
    }
    #expect(run.result.outcome == .instructionLimit(1_234_567))
    #expect(run.result.instructions == 1_234_567)
    #expect(!run.result.exits.isEmpty)
  }

  /// The first bytes of a 64-bit guest, and how it ends.
  @Test func handMadeGuestsEndInTheirSentence() throws {
    let entry = CodeImage.address
    let endings: [(code: [UInt8], outcome: RunOutcome)] = [
      ([0x0F, 0x0B], .tripleFault(level: .l1, rip: entry)),
      ([0xF4], .halted(level: .l1, rip: entry)),
      ([0xEB, 0xFE], .instructionLimit(1_000_000)),
      ([0x31, 0xC0, 0xE6, 0xF4], .guestReported(code: 0)),
      // MOV EAX, D0000000H; JMP RAX: nothing is there.
      (
        [0xB8, 0x00, 0x00, 0x00, 0xD0, 0xFF, 0xE0],
        .outsideMemory(level: .l1, address: 0xD000_0000, rip: 0xD000_0000)
      ),
      // MOV EAX, FEE00030H; MOV EAX, [RAX]; SUB EAX, 01050015H; OUT F4H, EAX: the local APIC's version register.
      (
        [
          0xB8, 0x30, 0x00, 0xE0, 0xFE, 0x8B, 0x00, 0x2D, 0x15, 0x00, 0x05, 0x01, 0xE7, 0xF4,
        ],
        .guestReported(code: 0)
      ),
    ]
    for (code, outcome) in endings {
      let run = try runGuest(CodeImage(code).image, "") {
        $0.instructionLimit = 1_000_000
        $0.bootProtocol = .entry64
      }
      #expect(run.result.outcome == outcome, "\(code)")
      #expect(!run.result.outcome.description.contains("\n"))
    }
  }

  @Test func aRequestFromAnotherThreadStopsASpinningGuest() async throws {
    var configuration = MachineConfiguration(image: CodeImage([0xEB, 0xFE]).image)
    configuration.memorySize = 4 << 20
    let machine = try softwareMachine(configuration)
    let stopper = Thread {
      Thread.sleep(forTimeInterval: 0.05)
      machine.requestStop(.timeout)
    }
    stopper.start()
    #expect(machine.run().outcome == .stopped(.timeout))
  }

  @Test func randomCodeNeitherCrashesNorHangs() throws {
    var random = SplitMix64(state: 0x7E57_0D0)
    for bootProtocol in [BootProtocol.entry64, .pvh] {
      for _ in 0..<150 {
        let code = (0..<512).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        let run = try runGuest(CodeImage(code).image, "") {
          $0.instructionLimit = 20_000
          $0.memorySize = 4 << 20
          $0.bootProtocol = bootProtocol
        }
        if case .internalError(let sentence) = run.result.outcome { Issue.record("\(sentence)") }
      }
    }
  }
}

/// Steele, Lea and Flood's generator: the same numbers on every host.
struct SplitMix64 {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
    return mixed ^ mixed >> 31
  }
}
