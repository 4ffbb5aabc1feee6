import InstructionDecoder
import VMX
import X86

// Making a VM exit the pending interruption: `throw core.vmExit(.cpuid)`.
extension Core {
  /// Makes a VM exit the pending event, with the length of the instruction being executed.
  func vmExit(_ reason: ExitReason, qualification: UInt64 = 0) -> Interruption {
    cpu.pointee.pending.exitReason = UInt32(reason.rawValue)
    cpu.pointee.pending.qualification = qualification
    cpu.pointee.pending.instructionInformation = 0
    cpu.pointee.pending.guestLinearAddress = 0
    cpu.pointee.pending.guestPhysicalAddress = 0
    cpu.pointee.pending.interruptionInformation = 0
    cpu.pointee.pending.interruptionErrorCode = 0
    cpu.pointee.pending.idtVectoringInformation = 0
    cpu.pointee.pending.idtVectoringErrorCode = 0
    cpu.pointee.pending.savesResumeFlag = false
    cpu.pointee.pending.instructionLength = UInt32(cpu.pointee.systemInstructionLength)
    return .vmExit
  }

  /// A VM exit with VM-exit instruction information.
  func vmExit(
    _ reason: ExitReason, qualification: UInt64 = 0, information: ExitInstructionInformation
  ) -> Interruption {
    let exit = vmExit(reason, qualification: qualification)
    cpu.pointee.pending.instructionInformation = information.rawValue
    return exit
  }

  /// A VM exit that no instruction caused.
  func eventExit(_ reason: ExitReason, qualification: UInt64 = 0) -> Interruption {
    let exit = vmExit(reason, qualification: qualification)
    cpu.pointee.pending.instructionLength = 0
    return exit
  }

  /// The VM-exit instruction information of `instruction`'s memory operand, or of register operand `operand`.
  func operandInformation(_ instruction: Instruction, _ operand: Operand) -> ExitInstructionInformation {
    guard operand.kind == .memory else {
      return ExitInstructionInformation(register: GeneralRegister(number: UInt64(operand.register)))
    }
    let address = instruction.address
    let hasBase = address.base != MemoryAddress.none && address.base != MemoryAddress.instructionPointer
    let hasIndex = address.index != MemoryAddress.none
    return ExitInstructionInformation(
      addressSize: instruction.addressSize, segment: address.segment,
      base: hasBase ? GeneralRegister(number: UInt64(address.base)) : nil,
      index: hasIndex ? GeneralRegister(number: UInt64(address.index)) : nil, scale: address.scale)
  }

  /// The exit qualification of an instruction with a memory operand: its displacement, with the next instruction's
  /// address added if that is the base (SDM volume 3, "Exit Qualification"); 0 without a memory operand.
  func displacement(_ instruction: Instruction, _ operand: Operand) -> UInt64 {
    guard operand.kind == .memory else { return 0 }
    let displacement = UInt64(bitPattern: instruction.address.displacement)
    if instruction.address.base == MemoryAddress.instructionPointer {
      return displacement &+ rip &+ UInt64(instruction.length)
    }
    return displacement
  }
}
