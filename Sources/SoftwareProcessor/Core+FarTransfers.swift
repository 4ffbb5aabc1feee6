import InstructionDecoder
import VMX
import X86

// Far JMP and CALL (SDM volume 2, "JMP—Jump", "CALL—Call Procedure").
extension Core {
  func executeFarTransfer(_ instruction: Instruction, isCall: Bool) throws(Interruption) {
    let size = instruction.operandSize
    var offset = cut(instruction.immediate, to: size)
    var selector = SegmentSelector(rawValue: instruction.immediate2)
    if instruction.operand0.kind == .memory {
      let base = self.offset(of: instruction)
      offset = try loadSized(instruction.address.segment, base, size: size)
      let above = cut(base &+ UInt64(size), to: instruction.addressSize)
      let value = try loadSized(instruction.address.segment, above, size: 2)
      selector = SegmentSelector(rawValue: UInt16(truncatingIfNeeded: value))
    }
    guard usesDescriptors else {
      return try transferReal(selector, offset, instruction, isCall: isCall)
    }
    guard !selector.isNull else { throw raise(.generalProtection) }
    let descriptor = try readDescriptor(selector)
    if descriptor.rights.isCodeOrData {
      return try transferDirect(selector, descriptor, offset, instruction, isCall: isCall)
    }
    try transferSystem(selector, descriptor, instruction, isCall: isCall)
  }

  private func transferReal(
    _ selector: SegmentSelector, _ offset: UInt64, _ instruction: Instruction, isCall: Bool
  ) throws(Interruption) {
    guard offset <= UInt64(cpu.pointee.cs.limit) else { throw raise(.generalProtection) }
    if isCall {
      var stack = currentStack
      try pushReturn(instruction, size: instruction.operandSize, to: &stack)
      commit(stack)
    }
    cpu.pointee.cs.selector = selector.rawValue
    cpu.pointee.cs.base = UInt64(selector.rawValue) << 4
    rip = offset
    updateMode()
  }

  private func pushReturn(
    _ instruction: Instruction, size: UInt8, to stack: inout StackCursor
  ) throws(Interruption) {
    try push(UInt64(cpu.pointee.cs.selector), size: size, to: &stack)
    try push(next(after: instruction), size: size, to: &stack)
  }

  private func transferDirect(
    _ selector: SegmentSelector, _ descriptor: LoadedDescriptor, _ offset: UInt64,
    _ instruction: Instruction, isCall: Bool
  ) throws(Interruption) {
    let rights = descriptor.rights
    let allowed = rights.isConforming ? rights.dpl <= cpl : selector.rpl <= cpl && rights.dpl == cpl
    guard rights.isCode, allowed else { throw raise(.generalProtection, errorCode: errorCode(selector)) }
    let segment = try codeSegment(selector, descriptor, privilege: cpl, offset: offset)
    if isCall {
      var stack = currentStack
      try pushReturn(instruction, size: instruction.operandSize, to: &stack)
      commit(stack)
    }
    cpu.pointee.cs = segment
    rip = offset
    updateMode()
  }

  /// CS as it is loaded by a transfer to `offset` at `privilege`, after the checks that all transfers share.
  func codeSegment(
    _ selector: SegmentSelector, _ descriptor: LoadedDescriptor, privilege: UInt8, offset: UInt64
  ) throws(Interruption) -> SegmentState {
    var descriptor = descriptor
    let rights = descriptor.rights
    if isIA32e, rights.isLong, rights.isBig {
      throw raise(.generalProtection, errorCode: errorCode(selector))
    }
    guard rights.isPresent else { throw raise(.segmentNotPresent, errorCode: errorCode(selector)) }
    if isIA32e, rights.isLong {
      guard isCanonical(offset) else { throw raise(.generalProtection) }
    } else {
      guard offset <= UInt64(descriptor.segment.limit) else { throw raise(.generalProtection) }
    }
    try setAccessed(&descriptor)
    var segment = SegmentState(selector, descriptor)
    segment.selector = selector.rawValue & ~3 | UInt16(privilege)
    return segment
  }

