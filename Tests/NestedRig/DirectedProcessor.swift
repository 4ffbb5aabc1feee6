import GuestMemory
import Processor
import SoftwareProcessor
import VMX
import X86

/// The software processor, with somebody beside it who lays out VMCSs for L1 and looks at what L0 makes of them.
///
/// It bounds what a VMCS can cost: an L2 that would run on is ended by a triple fault, which is always L1's; an L1 that
/// would, as its VMCS may have sent it anywhere, ends the run.
package final class DirectedProcessor: VMXProcessor {
  /// The instructions and the VM entries that L2 may have for one VMCS.
  package static let l2Instructions: UInt64 = 400
  package static let l2Entries = 64
  /// The same of L1: some ten instructions for each field that it writes.
  package static let l1Instructions: UInt64 = 6000
  package static let l1Entries = 1200

  private let inner: SoftwareCPU
  private let script: any RigScript
  private let l1Memory: RigMemory
  /// The first VMCS entered is vmcs01.
  private var vmcs01: UnsafeMutableRawPointer?
  private var l1PageTables: UInt64?
  private var report: RigReport?
  private var l1EntryCount = 0
  private var l1Limit = DirectedProcessor.l1Instructions

  init(_ inner: SoftwareCPU, _ script: any RigScript) {
    self.inner = inner
    self.script = script
    l1Memory = RigMemory(inner.memory)
  }

  /// What is known of the VMCS that the run ended with, or nil if it ended between two.
  func takeReport() -> RigReport? {
    guard var report else { return nil }
    self.report = nil
    complete(&report)
    return report
  }

  var rigMemory: RigMemory { l1Memory }

  // MARK: VM entry

  package func enter(_ vmcs: VMCS) -> EntryOutcome {
    if vmcs01 == nil { vmcs01 = vmcs.region }
    return vmcs.region == vmcs01 ? enterL1(vmcs) : enterL2(vmcs)
  }

  private func enterL1(_ vmcs: VMCS) -> EntryOutcome {
    l1EntryCount += 1
    guard l1EntryCount <= Self.l1Entries else { return .stopped(.instructionLimit) }
    let before = clock.pointee.instructions
    clock.pointee.instructionLimit = before &+ l1Limit
    let outcome = inner.enter(vmcs)
    l1Limit &-= min(l1Limit, clock.pointee.instructions &- before)
    guard case .exit(let reason) = outcome, !reason.isEntryFailure else { return outcome }
    switch reason.basic {
    case .cpuid where registers.pointee.rax == RigProgram.request:
      guard isL1InOrder(vmcs) else { return .stopped(.instructionLimit) }
      layOutNext()
    case .vmlaunch: script.launch(l1Memory, registers)
    default: break
    }
    return outcome
  }

  /// Whether L1 still does what its program says: a VM exit may have given it any CR3, and L2 may have spoilt its
  /// memory.
  private func isL1InOrder(_ vmcs: VMCS) -> Bool {
    if l1PageTables == nil { l1PageTables = vmcs[.guestCR3] }
    guard vmcs[.guestCR3] == l1PageTables else { return false }
    return report?.entries == 0 || l1Memory.isL1Intact()
  }

  private func layOutNext() {
    if let report = takeReport() { script.finish(report, l1Memory) }
    l1EntryCount = 0
    l1Limit = Self.l1Instructions
    l1Memory.fill(RigPlace.exitCount)
    l1Memory[RigPlace.exitLimit] = 1
    let isThere = script.prepare(l1Memory)
    report = isThere ? RigReport() : nil
    registers.pointee.rsi = isThere ? 1 : 0
  }

  private func enterL2(_ vmcs: VMCS) -> EntryOutcome {
    let used = report?.instructions ?? 0
    report?.entries += 1
    guard let entries = report?.entries, entries <= Self.l2Entries, used < Self.l2Instructions else {
      return cutShort(vmcs)
    }
    let before = clock.pointee.instructions
    clock.pointee.instructionLimit = before &+ (Self.l2Instructions &- used)
    let outcome = inner.enter(vmcs)
    report?.instructions &+= clock.pointee.instructions &- before
    switch outcome {
    case .exit(let reason):
      report?.hardwareExits.append(reason)
      if reason.basic == .entryFailureInvalidGuestState { note("guest state", vmcs) }
    case .failed(let error): note("VM-instruction error \(error.rawValue)", vmcs)
    case .stopped(.instructionLimit): return cutShort(vmcs)
    case .stopped: break
    }
    return outcome
  }

  private func note(_ what: String, _ vmcs: VMCS) {
    report?.refusals.append("vmcs02 was refused: \(what), qualification \(vmcs[.exitQualification])")
  }

  /// L2 has had enough.
  private func cutShort(_ vmcs: VMCS) -> EntryOutcome {
    report?.isCutShort = true
    vmcs.exitReason = ExitReasonField(.tripleFault)
    vmcs[.exitQualification] = 0
    vmcs.exitInterruptionInformation = .none
    vmcs.idtVectoringInformation = .none
    vmcs[.exitInstructionLength] = 0
    return .exit(vmcs.exitReason)
  }

  private func complete(_ report: inout RigReport) {
    let count = min(l1Memory[RigPlace.exitCount] & 0xFFFF_FFFF, 16)
    for number in 0..<count { report.exits.append(RigExit(l1Memory, at: RigPlace.exits + number * 128)) }
    report.abortIndicator = l1Memory.vmcs12.abortIndicator
    report.flags = RFLAGS(rawValue: l1Memory.vmcs12[.guestRFLAGS])
    report.pageFaultAddress = registers.pointee.cr2
    let refused = l1Memory[RigPlace.refusedField]
    if refused != 0 { report.refusedField = refused }
    guard l1Memory[RigPlace.failed] & 1 != 0 else { return }
    let flags = RFLAGS(rawValue: l1Memory[RigPlace.flags] & 0xFFFF_FFFF)
    switch (flags.contains(.cf), flags.contains(.zf)) {
    case (true, false): report.failure = .invalid
    case (false, true): report.failure = .valid(l1Memory[RigPlace.error])
    default: report.failure = .impossible(flags: flags.rawValue)
    }
  }

  // MARK: What is the processor's own

  package var name: StaticString { "directed" }
  package var capabilities: VMXCapabilities { inner.capabilities }
  package var features: ProcessorFeatures { inner.features }
  package var memory: PhysicalMemory { inner.memory }
  package var registers: UnsafeMutablePointer<RegisterFile> { inner.registers }
  package var clock: UnsafeMutablePointer<VirtualClock> { inner.clock }

  package var externalInterrupt: UInt8? {
    get { inner.externalInterrupt }
    set { inner.externalInterrupt = newValue }
  }
  package var isNMIPending: Bool {
    get { inner.isNMIPending }
    set { inner.isNMIPending = newValue }
  }

  package func readMSR(_ index: UInt32) -> UInt64? { inner.readMSR(index) }
  package func writeMSR(_ index: UInt32, _ value: UInt64) -> Bool { inner.writeMSR(index, value) }
  package var xcr0: UInt64 { inner.xcr0 }
  package func writeXCR0(_ value: UInt64) -> Bool { inner.writeXCR0(value) }
  package var contextSize: Int { inner.contextSize }
  package func saveContext(to place: UnsafeMutableRawPointer) { inner.saveContext(to: place) }
  package func restoreContext(from place: UnsafeRawPointer) { inner.restoreContext(from: place) }
  package func invalidateEPT(_ scope: EPTInvalidation) { inner.invalidateEPT(scope) }
  package func invalidateVPID(_ scope: VPIDInvalidation) { inner.invalidateVPID(scope) }
  package func requestStop() { inner.requestStop() }
}
