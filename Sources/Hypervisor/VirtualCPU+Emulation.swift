import NestedVMX
import Platform
import Processor
import Trace
import VMX
import X86

/// What L0 does with the exits that it keeps.
extension VirtualCPU {
  mutating func handle(_ handler: L0Handler, _ reason: ExitReasonField) {
    switch handler {
    case .vmxInstruction:
      executeVMXInstruction(reason)
      return
    case .composedEPT, .virtualizationException, .externalInterrupt, .nonMaskableInterrupt: break
    case .memoryOfL1: emulateMemoryAccess()
    case .outOfPages:
      outcome = .internalError(sentence: "L0 has no page left for the composed EPT")
    case .emulation: emulate(reason)
    case .unexpected: outcome = unexpectedExit(reason)
    }
    if outcome == nil { vmx.prepareToResume() }
  }

  /// Gives the guest that runs what L1's own processor and devices would.
  private mutating func emulate(_ reason: ExitReasonField) {
    switch reason.basic {
    case .cpuid: emulateCPUID()
    case .hlt: emulateHLT()
    case .ioInstruction: emulateIO()
    case .rdmsr: emulateRDMSR()
    case .wrmsr: emulateWRMSR()
    case .controlRegisterAccess: emulateControlRegisterAccess()
    case .invd, .wbinvd: guest.completeInstruction()
    case .pause: emulatePAUSE()
    case .monitor: emulateMONITOR()
    case .mwait: emulateMWAIT()
    // What they are for happens before the next VM entry.
    case .interruptWindow, .nmiWindow: break
    case .xsetbv: emulateXSETBV()
    case .getsec, .vmfunc, .encls, .enclv: guest.raise(.invalidOpcode)
    case .rdpmc: guest.raise(.generalProtection)
    case .exceptionOrNMI: emulateException()
    case .tripleFault: outcome = .tripleFault(level: level, rip: guest[.guestRIP])
    case .taskSwitch: emulateTaskSwitch()
    default: outcome = unexpectedExit(reason)
    }
  }

  private func emulateCPUID() {
    let guest = guest
    let leaf = UInt32(truncatingIfNeeded: guest[.rax])
    var circumstances = CPUIDPolicy.Circumstances(
      cr4: guest.visibleCR4, hasLocalAPIC: apic.mode != .disabled, miscEnable: miscEnable)
    if leaf == CPUIDLeaf.extendedState {
      circumstances.xcr0 = processor.xcr0
      circumstances.xss = processor.readMSR(ModelSpecificRegister.xss.rawValue) ?? 0
    }
    let result = cpuid.result(
      leaf: leaf, subleaf: UInt32(truncatingIfNeeded: guest[.rcx]), circumstances)
    registers.pointee.rax = UInt64(result.eax)
    registers.pointee.rbx = UInt64(result.ebx)
    registers.pointee.rcx = UInt64(result.ecx)
    registers.pointee.rdx = UInt64(result.edx)
    guest.completeInstruction()
  }
}

// MARK: Exceptions

extension VirtualCPU {
  /// Delivers an exception that nobody wants after all. But an x87 error of L1 with CR0.NE = 0, which VMX operation does
  /// not let the processor have, is the PC's interrupt 13, for which the instruction waits.
  ///
  /// Source: SDM volume 1, "MS-DOS* Compatibility Sub-mode".
  private mutating func emulateException() {
    let guest = guest
    let event = guest.vmcs.exitInterruptionInformation
    guard !vmx.isInL2, event.vector == ExceptionVector.floatingPointError.rawValue,
      event.kind == .hardwareException, !guest.visibleCR0.contains(.ne)
    else { return deliverAgain(event) }
    devices.board.coprocessorError.raise()
    devices.noteAccess()
    guest.vmcs.interruptibilityState.subtract([.blockingBySTI, .blockingByMOVSS])
    wait = .halt(rip: guest[.guestRIP])
  }
}

