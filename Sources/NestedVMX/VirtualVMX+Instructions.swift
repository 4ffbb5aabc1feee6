import Translation
import VMX
import X86

extension VirtualVMX {
  /// Emulates the VMX instruction that L1 exited with, as exit `reason` in vmcs01 describes it, and applies the result
  /// to vmcs01: flags and RIP, or a fault to be delivered at the next VM entry.
  ///
  /// Of L2's VMX instructions L0 keeps only VM functions, and VMREADs and VMWRITEs that fail under L1's VMCS shadowing.
  public mutating func execute(_ reason: ExitReason) -> VMXInstructionOutcome {
    if isInL2 { return reason == .vmfunc ? switchEPTP() : refuseFieldAccess(reason) }
    let outcome: VMXInstructionOutcome
    do throws(VMXInstructionFailure) {
      outcome = try perform(reason)
    } catch {
      outcome = self.outcome(of: error)
    }
    complete(outcome)
    return outcome
  }

  mutating func perform(_ reason: ExitReason) throws(VMXInstructionFailure) -> VMXInstructionOutcome {
    switch reason {
    case .vmxon: try vmxon()
    case .vmxoff: try vmxoff()
    case .vmclear: try vmclear()
    case .vmptrld: try vmptrld()
    case .vmptrst: try vmptrst()
    case .vmread: try vmread()
    case .vmwrite: try vmwrite()
    case .vmlaunch: return try enter(launching: true)
    case .vmresume: return try enter(launching: false)
    case .invept: try invept()
    case .invvpid: try invvpid()
    case .vmcall: try vmcall()
    default: throw .invalidOpcode
    }
    return .succeeded
  }

  func outcome(of failure: VMXInstructionFailure) -> VMXInstructionOutcome {
    switch failure {
    case .fault(let fault): .fault(fault)
    case .invalid: .failInvalid
    case .fail(let error): currentVMCS == nil ? .failInvalid : .failValid(error)
    }
  }

  /// Applies an outcome to vmcs01 (SDM volume 3, "Conventions" of the VMX instruction reference).
  mutating func complete(_ outcome: VMXInstructionOutcome) {
    switch outcome {
    case .succeeded: finishInstruction(flags: [])
    case .failInvalid: finishInstruction(flags: .cf)
    case .failValid(let error):
      setInstructionError(error)
      finishInstruction(flags: .zf)
    case .fault(let fault): inject(fault)
    case .enterL2, .entryFailed: break
    }
  }

  /// Sets the status flags to `flags`, and RIP to the next instruction.
  mutating func finishInstruction(flags: RFLAGS) { finishInstruction(flags: flags, in: vmcs01) }

  mutating func finishInstruction(flags: RFLAGS, in vmcs: VMCS) {
    var rflags = RFLAGS(rawValue: vmcs[.guestRFLAGS])
    rflags.subtract(.status)
    rflags.formUnion(flags)
    vmcs[.guestRFLAGS] = rflags.rawValue
    Self.skipInstruction(in: vmcs)
    work.vmcsReads &+= 5
    work.vmcsWrites &+= 2
  }

  /// Moves RIP of the guest of `vmcs` behind the instruction that it exited with, as the instruction's completion
  /// would: the shadow of STI and MOV SS ends, and a single step is pending.
  public static func skipInstruction(in vmcs: VMCS) {
    let next = vmcs[.guestRIP] &+ vmcs[.exitInstructionLength]
    vmcs[.guestRIP] = isIn64BitMode(vmcs) ? next : next & 0xFFFF_FFFF
    var state = vmcs.interruptibilityState
    state.subtract([.blockingBySTI, .blockingByMOVSS])
    vmcs.interruptibilityState = state
    var rflags = RFLAGS(rawValue: vmcs[.guestRFLAGS])
    if rflags.contains(.rf) {
      rflags.remove(.rf)
      vmcs[.guestRFLAGS] = rflags.rawValue
    }
    let isBranchStepping = vmcs[.guestDebugCtl] & 1 << 1 != 0
    if rflags.contains(.tf), !isBranchStepping {
      vmcs[.guestPendingDebugExceptions] |= DebugExceptionQualification.bs.rawValue
    }
  }

  /// Has `fault` delivered to L1 at the next VM entry.
  mutating func inject(_ fault: InstructionFault) { inject(fault, into: vmcs01) }

  mutating func inject(_ fault: InstructionFault, into vmcs: VMCS) {
    vmcs.entryInterruptionInformation = InterruptionInformation(
      fault.vector, hasErrorCode: fault.errorCode != nil)
    vmcs[.entryExceptionErrorCode] = UInt64(fault.errorCode ?? 0)
    work.vmcsWrites &+= 2
    if fault.vector == .pageFault { registers.pointee.cr2 = fault.linearAddress }
  }

  /// The VM-instruction error field of the current VMCS.
  mutating func setInstructionError(_ error: VMInstructionError) {
    write(UInt64(error.rawValue), toVMCS12: .vmInstructionError)
  }
}

// MARK: Conditions that the instructions share

extension VirtualVMX {
  /// The #UD conditions of every VMX instruction but VMXON, and then #GP(0) above CPL 0.
  mutating func requireRootOperation() throws(VMXInstructionFailure) {
    guard isInVMXOperation else { throw .invalidOpcode }
    try requireMode()
    try requirePrivilege()
  }

  /// #UD in real-address, virtual-8086 and compatibility mode.
  mutating func requireMode() throws(VMXInstructionFailure) {
    work.vmcsReads &+= 4
    guard CR0(rawValue: vmcs01[.guestCR0]).contains(.pe),
      !RFLAGS(rawValue: vmcs01[.guestRFLAGS]).contains(.vm)
    else { throw .invalidOpcode }
    let isLMA = EFER(rawValue: vmcs01[.guestEFER]).contains(.lma)
    guard !isLMA || segmentRights(.cs).isLong else { throw .invalidOpcode }
  }

  /// #GP(0) above CPL 0; the CPL is the DPL of SS.
  mutating func requirePrivilege() throws(VMXInstructionFailure) {
    work.vmcsReads &+= 1
    guard segmentRights(.ss).dpl == 0 else { throw .generalProtection }
  }

  /// The 64-bit physical address in the memory operand of VMXON, VMCLEAR and VMPTRLD.
  mutating func pointerOperand() throws(VMXInstructionFailure) -> UInt64 {
    do throws(InstructionFault) {
      return try read(try operandAddress(size: 8, .read), 8)
    } catch {
      throw .fault(error)
    }
  }

  /// Whether `address` may be that of a VMXON region or a VMCS: 4-KByte aligned, within the physical-address width.
  func isRegionAddress(_ address: UInt64) -> Bool {
    address & (0xFFF | AddressForm.bitsBeyond(physicalWidth: physicalAddressWidth)) == 0
  }

  /// The revision identifier and shadow-VMCS indicator of a region; a hole reads as all ones.
  mutating func revision(at address: PhysicalAddress<L1>) -> UInt32 {
    work.memoryReads &+= 1
    return UInt32(truncatingIfNeeded: memory.word(at: address) ?? .max)
  }
}
