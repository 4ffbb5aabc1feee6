import ExitAnalysis
import Experiments
import Hypervisor
import KVMProcessor
import Processor
import Synchronization
import Testing
import Trace
import VMX

/// A finished run of `minimal` on carriers, and what all of them wrote.
struct CarriedRun {
  let result: RunResult
  let serial: [String]

  static let iterations: UInt64 = 20

  /// Three hypervisors above one another and their guest: L0, so many carriers, and `minimal`.
  init(
    _ workload: String, of guest: String = "minimal", carriers: Int, access: VMCSAccessModel = .off,
    iterations: UInt64 = Self.iterations, onKVM: Bool = false,
    _ configure: (inout MachineConfiguration) -> Void = { _ in }
  ) throws {
    let bytes = Mutex<[UInt8]>([])
    var configuration = MachineConfiguration(image: try #require(GuestCatalog.guest(guest)).image)
    configuration.commandLine = Guest.commandLine(workload: workload, iterations: iterations)
    configuration.nested.vmcsAccess = access
    configuration.carry(by: carriers)
    configuration.memorySize = 64 << 20
    configuration.instructionLimit = 1_000_000_000
    configuration.serialOutput = { byte in bytes.withLock { $0.append(byte) } }
    configure(&configuration)
    result =
      onKVM
      ? try Laboratory.machine(configuration, intercepts: .patched, lending: .all).run()
      : try Laboratory.machine(configuration).run()
    serial = bytes.withLock { String(decoding: $0, as: UTF8.self) }.split(separator: "\n").map(String.init)
  }

  /// What `minimal` wrote.
  var minimal: [String] { Array(serial.drop { !$0.hasPrefix("minimal: ") }) }

  func count(_ from: ExitLevel, _ reason: ExitReason, _ to: ExitLevel) -> UInt64 {
    result.exits.filter { $0.from == from && $0.reason == reason.rawValue && $0.routedTo == to }
      .reduce(0) { $0 + $1.count }
  }
}

/// The nested core carries itself: Guests/carrier is made of it, and runs `minimal`, or a carrier with `minimal`.
@Suite struct CarrierTests {
  static let workloads = GuestCatalog.minimalWorkloads.map(\.name)

  private func expectWork(of run: CarriedRun, _ workload: String, carriers: Int) {
    #expect(run.result.outcome == .guestReported(code: 0), "\(run.serial)")
    #expect(run.serial.count { $0.hasPrefix("carrier: ") } == carriers)
    let exits = workload == "none" ? 0 : CarriedRun.iterations
    #expect(
      run.minimal == [
        "minimal: a guest hypervisor in Embedded Swift",
        "workload \(workload), iterations \(CarriedRun.iterations)", "exits handled \(exits)", "done",
      ])
  }

  @Test(arguments: workloads) func everyWorkloadRunsOnACarrier(_ workload: String) throws {
    expectWork(of: try CarriedRun(workload, carriers: 1), workload, carriers: 1)
  }

  /// L1 and L2 are the same hypervisor, L3 is `minimal`, and what that runs L4.
  @Test(arguments: workloads) func everyWorkloadRunsOnACarrierOnACarrier(_ workload: String) throws {
    let run = try CarriedRun(workload, carriers: 2, access: .ideal)
    expectWork(of: run, workload, carriers: 2)
  }

  @Test(arguments: VMCSAccessModel.allCases) func everyAccessModelCarries(_ access: VMCSAccessModel) throws {
    let run = try CarriedRun("memory", carriers: 1, access: access)
    expectWork(of: run, "memory", carriers: 1)
  }

  @Test func threeCarriersCarry() throws {
    let run = try CarriedRun("cpuid", carriers: 3, access: .ideal, iterations: 2)
    #expect(run.result.outcome == .guestReported(code: 0), "\(run.serial)")
    #expect(run.minimal.suffix(2) == ["exits handled 2", "done"])
  }

