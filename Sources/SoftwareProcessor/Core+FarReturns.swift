import InstructionDecoder
import VMX
import X86

// Far RET and IRET (SDM volume 2, "RET—Return From Procedure", "IRET/IRETD/IRETQ—Interrupt Return").
extension Core {
  /// RETF, with `released` bytes of parameters to drop.
  func executeFarReturn(_ instruction: Instruction) throws(Interruption) {
    let size = instruction.operandSize
    let released = instruction.operandCount > 0 ? instruction.immediate & 0xFFFF : 0
    var stack = currentStack
    let offset = try pop(size: size, from: &stack)
    let selector = SegmentSelector(
      rawValue: UInt16(truncatingIfNeeded: try pop(size: size, from: &stack)))
    guard usesDescriptors else {
      guard offset <= UInt64(cpu.pointee.cs.limit) else { throw raise(.generalProtection) }
      stack.pointer = (stack.pointer &+ released) & stack.mask
      commit(stack)
      return returnReal(selector, offset)
    }
    let segment = try returnSegment(selector, offset)
    stack.pointer = (stack.pointer &+ released) & stack.mask
    guard selector.rpl > cpl else {
      commit(stack)
      cpu.pointee.cs = segment
      rip = offset
      return updateMode()
    }
    let pointer = try pop(size: size, from: &stack)
    let outer = try outerStack(
      try pop(size: size, from: &stack), pointer: pointer, code: segment, privilege: selector.rpl)
    leave(to: segment, offset, outer, released: released)
  }

  private func returnReal(_ selector: SegmentSelector, _ offset: UInt64) {
    cpu.pointee.cs.selector = selector.rawValue
    cpu.pointee.cs.base = UInt64(selector.rawValue) << 4
    rip = offset
    updateMode()
  }

  /// CS for a return to `selector`, with its checks.
  private func returnSegment(
    _ selector: SegmentSelector, _ offset: UInt64
  ) throws(Interruption) -> SegmentState {
    guard !selector.isNull else { throw raise(.generalProtection) }
    let descriptor = try readDescriptor(selector)
    let rights = descriptor.rights
    let allowed = rights.isConforming ? rights.dpl <= selector.rpl : rights.dpl == selector.rpl
    guard rights.isCode, selector.rpl >= cpl, allowed else {
      throw raise(.generalProtection, errorCode: errorCode(selector))
    }
    return try codeSegment(selector, descriptor, privilege: selector.rpl, offset: offset)
  }

  private func outerStack(
    _ selector: UInt64, pointer: UInt64, code: SegmentState, privilege: UInt8
  ) throws(Interruption) -> StackCursor {
    let is64 = isIA32e && code.rights.isLong
    let selector = SegmentSelector(rawValue: UInt16(truncatingIfNeeded: selector))
    let segment = try stackSegment(selector, privilege: privilege, is64: is64)
    if is64 {
      return StackCursor(pointer: pointer, segment: segment, mask: .max, isSystem: false, errorCode: 0)
    }
    return stack(segment, pointer: pointer, isSystem: false)
  }

  /// Changes the registers for a return to an outer privilege level.
  private func leave(to segment: SegmentState, _ offset: UInt64, _ stack: StackCursor, released: UInt64 = 0) {
    var stack = stack
    stack.pointer = (stack.pointer &+ released) & stack.mask
    cpu.pointee.cs = segment
    cpu.pointee.ss = stack.segment
    let privilege = UInt8(truncatingIfNeeded: segment.selector & 3)
    if privilege > cpl {
      cpu.pointee.cpl = privilege
      nullInaccessibleSegments()
    }
    rip = offset
    commit(stack)
    updateMode()
  }

  /// Makes null the data segment registers that the new CPL may not use. Their bases stay, as processors have it: in
  /// 64-bit mode FS and GS are used with them all the same.
  private func nullInaccessibleSegments() {
    for register in [SegmentRegister.es, .ds, .fs, .gs] {
      let segment = self[register]
      guard !segment.rights.isUnusable, !segment.rights.isConforming, segment.rights.dpl < cpl else {
        continue
      }
      var null = SegmentState.null(SegmentSelector(rawValue: 0))
      null.base = segment.base
      self[register] = null
    }
  }

  // MARK: IRET

  func executeInterruptReturn(_ instruction: Instruction) throws(Interruption) {
    unblockNMIs()
    if usesDescriptors {
      try returnProtected(size: instruction.operandSize)
    } else {
      try returnInterruptReal(size: instruction.operandSize)
    }
    cpu.pointee.unblockedNMIs = false
    cpu.pointee.freshResumeFlag = true
  }