  // MARK: Gates and task switches

  private func transferSystem(
    _ selector: SegmentSelector, _ descriptor: LoadedDescriptor, _ instruction: Instruction, isCall: Bool
  ) throws(Interruption) {
    let rights = descriptor.rights
    let code = errorCode(selector)
    switch descriptor.systemType {
    case .callGate32,
      .callGate16 where !isIA32e:
      break
    case .taskGate where !isIA32e, .tss16Available where !isIA32e, .tss32Available where !isIA32e: break
    default: throw raise(.generalProtection, errorCode: code)
    }
    guard rights.dpl >= cpl, rights.dpl >= selector.rpl else {
      throw raise(.generalProtection, errorCode: code)
    }
    guard rights.isPresent else { throw raise(.segmentNotPresent, errorCode: code) }
    switch descriptor.systemType {
    case .callGate32, .callGate16:
      try transferThroughGate(selector, descriptor, instruction, isCall: isCall)
    default:
      let target = descriptor.systemType == .taskGate ? descriptor.gate.selector : selector
      throw try taskSwitch(isCall ? .call : .jmp, to: target)
    }
  }

  private func transferThroughGate(
    _ gateSelector: SegmentSelector, _ descriptor: LoadedDescriptor, _ instruction: Instruction,
    isCall: Bool
  ) throws(Interruption) {
    var gate = descriptor.gate
    if isIA32e { gate.upper = try readUpperHalf(gateSelector, descriptor) & 0xFFFF_FFFF }
    let size: UInt8 = isIA32e ? 8 : gate.type == .callGate32 ? 4 : 2
    let selector = gate.selector
    guard !selector.isNull else { throw raise(.generalProtection) }
    let target = try readDescriptor(selector)
    let rights = target.rights
    let code = errorCode(selector)
    let allowed = isCall || rights.isConforming ? rights.dpl <= cpl : rights.dpl == cpl
    guard rights.isCode, allowed else { throw raise(.generalProtection, errorCode: code) }
    if isIA32e, !rights.isLong || rights.isBig { throw raise(.generalProtection, errorCode: code) }
    let privilege = rights.isConforming ? cpl : min(rights.dpl, cpl)
    let offset = cut(gate.offset, to: size)
    let segment = try codeSegment(selector, target, privilege: privilege, offset: offset)
    var stack = currentStack
    if privilege < cpl {
      stack = try gateStack(privilege: privilege)
      try push(UInt64(cpu.pointee.ss.selector), size: size, to: &stack)
      try push(self[.rsp], size: size, to: &stack)
      if !isIA32e { try copyParameters(gate.parameterCount, size: size, to: &stack) }
    }
    if isCall { try pushReturn(instruction, size: size, to: &stack) }
    if privilege < cpl { cpu.pointee.ss = stack.segment }
    cpu.pointee.cs = segment
    cpu.pointee.cpl = privilege
    rip = offset
    commit(stack)
    updateMode()
  }

  private func gateStack(privilege: UInt8) throws(Interruption) -> StackCursor {
    guard isIA32e else { return try innerStack(privilege: privilege, external: 0) }
    let pointer = try stackPointer64(privilege: privilege, stackTable: 0, external: 0)
    var segment = SegmentState.null(SegmentSelector(rawValue: UInt16(privilege)))
    segment.rights.dpl = privilege
    return StackCursor(pointer: pointer, segment: segment, mask: .max, isSystem: true, errorCode: 0)
  }

  private func copyParameters(
    _ count: UInt8, size: UInt8, to stack: inout StackCursor
  ) throws(Interruption) {
    var position = count
    while position > 0 {
      position &-= 1
      var source = currentStack
      source.pointer = (source.pointer &+ UInt64(position) &* UInt64(size)) & source.mask
      try push(try pop(size: size, from: &source), size: size, to: &stack)
    }
  }
}
