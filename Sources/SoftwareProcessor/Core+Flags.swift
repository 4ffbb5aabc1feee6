import InstructionDecoder
import VMX
import X86

// RFLAGS as system software sees it, and software interrupts.
extension Core {
  func executePushFlags(_ instruction: Instruction) throws(Interruption) {
    if isVirtual8086, iopl < 3 { throw raise(.generalProtection) }
    let image = rflags & ~RFLAGS([.vm, .rf]).rawValue
    try push(image, OperandSize(instruction.operandSize))
  }

  func executePopFlags(_ instruction: Instruction) throws(Interruption) {
    if isVirtual8086, iopl < 3 { throw raise(.generalProtection) }
    let size = instruction.operandSize
    let image = try pop(OperandSize(size))
    var mask = RFLAGS([.cf, .pf, .af, .zf, .sf, .tf, .df, .of, .nt]).rawValue
    if size > 2 { mask |= RFLAGS([.ac, .id]).rawValue }
    if !cr0.contains(.pe) || cpl <= iopl { mask |= RFLAGS.if.rawValue }
    if !cr0.contains(.pe) || cpl == 0 { mask |= 0x3000 }
    setFlags(image, mask: mask)
    cpu.pointee.rflagsSystem &= ~RFLAGS.rf.rawValue
    updateMode()
  }

  func executeClearInterruptFlag() throws(Interruption) {
    try requireInterruptFlagAccess()
    cpu.pointee.rflagsSystem &= ~RFLAGS.if.rawValue
  }

  func executeSetInterruptFlag() throws(Interruption) {
    try requireInterruptFlagAccess()
    guard !systemFlags.contains(.if) else { return }
    cpu.pointee.rflagsSystem |= RFLAGS.if.rawValue
    blockEvents(.blockingBySTI)
  }

  private func requireInterruptFlagAccess() throws(Interruption) {
    guard !cr0.contains(.pe) || cpl <= iopl else { throw raise(.generalProtection) }
  }

  /// CLAC and STAC.
  func setAlignmentCheck(_ isSet: Bool) throws(Interruption) {
    guard cpl == 0 else { throw raise(.invalidOpcode) }
    setFlags(isSet ? .max : 0, mask: RFLAGS.ac.rawValue)
    updateMode()
  }

  /// INT n, INT1, INT3 and INTO: the event is delivered by the run loop, which then counts the instruction.
  func executeSoftwareInterrupt(_ instruction: Instruction) throws(Interruption) {
    let length = instruction.length
    switch instruction.mnemonic {
    case .int1:
      throw raiseSoftware(ExceptionVector.debug.rawValue, .privilegedSoftwareException, length: length)
    case .int3:
      throw raiseSoftware(ExceptionVector.breakpoint.rawValue, .softwareException, length: length)
    case .into:
      guard rflags & RFLAGS.of.rawValue != 0 else { return }
      throw raiseSoftware(ExceptionVector.overflow.rawValue, .softwareException, length: length)
    default:
      let vector = UInt8(truncatingIfNeeded: instruction.immediate)
      throw raiseSoftware(vector, .softwareInterrupt, length: length)
    }
  }
}