extension VirtualCPU {
  /// Delivers the exception that exited, or what becomes of it because it was met while another event was delivered.
  private mutating func deliverAgain(_ event: InterruptionInformation) {
    let guest = guest
    let first = guest.vmcs.idtVectoringInformation
    guard first.isValid, event.kind == .hardwareException,
      event.vector == ExceptionVector.pageFault.rawValue
    else { return guest.deliverAgain() }
    let code = UInt32(truncatingIfNeeded: guest[.exitInterruptionErrorCode])
    deliver(.pageFault(code, linear: guest[.exitQualification]), metDeliveringEvent: first)
    guest[.idtVectoringInformation] = 0
  }
}

// MARK: Control registers

extension VirtualCPU {
  /// XSETBV, whose privilege the processor has checked.
  ///
  /// Source: SDM volume 2, "XSETBV—Set Extended Control Register".
  private func emulateXSETBV() {
    let guest = guest
    let value = guest[.rdx] << 32 | guest[.rax] & 0xFFFF_FFFF
    guard UInt32(truncatingIfNeeded: guest[.rcx]) == 0, value & ~cpuid.features.components == 0,
      processor.writeXCR0(value)
    else {
      return guest.raise(.generalProtection)
    }
    guest.completeInstruction()
  }
}

extension VirtualCPU {
  private mutating func emulateControlRegisterAccess() {
    let guest = guest
    let access = ControlRegisterQualification(rawValue: guest[.exitQualification])
    let result: EmulationResult
    do throws(GuestFault) {
      result = try self.result(of: access)
    } catch {
      take(error)
      return
    }
    switch result {
    case .completed: guest.completeInstruction()
    case .completedWithFlush:
      forgetLinearMappings(after: access)
      guest.completeInstruction()
    case .fault(let vector): guest.raise(vector)
    }
  }

  /// MOV to CR3 flushes the PCID that it names; what changes paging, all.
  ///
  /// Source: SDM volume 3, "Operations that Invalidate TLBs and Paging-Structure Caches".
  private mutating func forgetLinearMappings(after access: ControlRegisterQualification) {
    let guest = guest
    let isOfOnePCID = access.number == 3 && CR4(rawValue: guest.vmcs[.guestCR4]).contains(.pcide)
    forgetLinearMappings(vpid: guest.vmcs[.vpid], pcid: isOfOnePCID ? guest.vmcs[.guestCR3] & 0xFFF : nil)
  }

  private func result(of access: ControlRegisterQualification) throws(GuestFault) -> EmulationResult {
    let guest = guest
    switch access.access {
    case .movToCR: return try write(guest[access.register], toControlRegister: access.number)
    case .movFromCR: return readControlRegister(access)
    case .clts: return guest.writeCR0(guest.visibleCR0.subtracting(.ts).rawValue, rules)
    case .lmsw:
      let kept = guest.visibleCR0.rawValue & ~0xE
      return guest.writeCR0(kept | UInt64(access.lmswSource) & 0xF, rules)
    }
  }

  private func write(
    _ value: UInt64, toControlRegister number: UInt8
  ) throws(GuestFault) -> EmulationResult {
    let value = guest.is64Bit ? value : value & 0xFFFF_FFFF
    let before = PagingRegisters(of: guest)
    let result: EmulationResult
    switch number {
    case 0: result = guest.writeCR0(value, rules)
    case 3: result = guest.writeCR3(value)
    case 4: result = guest.writeCR4(value, rules)
    default: return writeCR8(value)
    }
    guard result == .completedWithFlush else { return result }
    do throws(GuestFault) {
      if try loadPDPTEs() { return result }
    } catch {
      before.restore(to: guest)
      throw error
    }
    before.restore(to: guest)
    return .fault(.generalProtection)
  }

  /// CR8 is the task priority of the local APIC.
  private func writeCR8(_ value: UInt64) -> EmulationResult {
    guard value & ~0xF == 0 else { return .fault(.generalProtection) }
    apic.cr8 = value
    devices.noteAccess()
    return .completed
  }

