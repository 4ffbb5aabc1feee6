import VMX
import X86

/// What L1 noted of a VM exit of L2, or of a failed VM entry that is reported like one.
package struct RigExit: Equatable, Sendable {
  package var reason: ExitReasonField
  package var qualification: UInt64
  package var instructionLength: UInt64
  package var instructionInformation: UInt64
  package var interruption: UInt64
  package var interruptionErrorCode: UInt64
  package var idtVectoring: UInt64
  package var idtVectoringErrorCode: UInt64
  package var linearAddress: UInt64
  package var physicalAddress: UInt64
  package var rip: UInt64

  init(_ memory: RigMemory, at place: UInt64) {
    func word(_ index: UInt64) -> UInt64 { memory[place + index * 8] }
    reason = ExitReasonField(rawValue: UInt32(truncatingIfNeeded: word(0)))
    qualification = word(1)
    instructionLength = word(2)
    instructionInformation = word(3)
    interruption = word(4)
    interruptionErrorCode = word(5)
    idtVectoring = word(6)
    idtVectoringErrorCode = word(7)
    linearAddress = word(8)
    physicalAddress = word(9)
    rip = word(10)
  }
}

/// What became of one VMCS.
package struct RigReport: Sendable {
  /// What VMLAUNCH, or a later VMRESUME, did if it did not enter L2.
  package enum Failure: Equatable, Sendable {
    case invalid
    case valid(UInt64)
    /// L1 found itself behind the instruction, with flags that mean neither.
    case impossible(flags: UInt64)
  }

  package var failure: Failure?
  /// The first exits that L1 saw.
  package var exits: [RigExit] = []
  /// The encoding of a field that L1 could not write, if there was one.
  package var refusedField: UInt64?
  /// How often the processor was entered for L2, and what L2 executed.
  package var entries = 0
  package var instructions: UInt64 = 0
  /// The exits of L2 on the processor, whoever handled them.
  package var hardwareExits: [ExitReasonField] = []
  /// Whether L2 would have run on: the rig has ended it by an exit of its own, a triple fault.
  package var isCutShort = false
  /// The VMX-abort indicator in L1's region.
  package var abortIndicator: UInt32 = 0
  /// What the processor had against vmcs02, although L0 had accepted vmcs12.
  package var refusals: [String] = []
  /// RFLAGS of L2 as L1 finds it in its VMCS, once it has cleared that.
  package var flags: RFLAGS = []
  /// CR2 at the end; the rig's L1 leaves it as its last VM exit did.
  package var pageFaultAddress: UInt64 = 0

  package init() {}
}

/// Whoever gives the rig's L1 its VMCSs.
package protocol RigScript: AnyObject {
  /// Lays out the next VMCS in `memory`; false if there is none.
  func prepare(_ memory: RigMemory) -> Bool
  /// L1 is about to enter what was laid out; L2 will find `registers`.
  func launch(_ memory: RigMemory, _ registers: UnsafeMutablePointer<RegisterFile>)
  /// L1 is ready for the next.
  func finish(_ report: RigReport, _ memory: RigMemory)
}
