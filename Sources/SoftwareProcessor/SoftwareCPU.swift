import EntryChecks
import GuestMemory
import Processor
import VMX
import X86

/// The reference processor: x86-64 with VMX non-root operation, interpreted, deterministic.
///
/// It has no VMX root operation of its own: its root is L0, which calls ``enter(_:)``. The host state of a VMCS is
/// checked and never loaded.
public final class SoftwareCPU: VMXProcessor {
  public let memory: PhysicalMemory
  /// What it has of ``SoftwareCPU/features``.
  public let features: ProcessorFeatures
  let core: Core
  let stopRequest: StopRequest
  private let environment: EntryEnvironment
  private let memo = EntryMemo()

  /// A processor at power-on, over `memory`; nil if the host has no memory for its tables. It has the instructions of
  /// `features`, and of the features that are not among ``SoftwareCPU/features``.
  public convenience init?(memory: PhysicalMemory, features: ProcessorFeatures = SoftwareCPU.features) {
    self.init(memory: memory, features: features, capabilities: Self.capabilities)
  }

  /// A processor whose VM entries are checked by `capabilities`, which are among ``SoftwareCPU/capabilities``.
  package init?(memory: PhysicalMemory, features: ProcessorFeatures, capabilities: VMXCapabilities) {
    guard let core = Core.allocate(memory: memory) else { return nil }
    core.remove(Self.features.subtracting(features))
    self.memory = memory
    self.features = features.intersection(Self.features)
    self.core = core
    self.stopRequest = StopRequest()
    self.environment = EntryEnvironment(
      capabilities: capabilities, physicalWidth: Core.physicalAddressWidth)
  }

  deinit {
    memo.deallocate()
    stopRequest.deallocate()
    core.deallocate()
  }

  public var name: StaticString { "software" }
  public var capabilities: VMXCapabilities { Self.capabilities }
  public var clock: UnsafeMutablePointer<VirtualClock> { core.cpu.pointee.machine.clock }

  public var registers: UnsafeMutablePointer<RegisterFile> {
    UnsafeMutableRawPointer(core.cpu).assumingMemoryBound(to: RegisterFile.self)
  }

  /// The vector of an external interrupt that is waiting, or nil. Delivery, and acknowledgement on VM exit, take it.
  public var externalInterrupt: UInt8? {
    get {
      let line = core.cpu.pointee.interruptLine
      return line == 0 ? nil : UInt8(truncatingIfNeeded: line)
    }
    set { core.cpu.pointee.interruptLine = newValue.map { 0x100 | UInt16($0) } ?? 0 }
  }

  /// Whether an NMI is waiting.
  public var isNMIPending: Bool {
    get { core.cpu.pointee.isNMIPending }
    set { core.cpu.pointee.isNMIPending = newValue }
  }

  public func requestStop() { stopRequest.make() }

  // MARK: VM entry and VM exit

  public func enter(_ vmcs: VMCS) -> EntryOutcome {
    if let outcome = begin(vmcs) { return outcome }
    guard let cause = core.continueGuest(until: stopRequest) else { return exit(vmcs) }
    return stop(vmcs, cause)
  }

  /// Checks `vmcs` and loads the guest from it, with the event that is injected; how the VM entry ended, if nothing of
  /// the guest can run.
  func begin(_ vmcs: VMCS) -> EntryOutcome? {
    core.forgetStaleCode(memory)
    if let failure = entryFailure(vmcs) { return fail(vmcs, failure) }
    core.loadControls(vmcs)
    core.loadGuestState(vmcs)
    if let position = core.loadEntryMSRs(vmcs) {
      vmcs.exitReason = ExitReasonField(.entryFailureMSRLoading, entryFailure: true)
      vmcs[.exitQualification] = position
      return .exit(vmcs.exitReason)
    }
    core.startPreemptionTimer()
    return core.beginGuest() ? nil : exit(vmcs)
  }

  /// Leaves the guest without a VM exit.
  func stop(_ vmcs: VMCS, _ cause: StopCause) -> EntryOutcome {
    core.saveGuestState()
    if core.nonRoot.pointee.timerDeadline != .max {
      vmcs[.preemptionTimerValue] = core.preemptionTimerValue
    }
    return .stopped(cause)
  }

  /// The first violated check of the VM entry.
  private func entryFailure(_ vmcs: VMCS) -> EntryFailure? {
    let core = core
    let circumstances = EntryCircumstances(of: vmcs) { core.word(at: $0) }
    if memo.passes(vmcs, in: circumstances) { return nil }
    let inspection = EntryInspection(vmcs: vmcs, environment: environment) { core.word(at: $0) }
    if let violation = inspection.firstViolation { return violation.failure }
    memo.remember(vmcs, in: circumstances)
    return nil
  }

  private func fail(_ vmcs: VMCS, _ failure: EntryFailure) -> EntryOutcome {
    switch failure {
    case .controls, .hostState:
      let error = failure.instructionError ?? .entryInvalidControlFields
      vmcs[.vmInstructionError] = UInt64(error.rawValue)
      return .failed(error)
    case .guestState(let qualification):
      vmcs.exitReason = ExitReasonField(.entryFailureInvalidGuestState, entryFailure: true)
      vmcs[.exitQualification] = qualification.rawValue
      return .exit(vmcs.exitReason)
    }
  }

  func exit(_ vmcs: VMCS) -> EntryOutcome {
    core.recordExit()
    core.saveGuestState()
    if !core.storeExitMSRs(vmcs) { vmcs.abortIndicator = VMXAbort.savingGuestMSRs.rawValue }
    // What loading the host state would do to registers that L0 shares with its guests.
    core.cpu.pointee.dr7 = DR7.initial.rawValue
    core.cpu.pointee.msrs.debugControl = 0
    let failed = core.loadMSRList(
      address: vmcs[.exitMSRLoadAddress], count: vmcs[.exitMSRLoadCount])
    if failed != nil { vmcs.abortIndicator = VMXAbort.loadingHostMSRs.rawValue }
    return .exit(vmcs.exitReason)
  }

  // MARK: MSRs and invalidation

  public func readMSR(_ index: UInt32) -> UInt64? {
    capabilities.value(ofMSR: index) ?? core.readMSR(index)
  }

  public func writeMSR(_ index: UInt32, _ value: UInt64) -> Bool { core.writeMSR(index, value) }

  public func invalidateEPT(_ scope: EPTInvalidation) {
    core.cpu.pointee.machine.guestPhysical.pointee.reset()
    switch scope {
    case .singleContext(let eptp): core.forgetTranslations(eptPointer: eptp)
    case .allContexts: core.forgetTranslations()
    }
  }

  public func invalidateVPID(_ scope: VPIDInvalidation) {
    switch scope {
    case .individualAddress(let vpid, let linear): core.forgetTranslation(of: linear, vpid: vpid)
    case .singleContext(let vpid), .singleContextRetainingGlobals(let vpid):
      core.forgetTranslations(vpid: vpid)
    case .allContexts: core.forgetTranslations()
    }
  }
}
