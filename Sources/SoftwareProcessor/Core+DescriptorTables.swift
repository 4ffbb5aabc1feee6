import InstructionDecoder
import VMX
import X86

// LGDT, LIDT, SGDT, SIDT, LLDT, LTR, SLDT and STR.
extension Core {
  /// LGDT and LIDT.
  func executeLoadTable(_ identity: GDTROrIDTRInstruction, _ instruction: Instruction) throws(Interruption) {
    try requireCPL0()
    try exitOnTable(identity, instruction)
    let segment = instruction.address.segment
    let offset = self.offset(of: instruction)
    let limit = try loadSized(segment, offset, size: 2)
    let above = cut(offset &+ 2, to: instruction.addressSize)
    var base = try loadSized(segment, above, size: is64BitMode ? 8 : 4)
    if !is64BitMode, instruction.operandSize == 2 { base &= 0xFF_FFFF }
    guard isCanonical(base) else { throw raise(.generalProtection) }
    let table = DescriptorTableState(base: base, limit: UInt32(truncatingIfNeeded: limit))
    if identity == .lgdt { cpu.pointee.gdtr = table } else { cpu.pointee.idtr = table }
  }

  /// SGDT and SIDT.
  func executeStoreTable(_ identity: GDTROrIDTRInstruction, _ instruction: Instruction) throws(Interruption) {
    if cr4.contains(.umip), cpl > 0 { throw raise(.generalProtection) }
    try exitOnTable(identity, instruction)
    let table = identity == .sgdt ? cpu.pointee.gdtr : cpu.pointee.idtr
    let segment = instruction.address.segment
    let offset = self.offset(of: instruction)
    let size: UInt8 = is64BitMode ? 8 : 4
    let first = try linearAddress(segment, offset, count: Int(size) &+ 2, access: .write)
    try checkWrite(first, count: Int(size) &+ 2, stack: segment == .ss)
    try storeSized(UInt64(table.limit), segment, offset, size: 2)
    try storeSized(table.base, segment, cut(offset &+ 2, to: instruction.addressSize), size: size)
  }

  private func exitOnTable(
    _ identity: GDTROrIDTRInstruction, _ instruction: Instruction
  ) throws(Interruption) {
    guard nonRoot.pointee.secondary.contains(.descriptorTableExiting) else { return }
    let information = operandInformation(instruction, instruction.operand0).withIdentity(
      identity.rawValue, isOperand32Bit: !is64BitMode && instruction.operandSize == 4)
    throw vmExit(
      .gdtrOrIDTRAccess, qualification: displacement(instruction, instruction.operand0),
      information: information)
  }

  private func exitOnSelector(
    _ identity: LDTROrTRInstruction, _ instruction: Instruction
  ) throws(Interruption) {
    guard nonRoot.pointee.secondary.contains(.descriptorTableExiting) else { return }
    let information = operandInformation(instruction, instruction.operand0).withIdentity(identity.rawValue)
    throw vmExit(
      .ldtrOrTRAccess, qualification: displacement(instruction, instruction.operand0),
      information: information)
  }

  func executeLLDT(_ instruction: Instruction) throws(Interruption) {
    guard usesDescriptors else { throw raise(.invalidOpcode) }
    try requireCPL0()
    try exitOnSelector(.lldt, instruction)
    let selector = SegmentSelector(
      rawValue: UInt16(truncatingIfNeeded: try readOperand(instruction.operand0, of: instruction, size: 2)))
    guard !selector.isNull else {
      cpu.pointee.ldtr = .null(selector)
      return
    }
    cpu.pointee.ldtr = try systemSegment(selector) { $0 == .ldt }.state
  }

  func executeLTR(_ instruction: Instruction) throws(Interruption) {
    guard usesDescriptors else { throw raise(.invalidOpcode) }
    try requireCPL0()
    try exitOnSelector(.ltr, instruction)
    let selector = SegmentSelector(
      rawValue: UInt16(truncatingIfNeeded: try readOperand(instruction.operand0, of: instruction, size: 2)))
    guard !selector.isNull else { throw raise(.generalProtection) }
    let allows16 = !isIA32e
    var segment = try systemSegment(selector) { type in
      type == .tss32Available || (type == .tss16Available && allows16)
    }
    // The busy flag.
    segment.state.accessRights |= 2
    try storeSystem(
      UInt8(truncatingIfNeeded: segment.state.accessRights), at: systemAddress(segment.address, 5))
    cpu.pointee.tr = segment.state
  }

  /// LDTR or TR as loaded from a GDT descriptor of a type that is `allowed`, and where that is.
  private func systemSegment(
    _ selector: SegmentSelector, _ allowed: (SystemSegmentType) -> Bool
  ) throws(Interruption) -> (state: SegmentState, address: UInt64) {
    let code = errorCode(selector)
    guard !selector.isLocal else { throw raise(.generalProtection, errorCode: code) }
    let descriptor = try readDescriptor(selector)
    guard let type = descriptor.systemType, allowed(type) else {
      throw raise(.generalProtection, errorCode: code)
    }
    guard descriptor.rights.isPresent else { throw raise(.segmentNotPresent, errorCode: code) }
    var state = SegmentState(selector, descriptor)
    if isIA32e {
      state.base = descriptor.segment.base(upper: try readUpperHalf(selector, descriptor) & 0xFFFF_FFFF)
      guard isCanonical(state.base) else { throw raise(.generalProtection, errorCode: code) }
    }
    return (state, descriptor.address)
  }

  /// SLDT and STR.
  func executeStoreSelector(_ identity: LDTROrTRInstruction, _ instruction: Instruction) throws(Interruption)
  {
    guard usesDescriptors else { throw raise(.invalidOpcode) }
    if cr4.contains(.umip), cpl > 0 { throw raise(.generalProtection) }
    try exitOnSelector(identity, instruction)
    let selector = identity == .sldt ? cpu.pointee.ldtr.selector : cpu.pointee.tr.selector
    let size: UInt8 = instruction.operand0.kind == .memory ? 2 : instruction.operandSize
    try writeOperand(instruction.operand0, of: instruction, UInt64(selector), size: size)
  }
}
