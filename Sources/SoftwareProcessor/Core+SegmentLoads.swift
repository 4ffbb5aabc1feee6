import InstructionDecoder
import VMX
import X86

// Loading segment registers.
extension Core {
  /// Loads `register` with `selector`, with the checks of the current mode.
  ///
  /// Source: SDM volume 2, "MOV—Move".
  func loadSegment(_ register: SegmentRegister, _ selector: SegmentSelector) throws(Interruption) {
    guard usesDescriptors else { return loadRealSegment(register, selector) }
    if register == .ss {
      self[.ss] = try stackSegment(selector, privilege: cpl, is64: is64BitMode)
      updateMode()
    } else {
      self[register] = try dataSegment(selector)
    }
  }

  /// Real-address mode and virtual-8086 mode: the base is the selector times 16.
  func loadRealSegment(_ register: SegmentRegister, _ selector: SegmentSelector) {
    var state = self[register]
    state.selector = selector.rawValue
    state.base = UInt64(selector.rawValue) << 4
    if isVirtual8086 {
      state.limit = 0xFFFF
      state.accessRights = 0xF3
    } else if state.rights.isUnusable {
      state.limit = 0xFFFF
      state.accessRights = 0x93
    }
    self[register] = state
    if register == .ss { updateMode() }
  }

  /// The state of DS, ES, FS or GS loaded with `selector`.
  private func dataSegment(_ selector: SegmentSelector) throws(Interruption) -> SegmentState {
    if selector.isNull { return .null(selector) }
    var descriptor = try readDescriptor(selector)
    let rights = descriptor.rights
    guard rights.isCodeOrData, rights.isReadable else {
      throw raise(.generalProtection, errorCode: errorCode(selector))
    }
    if !rights.isConforming, selector.rpl > rights.dpl || cpl > rights.dpl {
      throw raise(.generalProtection, errorCode: errorCode(selector))
    }
    guard rights.isPresent else { throw raise(.segmentNotPresent, errorCode: errorCode(selector)) }
    try setAccessed(&descriptor)
    return SegmentState(selector, descriptor)
  }

  /// The state of SS loaded with `selector` for `privilege`.
  /// - Throws: `fault`, #TS when a TSS names the stack, else #GP; #SS if it is not present.
  func stackSegment(
    _ selector: SegmentSelector, privilege: UInt8, fault: ExceptionVector = .generalProtection,
    external: UInt32 = 0, is64: Bool = false
  ) throws(Interruption) -> SegmentState {
    if selector.isNull {
      // In 64-bit mode below CPL 3 the stack segment may be null.
      guard is64, privilege < 3, selector.rpl == privilege else {
        throw raise(fault, errorCode: external)
      }
      var state = SegmentState.null(selector)
      state.rights.dpl = privilege
      return state
    }
    let code = errorCode(selector, external: external)
    var descriptor = try readDescriptor(selector, fault: fault, external: external)
    let rights = descriptor.rights
    guard selector.rpl == privilege, rights.isWritable, rights.dpl == privilege else {
      throw raise(fault, errorCode: code)
    }
    guard rights.isPresent else { throw raise(.stackSegmentFault, errorCode: code) }
    try setAccessed(&descriptor)
    return SegmentState(selector, descriptor)
  }

  /// MOV to a segment register and POP of one: both block events for one instruction when it is SS.
  func executeMoveToSegment(_ instruction: Instruction) throws(Interruption) {
    guard let register = SegmentRegister(rawValue: instruction.operand0.register), register != .cs else {
      throw raise(.invalidOpcode)
    }
    let selector = try readOperand(instruction.operand1, of: instruction, size: 2)
    try loadSegment(register, SegmentSelector(rawValue: UInt16(truncatingIfNeeded: selector)))
    if register == .ss { blockEvents(.blockingByMOVSS) }
  }

  func executePopSegment(_ instruction: Instruction) throws(Interruption) {
    guard let register = SegmentRegister(rawValue: instruction.operand0.register), register != .cs else {
      throw raise(.invalidOpcode)
    }
    let rsp = self[.rsp]
    let size = OperandSize(instruction.operandSize)
    let selector = try pop(size)
    do throws(Interruption) {
      try loadSegment(register, SegmentSelector(rawValue: UInt16(truncatingIfNeeded: selector)))
    } catch {
      self[.rsp] = rsp
      throw error
    }
    if register == .ss { blockEvents(.blockingByMOVSS) }
  }

  func executeMoveFromSegment(_ instruction: Instruction) throws(Interruption) {
    let selector = segments[Int(min(instruction.operand1.register, 5))].selector
    let size: UInt8 = instruction.operand0.kind == .memory ? 2 : instruction.operandSize
    try writeOperand(instruction.operand0, of: instruction, UInt64(selector), size: size)
  }

  /// LES, LDS, LSS, LFS, LGS.
  func executeLoadFarPointer(_ register: SegmentRegister, _ instruction: Instruction) throws(Interruption) {
    guard instruction.operand1.kind == .memory else { throw raise(.invalidOpcode) }
    let size = instruction.operandSize
    let base = self.offset(of: instruction)
    let offset = try loadSized(instruction.address.segment, base, size: size)
    let above = cut(base &+ UInt64(size), to: instruction.addressSize)
    let selector = try loadSized(instruction.address.segment, above, size: 2)
    try loadSegment(register, SegmentSelector(rawValue: UInt16(truncatingIfNeeded: selector)))
    setRegister(instruction.operand0.register, offset, size: size)
  }

  /// Blocks interrupts for the next instruction.
  func blockEvents(_ blocking: InterruptibilityState) {
    interruptibility.insert(blocking)
    cpu.pointee.freshBlocking = true
  }
}
