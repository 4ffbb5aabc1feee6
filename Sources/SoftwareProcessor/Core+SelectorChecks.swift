import InstructionDecoder
import X86

// ARPL, LAR, LSL, VERR and VERW: what a selector would allow, told by ZF.
extension Core {
  func executeARPL(_ instruction: Instruction) throws(Interruption) {
    guard usesDescriptors else { throw raise(.invalidOpcode) }
    let destination = try readOperand(instruction.operand0, of: instruction, size: 2)
    let source = registerValue(instruction.operand1, size: 2)
    let raises = destination & 3 < source & 3
    if raises {
      try writeOperand(
        instruction.operand0, of: instruction, destination & ~3 | source & 3, size: 2)
    }
    setZero(raises)
  }

  func executeLoadAccessRights(_ instruction: Instruction) throws(Interruption) {
    guard let descriptor = try inspectedDescriptor(instruction), isVisible(descriptor, isLimit: false) else {
      return
    }
    let rights = descriptor.lower >> 32 & 0x00F0_FF00
    setRegister(instruction.operand0.register, rights, size: instruction.operandSize)
    setZero(true)
  }

  func executeLoadLimit(_ instruction: Instruction) throws(Interruption) {
    guard let descriptor = try inspectedDescriptor(instruction), isVisible(descriptor, isLimit: true) else {
      return
    }
    setRegister(
      instruction.operand0.register, UInt64(descriptor.segment.limit), size: instruction.operandSize)
    setZero(true)
  }

  func executeVerify(_ instruction: Instruction, isWrite: Bool) throws(Interruption) {
    guard usesDescriptors else { throw raise(.invalidOpcode) }
    guard let found = try inspectedDescriptor(instruction, operand: instruction.operand0) else { return }
    let rights = found.descriptor.rights
    let isAccessible =
      rights.isConforming || (rights.dpl >= cpl && rights.dpl >= found.selector.rpl)
    setZero(
      rights.isCodeOrData && isAccessible && (isWrite ? rights.isWritable : rights.isReadable))
  }

  private func setZero(_ isSet: Bool) { setFlags(isSet ? .max : 0, mask: RFLAGS.zf.rawValue) }

  /// A selector's descriptor for LAR and LSL, if the privileges allow to look at it; else clears ZF.
  private func inspectedDescriptor(_ instruction: Instruction) throws(Interruption) -> LoadedDescriptor? {
    guard usesDescriptors else { throw raise(.invalidOpcode) }
    guard let found = try inspectedDescriptor(instruction, operand: instruction.operand1) else { return nil }
    let rights = found.descriptor.rights
    let isAccessible =
      rights.isConforming || (rights.dpl >= cpl && rights.dpl >= found.selector.rpl)
    if !isAccessible { setZero(false) }
    return isAccessible ? found.descriptor : nil
  }

  private func inspectedDescriptor(
    _ instruction: Instruction, operand: Operand
  ) throws(Interruption) -> (selector: SegmentSelector, descriptor: LoadedDescriptor)? {
    let value = try readOperand(operand, of: instruction, size: 2)
    let selector = SegmentSelector(rawValue: UInt16(truncatingIfNeeded: value))
    let table = selector.isLocal ? cpu.pointee.ldtr.limit : cpu.pointee.gdtr.limit
    let isUsable = !selector.isLocal || !cpu.pointee.ldtr.rights.isUnusable
    guard !selector.isNull, isUsable, selector.offset &+ 7 <= UInt64(table) else {
      setZero(false)
      return nil
    }
    return (selector, try readDescriptor(selector))
  }

  /// Whether LAR (or LSL) is defined for the descriptor's type; clears ZF if not.
  private func isVisible(_ descriptor: LoadedDescriptor, isLimit: Bool) -> Bool {
    if descriptor.rights.isCodeOrData { return true }
    switch descriptor.systemType {
    case .ldt, .tss32Available, .tss32Busy: return true
    case .tss16Available where !isIA32e, .tss16Busy where !isIA32e: return true
    case .callGate32 where !isLimit: return true
    case .callGate16 where !isLimit && !isIA32e, .taskGate where !isLimit && !isIA32e: return true
    default: break
    }
    setZero(false)
    return false
  }
}