  /// Whatever exits from L1 to L0 without a carrier exits from L2 to the carrier with one, beside what L2 did, which is
  /// L3 now: no exit is lost and none invented.
  @Test(arguments: ["cpuid", "hypercall", "io", "msr", "hlt", "memory"])
  func theCarrierHandlesWhatL0Handled(_ workload: String) throws {
    let plain = try CarriedRun(workload, carriers: 0)
    let carried = try CarriedRun(workload, carriers: 1)
    let reasons: [ExitReason] = [
      .cpuid, .vmcall, .hlt, .vmread, .vmwrite, .vmlaunch, .vmresume, .vmxon, .vmxoff, .vmclear, .vmptrld,
      .invept,
      .controlRegisterAccess,
    ]
    for reason in reasons {
      #expect(
        carried.count(.l2, reason, .l1) == plain.count(.l1, reason, .l0) + plain.count(.l2, reason, .l1),
        "\(reason.name)")
    }
    // Each VM entry of the carrier lasts until an exit that it handles.
    let entries = carried.count(.l1, .vmlaunch, .l0) + carried.count(.l1, .vmresume, .l0)
    let handled = carried.result.exits.filter { $0.from == .l2 && $0.routedTo == .l1 }
    // The last entry ends with the run.
    #expect(entries == handled.reduce(0) { $0 + $1.count } + 1)
  }

  /// With VMCS shadowing at every level, the five accesses with which `minimal` handles an exit exit to nobody.
  @Test func theCarrierShadowsTheVMCSOfItsGuest() throws {
    let off = try CarriedRun("cpuid", carriers: 1)
    let hardware = try CarriedRun("cpuid", carriers: 1, access: .hardware)
    expectWork(of: hardware, "cpuid", carriers: 1)
    let accesses: [ExitReason] = [.vmread, .vmwrite]
    for (run, perIteration) in [(off, 5 as UInt64), (hardware, 0)] {
      let longer = try CarriedRun(
        "cpuid", carriers: 1, access: perIteration == 0 ? .hardware : .off,
        iterations: 2 * CarriedRun.iterations)
      let count = { (run: CarriedRun) in accesses.reduce(0 as UInt64) { $0 + run.count(.l2, $1, .l1) } }
      #expect(count(longer) - count(run) == perIteration * CarriedRun.iterations)
    }
    #expect(hardware.count(.l2, .vmresume, .l1) == off.count(.l2, .vmresume, .l1))
  }

  @Test func anUnknownOptionOfTheCarrierEndsTheRun() throws {
    let run = try CarriedRun("cpuid", carriers: 1) { $0.commandLine = "vmcs-access=ideal" }
    #expect(run.result.outcome == .guestReported(code: 1))
    #expect(run.serial.last == "failed: vmcs-access is off or hardware, and not: ideal")
  }

  @Test func equalRunsAreEqual() throws {
    let (first, second) = (
      try CarriedRun("interrupt", carriers: 1).result, try CarriedRun("interrupt", carriers: 1).result
    )
    #expect(first.virtualCycles == second.virtualCycles)
    #expect(first.exits == second.exits)
  }

  /// The checks on VM entry are the carrier's own.
  @Test func aWrongControlFailsTheVMEntryOfL2() throws {
    let run = try CarriedRun("cpuid", of: "minimal-broken", carriers: 1)
    #expect(run.result.outcome == .guestReported(code: 1))
    #expect(
      run.serial.last == "failed: VMLAUNCH: VM-instruction error 7 (VM entry with invalid control field(s))")
    #expect(run.result.failedEntries == 0, "L1's own VM entries do not fail")
  }

  @Test func withoutEPTTheCarrierSaysWhatItLacks() throws {
    let run = try CarriedRun("cpuid", carriers: 1) { $0.nested.memoryDesign = .shadowOnEPT }
    #expect(run.result.outcome == .guestReported(code: 1))
    #expect(run.serial.last?.hasPrefix("failed: no EPT ") == true, "\(run.serial)")
  }

  @Test func aCarrierWithoutAGuestSaysSo() throws {
    let run = try CarriedRun("cpuid", carriers: 1) { $0.modules = [] }
    #expect(run.result.outcome == .guestReported(code: 1))
    #expect(
      run.serial.last == "failed: there is nothing to carry: give the guest's image as the first module")
  }

  /// By Multiboot the modules follow the image, where the guest's memory would else begin.
  @Test(arguments: [BootProtocol.pvh, .multiboot, .entry64])
  func everyWayInLeadsToTheModules(_ way: BootProtocol) throws {
    let run = try CarriedRun("hypercall", carriers: 1) { $0.bootProtocol = way }
    expectWork(of: run, "hypercall", carriers: 1)
  }
}

/// Why the KVM processor cannot be made on this host, or nil if it can.
private let kvmObstacle = KVMCalibration.obstacleOnThisHost(to: .patched)

@Suite(.enabled(if: kvmObstacle == nil, "the KVM processor cannot be made on this host"))
struct CarrierOnKVMTests {
  @Test func aCarrierHasTheSameExitsOnKVM() throws {
    let software = try CarriedRun("cpuid", carriers: 1, iterations: 5)
    let kvm = try CarriedRun("cpuid", carriers: 1, iterations: 5, onKVM: true)
    #expect(kvm.result.outcome == .guestReported(code: 0), "\(kvm.serial)")
    #expect(kvm.serial == software.serial)
    func counts(_ run: CarriedRun) -> [String] {
      run.result.exits.map { "\($0.from.name) \($0.reasonName) \($0.routedTo.name) \($0.count)" }.sorted()
    }
    #expect(counts(kvm) == counts(software))
  }
}
