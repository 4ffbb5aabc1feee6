import GuestMemory
import Trace
import VMX
import X86

/// The processor contract: what L0 needs of something that can run a guest under a VMCS.
///
/// It is what VT-x offers to a hypervisor, and nothing else: VM entry with a VMCS, VM exit with the reasons and
/// qualifications of the SDM, and the invalidation instructions. All addresses in a VMCS given to it (EPTP, bitmaps,
/// MSR lists, the link pointer) are L0-physical, that is, addresses in ``memory``.
public protocol VMXProcessor: AnyObject {
  /// The name that a user selects it by, such as `software`.
  var name: StaticString { get }
  /// What the VMX capability MSRs of this processor say.
  var capabilities: VMXCapabilities { get }
  /// The features that guests find on it, as far as the processor alone brings them.
  var features: ProcessorFeatures { get }
  /// L0-physical memory.
  var memory: PhysicalMemory { get }
  /// The registers that a VMCS does not hold.
  var registers: UnsafeMutablePointer<RegisterFile> { get }
  /// The machine's clock and its limits.
  var clock: UnsafeMutablePointer<VirtualClock> { get }

  /// The vector of an external interrupt that waits for the guest, or nil. Its delivery, and its acknowledgement on a
  /// VM exit, take it away.
  var externalInterrupt: UInt8? { get set }
  /// Whether a nonmaskable interrupt waits; its delivery or its VM exit takes it away.
  var isNMIPending: Bool { get set }

  /// Enters the guest that `vmcs` describes and returns at its VM exit, or when the clock's limit or a stop request
  /// ends the run before one. The guest's state is then in `vmcs`, and can be entered again.
  func enter(_ vmcs: VMCS) -> EntryOutcome

  /// Why the processor failed, and what to do: one line, once ``enter(_:)`` has returned `.stopped(.failed)`.
  var failure: String? { get }

  /// The value of a model-specific register that guests share with the processor, or nil if it has no such MSR.
  func readMSR(_ index: UInt32) -> UInt64?
  /// Writes such an MSR; false if there is none or the value is not allowed (the caller then raises #GP(0)).
  func writeMSR(_ index: UInt32, _ value: UInt64) -> Bool

  /// XCR0 of the virtual CPU that the processor holds.
  var xcr0: UInt64 { get }
  /// Writes XCR0 as XSETBV does; false if the value is not allowed (the caller then raises #GP(0)).
  func writeXCR0(_ value: UInt64) -> Bool

  /// How many bytes ``saveContext(to:)`` writes.
  var contextSize: Int { get }
  /// Saves everything of the virtual CPU that neither a VMCS nor ``registers`` holds, between two calls of
  /// ``enter(_:)``: the MSRs, XCR0, the x87, SSE and AVX state, and the interrupts that wait.
  ///
  /// - Parameter place: ``contextSize`` bytes, aligned to 64.
  func saveContext(to place: UnsafeMutableRawPointer)
  /// Makes the virtual CPU the one whose context was saved to `place`.
  func restoreContext(from place: UnsafeRawPointer)

  /// Whether `eptp`'s mappings are forgotten: one context, or all.
  func invalidateEPT(_ scope: EPTInvalidation)
  /// Forgets linear and combined mappings by VPID.
  func invalidateVPID(_ scope: VPIDInvalidation)

  /// Makes a running or the next `enter` return `.stopped(.requested)` soon. Callable from any thread and from a
  /// signal handler.
  func requestStop()
}

/// How a call of ``VMXProcessor/enter(_:)`` ended.
public enum EntryOutcome: Equatable, Sendable {
  /// A VM exit, or a failed VM entry that is reported as one (bit 31 of the exit reason).
  case exit(ExitReasonField)
  /// VMfailValid: the controls or the host state of the VMCS were refused; nothing ran.
  case failed(VMInstructionError)
  /// No exit: L0 itself ended the run.
  case stopped(StopCause)
}

/// Why L0 ended a run without a VM exit.
public enum StopCause: Equatable, Sendable {
  /// `requestStop()` was called.
  case requested
  /// The clock's instruction limit was reached.
  case instructionLimit
  /// The guest waits in HLT (or shutdown), and nothing that L0 set up can ever wake it.
  case idle
  /// The processor itself cannot go on; ``VMXProcessor/failure`` says why.
  case failed
}

extension VMXProcessor {
  /// A processor in software does not fail.
  public var failure: String? { nil }
}

/// The machine's virtual time: retired guest instructions, and cycles, which also grow by the modelled costs.
public struct VirtualClock: @unchecked Sendable {
  /// Guest instructions retired since power-on.
  public var instructions: UInt64 = 0
  /// Virtual TSC: one cycle per retired instruction, and what the cost model adds.
  public var cycles: UInt64 = 0
  /// The value of `instructions` at which a run stops.
  public var instructionLimit: UInt64 = .max
  /// The value of `cycles` at which a timer interrupt of L0 arrives: an external-interrupt VM exit of whichever guest
  /// runs, whatever its RFLAGS.IF (vmcs01 and vmcs02 always have "external-interrupt exiting").
  public var interruptDeadline: UInt64 = .max

  /// The cycles that guests let pass by UMWAIT and TPAUSE.
  public var pausedCycles: UInt64 = 0

  /// The VMREADs and VMWRITEs that guests completed on a shadow VMCS, without a VM exit.
  public var shadowReads: UInt64 = 0
  public var shadowWrites: UInt64 = 0
  /// What one of them adds to `cycles`, beside the cycle of its retirement.
  public var shadowReadCycles: UInt64 = 0
  public var shadowWriteCycles: UInt64 = 0

  /// Where the page walks of the guest that runs are counted, or nil. L0 sets it before it enters a guest.
  public var pageWalks: UnsafeMutablePointer<PageWalkCounts>?
  /// What a memory reference of a page walk adds to `cycles`.
  public var walkReferenceCycles: UInt64 = 0

  public init() {}
}

/// The scope of an INVEPT.
public enum EPTInvalidation: Equatable, Sendable {
  case singleContext(eptp: UInt64)
  case allContexts
}

/// The scope of an INVVPID.
public enum VPIDInvalidation: Equatable, Sendable {
  case individualAddress(vpid: UInt16, linear: UInt64)
  case singleContext(vpid: UInt16)
  case allContexts
  case singleContextRetainingGlobals(vpid: UInt16)
}
