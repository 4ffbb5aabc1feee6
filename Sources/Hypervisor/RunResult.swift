import Trace

/// Everything that a run leaves behind, however it ended.
public struct RunResult: Sendable {
  /// How it ended.
  public var outcome: RunOutcome
  /// Every kind of exit with its count and cycles: L2's first, then by falling count.
  public var exits: [ExitCount]
  /// The sums over the exit trees by root reason, from which the exit multiplication follows.
  public var trees: [TreeCount]
  /// Guest instructions retired.
  public var instructions: UInt64
  /// The virtual time at the end, in cycles.
  public var virtualCycles: UInt64
  /// The events kept, in order of completion (empty unless the configuration's trace is `.kept`).
  public var events: [ExitEvent]
  /// The number of events that did not fit.
  public var droppedEvents: UInt64
  /// What was wrong with the VMCSs of L1 whose VM entry failed: the first ones of the run, in order.
  public var entryFailures: [EntryFailureReport]
  /// The number of VM entries of L1 that failed.
  public var failedEntries: UInt64
  /// What L0 copied to keep vmcs12 in step with L1's memory and with the shadow VMCS.
  public var sync: SyncCounts
  /// The VMREADs and VMWRITEs that L1 completed without a VM exit.
  public var exitlessAccesses = ExitlessAccesses()
  /// The misses of the processor's TLB with their page walks.
  public var pageWalks = PageWalks()
  /// What one reference of a page walk cost, in virtual cycles.
  public var walkReferenceCycles: UInt64 = 0
  /// The part of ``virtualCycles`` that passed while every virtual CPU waited for an event.
  public var idleCycles: UInt64 = 0
  /// What the guest was given of what its user typed.
  public var consoleInput = ConsoleInputCount()
  /// What each virtual CPU did, in their order.
  public var processors: [ProcessorCount] = []
}

/// The VMREADs and VMWRITEs that L1 completed without a VM exit, and what they cost it.
public struct ExitlessAccesses: Equatable, Sendable {
  public var reads: UInt64 = 0
  public var writes: UInt64 = 0
  /// The virtual cycles beside one for each instruction's retirement.
  public var cycles: UInt64 = 0

  public init() {}
}

/// How far a run has come, as somebody sees it who looks on.
public struct RunProgress: Equatable, Sendable {
  /// Guest instructions retired, up to the last look of the processor at its clock.
  public var instructions: UInt64
  /// Hardware exits.
  public var exits: UInt64
}

/// What one virtual CPU did.
public struct ProcessorCount: Equatable, Sendable {
  /// Its number, from 0: also that of its local APIC.
  public var number: Int
  public var exits: UInt64
  /// Guest instructions retired.
  public var instructions: UInt64
}

/// A violated check of a VM entry that L1 attempted.
public struct EntryFailureReport: Equatable, Sendable {
  /// The check's name: what it demands.
  public var check: String
  /// The SDM-like name of the VMCS field in capitals.
  public var field: String
  /// The field's value.
  public var value: UInt64
  /// What was expected of it.
  public var expected: String
  /// The title of the SDM section that demands it.
  public var section: String
  /// What L1 saw: `VMfailValid(7)`, or `VM-entry failure (exit reason 33)`.
  public var consequence: String

  public init(
    check: String, field: String, value: UInt64, expected: String, section: String, consequence: String
  ) {
    self.check = check
    self.field = field
    self.value = value
    self.expected = expected
    self.section = section
    self.consequence = consequence
  }
}

/// What L0 copied to keep vmcs12 in step with L1's memory and with the shadow VMCS.
public struct SyncCounts: Equatable, Sendable {
  /// Whole vmcs12 regions copied in from L1's memory.
  public var regionsLoaded: UInt64 = 0
  /// Whole vmcs12 regions copied out to L1's memory.
  public var regionsFlushed: UInt64 = 0
  /// Times that the shadow VMCS was filled from vmcs12.
  public var shadowFills: UInt64 = 0
  /// Times that vmcs12 took L1's writes from the shadow VMCS.
  public var shadowDrains: UInt64 = 0
  /// Fields copied from vmcs12 to the shadow VMCS.
  public var fieldsToShadow: UInt64 = 0
  /// Fields copied from the shadow VMCS to vmcs12.
  public var fieldsFromShadow: UInt64 = 0

  public init() {}
}
