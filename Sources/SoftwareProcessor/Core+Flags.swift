import InstructionDecoder
import VMX
import X86

// RFLAGS as system software sees it, and software interrupts.
extension Core {
  func executePushFlags(_ instruction: Instruction) throws(Interruption) {
    let isVirtual = try usesVirtualFlags(size: instruction.operandSize)
    let image = isVirtual ? virtualFlags : rflags & ~RFLAGS([.vm, .rf]).rawValue
    try push(image, OperandSize(instruction.operandSize))
  }

  func executePopFlags(_ instruction: Instruction) throws(Interruption) {
    let size = instruction.operandSize
    let isVirtual = try usesVirtualFlags(size: size)
    let rsp = self[.rsp]
    let image = try pop(OperandSize(size))
    if isVirtual {
      do throws(Interruption) {
        try setVirtualFlags(image)
      } catch {
        self[.rsp] = rsp
        throw error
      }
      cpu.pointee.rflagsSystem &= ~RFLAGS.rf.rawValue
      return updateMode()
    }
    var mask = RFLAGS([.cf, .pf, .af, .zf, .sf, .tf, .df, .of, .nt]).rawValue
    if size > 2 { mask |= RFLAGS([.ac, .id]).rawValue }
    if !cr0.contains(.pe) || cpl <= iopl { mask |= RFLAGS.if.rawValue }
    if !cr0.contains(.pe) || cpl == 0 { mask |= 0x3000 }
    setFlags(image, mask: mask)
    cpu.pointee.rflagsSystem &= ~RFLAGS.rf.rawValue
    updateMode()
  }

  func executeClearInterruptFlag() throws(Interruption) {
    guard let flag = interruptFlag else { throw raise(.generalProtection) }
    cpu.pointee.rflagsSystem &= ~flag.rawValue
  }

  func executeSetInterruptFlag() throws(Interruption) {
    guard let flag = interruptFlag else { throw raise(.generalProtection) }
    if flag == .vif {
      guard !systemFlags.contains(.vip) else { throw raise(.generalProtection) }
      cpu.pointee.rflagsSystem |= flag.rawValue
      return
    }
    guard !systemFlags.contains(.if) else { return }
    cpu.pointee.rflagsSystem |= RFLAGS.if.rawValue
    blockEvents(.blockingBySTI)
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
      let isRedirected = try redirectsInterrupt(vector)
      let event = raiseSoftware(vector, .softwareInterrupt, length: length)
      cpu.pointee.pending.isRedirected = isRedirected
      throw event
    }
  }
}
