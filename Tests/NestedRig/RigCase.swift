import Hypervisor
import VMX
import X86

/// One VMCS for the rig's L1, and what L2 finds.
package struct RigCase: Sendable {
  package var name: String
  /// Changes the VMCS of ``RigVMCS``, and memory that is as it was for every case.
  package var layOut: @Sendable (VMCS, RigMemory) -> Void
  /// The registers that L2 finds.
  package var registers: @Sendable (UnsafeMutablePointer<RegisterFile>) -> Void
  /// After how many exits L1 has seen enough; it resumes L2 behind the instruction of each before.
  package var exitLimit: UInt64
  /// Whether L1 writes the VMCS by VMWRITE, else it finds it in its region.
  package var isWritten: Bool
  /// Where in L1's memory the test looks when L1 is done.
  package var watched: [UInt64] = []

  package init(
    _ name: String, exitLimit: UInt64 = 1, isWritten: Bool = false,
    layOut: @escaping @Sendable (VMCS, RigMemory) -> Void = { _, _ in },
    registers: @escaping @Sendable (UnsafeMutablePointer<RegisterFile>) -> Void = { _ in }
  ) {
    self.name = name
    self.layOut = layOut
    self.registers = registers
    self.exitLimit = exitLimit
    self.isWritten = isWritten
  }
}

/// What became of a ``RigCase``.
package struct RigResult: Sendable {
  package var report: RigReport
  /// How the machine's run ended, if the case ended it.
  package var end: RunOutcome?
  /// The eight bytes at each address of ``RigCase/watched``, if L1 came to its end.
  package var watched: [UInt64] = []

  /// The reason of the first exit that L1 saw.
  package var reason: ExitReason? { report.exits.first?.reason.basic }
}

extension Rig {
  /// What became of each of `cases`, in their order.
  package func run(_ cases: [RigCase]) throws -> [RigResult] {
    let script = CaseScript(cases, is64Bit: is64Bit)
    while script.results.count < cases.count {
      let before = script.results.count
      let end = try run(script)
      if let report = end.report { script.results.append(RigResult(report: report, end: end.result.outcome)) }
      guard script.results.count > before else { throw NoProgress(outcome: end.result.outcome) }
    }
    return script.results
  }

  package func run(_ test: RigCase) throws -> RigResult { try run([test])[0] }

  /// A machine ended before its L1 asked for a VMCS.
  package struct NoProgress: Error { package var outcome: RunOutcome }
}

private final class CaseScript: RigScript {
  let cases: [RigCase]
  let is64Bit: Bool
  var results: [RigResult] = []

  init(_ cases: [RigCase], is64Bit: Bool) {
    self.cases = cases
    self.is64Bit = is64Bit
  }

  func prepare(_ memory: RigMemory) -> Bool {
    guard results.count < cases.count else { return false }
    let test = cases[results.count]
    memory.restore()
    memory[RigPlace.exitLimit] = test.exitLimit
    let vmcs = VMCS.allocate()
    defer { vmcs.deallocate() }
    RigVMCS.write(vmcs)
    test.layOut(vmcs, memory)
    if test.isWritten {
      memory.vmcs12.clear()
      memory.vmcs12.revision = vmcs.revision
      memory.writeTable(Rig.fields, of: vmcs, is64Bit: is64Bit)
    } else {
      memory.vmcs12.copy(from: vmcs)
    }
    return true
  }

  func launch(_ memory: RigMemory, _ registers: UnsafeMutablePointer<RegisterFile>) {
    guard results.count < cases.count else { return }
    cases[results.count].registers(registers)
  }

  func finish(_ report: RigReport, _ memory: RigMemory) {
    var result = RigResult(report: report)
    if results.count < cases.count { result.watched = cases[results.count].watched.map { memory[$0] } }
    results.append(result)
  }
}

extension Rig {
  /// What became of `test` on a machine of its own, and what the run left behind.
  package func runAlone(_ test: RigCase) throws -> (report: RigReport, run: RunResult) {
    let script = CaseScript([test], is64Bit: is64Bit)
    let end = try run(script)
    guard let report = end.report ?? script.results.first?.report else {
      throw NoProgress(outcome: end.result.outcome)
    }
    return (report, end.result)
  }
}
