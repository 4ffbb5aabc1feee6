import ExitAnalysis
import Foundation
import Hypervisor
import KVMProcessor
import NestedRig
import Testing
import Trace

/// Why the KVM processor cannot be made on this host, or nil if it can.
private let kvmObstacle = KVMCalibration.obstacleOnThisHost(to: .patched)

/// `minimal` on the KVM processor: the same exits by the same levels, routed the same way, in the same trees as on the
/// software processor. Only the time between them differs.
@Suite(.enabled(if: kvmObstacle == nil, "the KVM processor cannot be made on this host"))
struct KVMTreeTests {
  /// Fewer iterations where each takes long on a KVM without hardware: the timer's, and the computation's.
  private static func iterations(_ workload: String) -> UInt64 {
    switch workload {
    case "memory": 300
    case "interrupt", "none": 2
    default: 20
    }
  }

  static let cases: [GoldenCase] = ["cpuid", "hypercall", "io", "msr", "hlt", "memory", "interrupt", "none"]
    .map {
      GoldenCase(workload: $0, iterations: iterations($0), access: .off)
    }

  private func run(_ golden: GoldenCase, _ intercepts: InterceptMode = .patched) throws -> GuestRun {
    let serial = SerialText()
    var configuration = try committedConfiguration("minimal", golden.commandLine, serial)
    configuration.nested.vmcsAccess = golden.access
    let machine = try Machine(configuration) { memory in
      try KVMCPU(memory: memory, intercepts: intercepts)
    }
    return GuestRun(result: machine.run(), serial: serial.text)
  }

  @Test(arguments: cases) func exitTreesAreThoseOfTheSoftwareProcessor(_ golden: GoldenCase) throws {
    #expect(golden.text(of: try run(golden)) == golden.text(of: try golden.run()))
  }

  /// The computation is KVM's: the software processor executes what it must, and no page stays out of reach.
  @Test(arguments: [InterceptMode.patched, .native]) func plainInstructionsRunOnKVM(_ mode: InterceptMode)
    throws
  {
    let golden = GoldenCase(workload: "none", iterations: 2, access: .off)
    let machine = try Machine(committedConfiguration("minimal", golden.commandLine, SerialText())) { memory in
      try KVMCPU(memory: memory, intercepts: mode)
    }
    #expect(machine.run().outcome == .guestReported(code: 0))
    let instructions = try golden.run().result.instructions
    let counts = machine.processor.counts
    #expect(counts.handedOver < instructions / 20, "\(counts)")
    #expect(counts.faults < counts.handedOver / 20, "\(counts)")
    #expect(counts.runs > 100)
  }

  @Test(arguments: VMCSAccessModel.allCases) func everyAccessModelIsTheSame(_ access: VMCSAccessModel) throws
  {
    let golden = GoldenCase(workload: "cpuid", iterations: 20, access: access)
    #expect(golden.text(of: try run(golden)) == golden.text(of: try golden.run()))
  }

  @Test(arguments: [InterceptMode.native, .stepped], ["cpuid", "io", "memory", "none"])
  func everyModeFindsTheSameExits(_ mode: InterceptMode, workload: String) throws {
    guard try KVMCalibration.measured().obstacle(to: mode) == nil else { return }
    let golden = GoldenCase(workload: workload, iterations: workload == "none" ? 1 : 20, access: .off)
    #expect(golden.text(of: try run(golden, mode)) == golden.text(of: try golden.run()))
  }

  /// What a guest does that would keep KVM_RUN: a loop, VMCALL outside VMX operation, bytes that mean nothing. The run
  /// ends, by its own or by a request.
  @Test(arguments: [
    [0xEB, 0xFE], [0x0F, 0x01, 0xC1, 0xEB, 0xFB], [0xFF, 0xFF, 0xC7], [0xF3, 0x90, 0xEB, 0xFC],
  ])
  func aRunCanBeEnded(_ code: [UInt8]) throws {
    for mode in InterceptMode.allCases where try KVMCalibration.measured().obstacle(to: mode) == nil {
      let machine = try Machine(keptConfiguration(CodeImage(code).image, "", SerialText())) { memory in
        try KVMCPU(memory: memory, intercepts: mode)
      }
      let request = Thread { [machine] in
        Thread.sleep(forTimeInterval: 0.3)
        machine.requestStop(.timeout)
      }
      request.start()
      let start = ContinuousClock.now
      let result = machine.run()
      #expect(ContinuousClock.now - start < .seconds(10))
      switch result.outcome {
      case .stopped(.timeout), .tripleFault, .instructionLimit: break
      default: Issue.record("\(mode): \(result.outcome)")
      }
    }
  }
}
