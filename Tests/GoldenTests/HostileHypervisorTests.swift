import Foundation
import Hypervisor
import SoftwareProcessor
import Testing
import Trace

/// L1s that put anything into their VMCSs. Whatever they do to themselves and to their L2, L0 says how it ended, and
/// never that the fault was its own.
@Suite struct HostileHypervisorTests {
  /// The meddling is with VMWRITEs that exit, of which the other access models have none.
  @Test(arguments: [VMCSAccessModel.off, .hardware]) func anyVMCSOfL1EndsInASentence(
    _ shadowing: VMCSAccessModel
  ) throws {
    let bytes = try Data(contentsOf: Repository.images.appending(path: "minimal.elf"))
    let workloads = ["cpuid", "hypercall", "io", "msr", "hlt", "memory", "interrupt"]
    var entered = 0
    var refused = 0
    for seed in 0..<UInt64(120) {
      let workload = workloads[Int(seed) % workloads.count]
      var configuration = MachineConfiguration(image: GuestImage(name: "minimal", bytes: Array(bytes)))
      configuration.commandLine = "workload=\(workload) iterations=20"
      configuration.memorySize = 32 << 20
      configuration.instructionLimit = 60_000
      configuration.nested.vmcsAccess = shadowing
      let machine = try Machine(configuration) { memory in
        guard let processor = SoftwareCPU(memory: memory) else { throw ProcessorUnavailable() }
        return MeddlingProcessor(processor, seed: seed &* 0x9E37_79B9, rarity: 20 + seed % 60)
      }
      let result = machine.run()
      if case .internalError(let sentence) = result.outcome { Issue.record("seed \(seed): \(sentence)") }
      if result.exits.contains(where: { $0.from == .l2 }) { entered += 1 }
      refused += Int(result.failedEntries)
      #expect(
        result.virtualCycles
          == result.instructions + result.exitlessAccesses.cycles + result.exits.reduce(0) { $0 + $1.cycles }
          + (result.pageWalks.l1.references + result.pageWalks.l2.references) * result.walkReferenceCycles)
    }
    // The seeds are such that both happen often; else this would test little.
    #expect(entered > 30)
    #expect(refused > 30)
  }
}