  private func readControlRegister(_ access: ControlRegisterQualification) -> EmulationResult {
    guest[access.register] = access.number == 3 ? guest[.guestCR3] : apic.cr8
    return .completed
  }

  /// What bounds the writes of the guest that runs.
  private var rules: ControlRegisterRules {
    let capabilities = processor.capabilities
    let pagingIsFree = CR0([.pe, .pg]).rawValue
    var rules = ControlRegisterRules(
      cr4Supported: cr4Supported, cr0Fixed: capabilities.cr0Fixed0 & ~pagingIsFree,
      cr4Fixed: capabilities.cr4Fixed0)
    guard vmx.isInVMXOperation else { return rules }
    rules.cr0InVMX = vmx.capabilities.cr0
    rules.cr4InVMX = vmx.capabilities.cr4
    if vmx.isInL2, let vmcs12 = vmx.vmcs12 {
      let isUnrestricted = vmcs12.effectiveSecondaryControls.contains(.unrestrictedGuest)
      rules.preserve(
        cr0: vmcs12[.cr0GuestHostMask], cr4: vmcs12[.cr4GuestHostMask],
        cr0Free: isUnrestricted ? pagingIsFree : 0)
    }
    return rules
  }

  /// Loads the PDPTEs that the new paging registers ask for; false if one of them has a reserved bit set.
  private func loadPDPTEs() throws(GuestFault) -> Bool {
    let guest = guest
    guard guest.usesPDPTEs else { return true }
    let table = try addressSpace.structure(at: guest.pageDirectoryPointers)
    return guest.loadPDPTEs(from: ram, at: table)
  }
}

// MARK: Ends of a run

extension VirtualCPU {
  func outsideMemory(_ address: UInt64) -> RunOutcome {
    .outsideMemory(level: level, address: address, rip: guest[.guestRIP])
  }

  private func unexpectedExit(_ reason: ExitReasonField) -> RunOutcome {
    let name = reason.basic?.name.description ?? "number \(reason.basicNumber)"
    let failure = reason.isEntryFailure ? "a failed VM entry" : "a VM exit"
    return .internalError(
      sentence:
        "\(failure) of \(level.name), \(name), came at RIP \(hexadecimal(guest[.guestRIP])), which the "
        + "controls of L0 exclude (qualification \(hexadecimal(guest[.exitQualification])))")
  }

  /// The processor refused vmcs01 or vmcs02, which L0 made.
  func refusedEntry(_ error: VMInstructionError) -> RunOutcome {
    let name = vmx.isInL2 ? "vmcs02" : "vmcs01"
    return .internalError(
      sentence:
        "the processor refused \(name) with VM-instruction error \(error.rawValue) (\(error.description))")
  }
}

extension RunningGuest {
  /// Delivers the exception that exited after all, because nobody wants the exit.
  func deliverAgain() {
    let event = vmcs.exitInterruptionInformation
    switch ExceptionVector(rawValue: event.vector) {
    case .pageFault: registers.pointee.cr2 = self[.exitQualification]
    case .debug where event.kind == .hardwareException: noteDebugException()
    default: break
    }
    self[.entryInterruptionInformation] = UInt64(event.rawValue & ~(1 << 12))
    if event.hasErrorCode { self[.entryExceptionErrorCode] = self[.exitInterruptionErrorCode] }
    if event.usesInstructionLength { self[.entryInstructionLength] = self[.exitInstructionLength] }
  }
  /// A debug exception that exited has not changed the debug registers, nor does its injection.
  private func noteDebugException() {
    let found = self[.exitQualification] & (0xF | DR6([.bd, .bs]).rawValue)
    registers.pointee.dr6 = registers.pointee.dr6 & ~0xF | found
    self[.guestDR7] &= ~DR7.gd.rawValue
  }
}