  /// IRET ends the blocking by NMI even if it faults or exits. With virtual NMIs it is the virtual blocking that ends;
  /// with NMI exiting alone IRET changes nothing.
  ///
  /// Source: SDM volume 3, "Handling Multiple NMIs"; "Information About NMI Unblocking Due to IRET".
  private func unblockNMIs() {
    let pin = nonRoot.pointee.pinBased
    guard !pin.contains(.nmiExiting) || pin.contains(.virtualNMIs) else { return }
    cpu.pointee.unblockedNMIs = interruptibility.contains(.blockingByNMI)
    interruptibility.remove(.blockingByNMI)
  }

  private func returnInterruptReal(size: UInt8) throws(Interruption) {
    let isVirtual = try usesVirtualFlags(size: size)
    var stack = currentStack
    let offset = try pop(size: size, from: &stack)
    let selector = try pop(size: size, from: &stack)
    let flags = try pop(size: size, from: &stack)
    guard offset <= UInt64(cpu.pointee.cs.limit) else { throw raise(.generalProtection) }
    if isVirtual { try setVirtualFlags(flags) } else { setReturnedFlags(flags, size: size) }
    commit(stack)
    returnReal(SegmentSelector(rawValue: UInt16(truncatingIfNeeded: selector)), offset)
  }

  private func returnProtected(size: UInt8) throws(Interruption) {
    if systemFlags.contains(.nt) {
      guard !isIA32e else { throw raise(.generalProtection) }
      throw try taskSwitch(.iret, to: try previousTask())
    }
    var stack = currentStack
    let offset = try pop(size: size, from: &stack)
    let selector = SegmentSelector(
      rawValue: UInt16(truncatingIfNeeded: try pop(size: size, from: &stack)))
    let flags = try pop(size: size, from: &stack)
    if !isIA32e, size == 4, cpl == 0, RFLAGS(rawValue: flags).contains(.vm) {
      return try returnToVirtual8086(selector, offset, flags, stack)
    }
    let segment = try returnSegment(selector, offset)
    guard is64BitMode || selector.rpl > cpl else {
      commit(stack)
      cpu.pointee.cs = segment
      rip = offset
      setReturnedFlags(flags, size: size)
      return updateMode()
    }
    let pointer = try pop(size: size, from: &stack)
    let outer = try outerStack(
      try pop(size: size, from: &stack), pointer: pointer, code: segment, privilege: selector.rpl)
    setReturnedFlags(flags, size: size)
    leave(to: segment, offset, outer)
  }

  private func returnToVirtual8086(
    _ selector: SegmentSelector, _ offset: UInt64, _ flags: UInt64, _ stack: StackCursor
  ) throws(Interruption) {
    var stack = stack
    let pointer = try pop(size: 4, from: &stack)
    var selectors: (UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0)
    selectors.0 = try pop(size: 4, from: &stack)
    selectors.1 = try pop(size: 4, from: &stack)
    selectors.2 = try pop(size: 4, from: &stack)
    selectors.3 = try pop(size: 4, from: &stack)
    selectors.4 = try pop(size: 4, from: &stack)
    rflags = flags & RFLAGS.defined.rawValue | 2
    cpu.pointee.cpl = 3
    loadRealSegment(.cs, SegmentSelector(rawValue: selector.rawValue))
    loadRealSegment(.ss, SegmentSelector(rawValue: UInt16(truncatingIfNeeded: selectors.0)))
    loadRealSegment(.es, SegmentSelector(rawValue: UInt16(truncatingIfNeeded: selectors.1)))
    loadRealSegment(.ds, SegmentSelector(rawValue: UInt16(truncatingIfNeeded: selectors.2)))
    loadRealSegment(.fs, SegmentSelector(rawValue: UInt16(truncatingIfNeeded: selectors.3)))
    loadRealSegment(.gs, SegmentSelector(rawValue: UInt16(truncatingIfNeeded: selectors.4)))
    rip = offset & 0xFFFF
    self[.rsp] = pointer
    updateMode()
  }

  /// Loads RFLAGS from an image popped by IRET, as far as the CPL and IOPL let it.
  private func setReturnedFlags(_ image: UInt64, size: UInt8) {
    var mask = RFLAGS([.cf, .pf, .af, .zf, .sf, .tf, .df, .of, .nt]).rawValue
    if size > 2 { mask |= RFLAGS([.rf, .ac, .id]).rawValue }
    if cpl <= iopl || !cr0.contains(.pe) { mask |= RFLAGS.if.rawValue }
    if cpl == 0 {
      mask |= 0x3000
      if size > 2 { mask |= RFLAGS([.vif, .vip]).rawValue }
    }
    setFlags(image, mask: mask)
  }
}
