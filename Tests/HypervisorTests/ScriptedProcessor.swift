import GuestMemory
import Processor
import VMX
import X86

/// A processor that executes nothing: each VM entry plays the next step of a script, which may look at the VMCS,
/// change the guest's state as instructions would, and say how the entry ends.
final class ScriptedProcessor: VMXProcessor {
  typealias Step = (VMCS, ScriptedProcessor) -> EntryOutcome

  let name: StaticString = "scripted"
  let capabilities: VMXCapabilities
  let features = ProcessorFeatures(featuresEDX: [.fpu, .tsc, .msr, .pae, .pge])
  let memory: PhysicalMemory
  let registers: UnsafeMutablePointer<RegisterFile>
  let clock: UnsafeMutablePointer<VirtualClock>
  var externalInterrupt: UInt8?
  var isNMIPending = false
  var steps: [Step] = []
  /// Sees each VMCS as it is entered, before the event that it injects is taken.
  var onEntry: (VMCS) -> Void = { _ in }
  private(set) var entries = 0
  private(set) var eptInvalidations: [EPTInvalidation] = []
  private(set) var vpidInvalidations: [VPIDInvalidation] = []
  private(set) var msrs: [UInt32: UInt64] = [
    ModelSpecificRegister.star.rawValue: 0, ModelSpecificRegister.lstar.rawValue: 0,
  ]
  private var isStopRequested = false

  /// The instructions, and so the cycles, that each entry retires.
  static let instructionsPerEntry: UInt64 = 10
  var retiresInstructions = true

  init(memory: PhysicalMemory, capabilities: VMXCapabilities = .everything) {
    self.memory = memory
    self.capabilities = capabilities
    registers = .allocate(capacity: 1)
    registers.initialize(to: RegisterFile())
    clock = .allocate(capacity: 1)
    clock.initialize(to: VirtualClock())
  }

  deinit {
    registers.deallocate()
    clock.deallocate()
  }

  func enter(_ vmcs: VMCS) -> EntryOutcome {
    if isStopRequested { return .stopped(.requested) }
    onEntry(vmcs)
    vmcs[.entryInterruptionInformation] &= 0x7FFF_FFFF
    guard entries < steps.count else { return .stopped(.instructionLimit) }
    if retiresInstructions {
      clock.pointee.instructions += Self.instructionsPerEntry
      clock.pointee.cycles += Self.instructionsPerEntry
    }
    entries += 1
    return steps[entries - 1](vmcs, self)
  }

  func readMSR(_ index: UInt32) -> UInt64? { msrs[index] }

  func writeMSR(_ index: UInt32, _ value: UInt64) -> Bool {
    guard msrs[index] != nil else { return false }
    msrs[index] = value
    return true
  }

  private(set) var xcr0: UInt64 = 1

  func writeXCR0(_ value: UInt64) -> Bool {
    guard ExtendedStateComponent.isValidXCR0(value) else { return false }
    xcr0 = value
    return true
  }

  /// The context is XCR0 alone.
  var contextSize: Int { MemoryLayout<UInt64>.size }
  func saveContext(to place: UnsafeMutableRawPointer) { place.storeBytes(of: xcr0, as: UInt64.self) }
  func restoreContext(from place: UnsafeRawPointer) { xcr0 = place.load(as: UInt64.self) }

  func invalidateEPT(_ scope: EPTInvalidation) { eptInvalidations.append(scope) }
  func invalidateVPID(_ scope: VPIDInvalidation) { vpidInvalidations.append(scope) }
  func requestStop() { isStopRequested = true }
}

extension ScriptedProcessor {
  /// Ends the entry with a VM exit, its information in `vmcs`.
  static func exit(
    _ vmcs: VMCS, _ reason: ExitReason, length: UInt64 = 2, qualification: UInt64 = 0,
    information: ExitInstructionInformation = ExitInstructionInformation(rawValue: 0)
  ) -> EntryOutcome {
    let field = ExitReasonField(reason)
    vmcs.exitReason = field
    vmcs[.exitInstructionLength] = length
    vmcs[.exitQualification] = qualification
    vmcs[.exitInstructionInformation] = UInt64(information.rawValue)
    vmcs[.idtVectoringInformation] = 0
    vmcs[.exitInterruptionInformation] = 0
    return .exit(field)
  }

  /// A step that exits as ``exit(_:_:length:qualification:information:)`` does.
  static func step(
    _ reason: ExitReason, length: UInt64 = 2, qualification: UInt64 = 0,
    information: ExitInstructionInformation = ExitInstructionInformation(rawValue: 0),
    _ prepare: @escaping (VMCS, ScriptedProcessor) -> Void = { _, _ in }
  ) -> Step {
    { vmcs, processor in
      prepare(vmcs, processor)
      return exit(vmcs, reason, length: length, qualification: qualification, information: information)
    }
  }

  /// OUT of `value` to the debug-exit port.
  static func debugExit(_ value: UInt8) -> Step {
    step(.ioInstruction, qualification: IOQualification(port: 0xF4, size: 1, isIn: false).rawValue) {
      $1.registers.pointee.rax = UInt64(value)
    }
  }
}

extension VMXCapabilities {
  /// A processor whose controls may all have either setting.
  static var everything: VMXCapabilities {
    func either<Word: ControlWord>(_ word: Word.Type) -> UInt64 {
      ControlCapability(allowed0: 0, allowed1: UInt64(Word.all.rawValue)).msr
    }
    var capabilities = VMXCapabilities()
    capabilities.basic = VMXBasicInformation(revision: 0x77)
    capabilities.pinBased = either(PinBasedControls.self)
    capabilities.primaryProcessorBased = either(PrimaryProcessorBasedControls.self)
    capabilities.secondaryProcessorBased = either(SecondaryProcessorBasedControls.self)
    capabilities.exit = either(PrimaryExitControls.self)
    capabilities.entry = either(EntryControls.self)
    capabilities.truePinBased = capabilities.pinBased
    capabilities.truePrimaryProcessorBased = capabilities.primaryProcessorBased
    capabilities.trueExit = capabilities.exit
    capabilities.trueEntry = capabilities.entry
    capabilities.cr0Fixed0 = 0x8000_0021
    capabilities.cr0Fixed1 = 0xFFFF_FFFF
    capabilities.cr4Fixed0 = CR4.vmxe.rawValue
    capabilities.cr4Fixed1 = 0x0037_67FF
    capabilities.eptAndVPID = [
      .pageWalkLength4, .writeBackPagingStructures, .pages2MByte, .invept, .inveptSingleContext,
      .inveptAllContexts, .invvpid, .invvpidSingleContext, .invvpidAllContexts,
    ]
    return capabilities
  }
}
