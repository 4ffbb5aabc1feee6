import InstructionDecoder
import VMX
import X86

// VMX instructions in VMX non-root operation: VM exits, but for VMREAD and VMWRITE under VMCS shadowing.
extension Core {
  /// #UD where VMX instructions are not recognised: real-address, virtual-8086 and compatibility mode.
  private func requireVMXMode() throws(Interruption) {
    guard usesDescriptors, !isIA32e || is64BitMode else { throw raise(.invalidOpcode) }
  }

  /// VMXOFF, VMLAUNCH, VMRESUME.
  func executeVMX(_ reason: ExitReason) throws(Interruption) {
    try requireVMXMode()
    throw vmExit(reason)
  }

  /// VMXON, VMCLEAR, VMPTRLD, VMPTRST: one memory operand.
  func executeVMXMemory(_ reason: ExitReason, _ instruction: Instruction) throws(Interruption) {
    try requireVMXMode()
    throw vmExit(
      reason, qualification: displacement(instruction, instruction.operand0),
      information: operandInformation(instruction, instruction.operand0))
  }

  /// INVEPT, INVVPID and INVPCID: a register and a memory operand.
  func invalidationExit(_ reason: ExitReason, _ instruction: Instruction) -> Interruption {
    let register = GeneralRegister(number: UInt64(instruction.operand0.register))
    let information = operandInformation(instruction, instruction.operand1)
    return vmExit(
      reason, qualification: displacement(instruction, instruction.operand1),
      information: information.withSecondRegister(register))
  }

  func executeVMXInvalidation(_ reason: ExitReason, _ instruction: Instruction) throws(Interruption) {
    try requireVMXMode()
    throw invalidationExit(reason, instruction)
  }

  /// VMFUNC: this processor has no VM function of its own, so that each is one that causes a VM exit.
  ///
  /// Source: SDM volume 3, "General Operation of the VMFUNC Instruction".
  func executeVMFUNC() throws(Interruption) {
    guard nonRoot.pointee.secondary.contains(.enableVMFunctions), self[.rax] & 0xFFFF_FFFF < 64 else {
      throw raise(.invalidOpcode)
    }
    throw vmExit(.vmfunc)
  }

  func executeVMREAD(_ instruction: Instruction) throws(Interruption) {
    try requireVMXMode()
    let size: UInt8 = is64BitMode ? 8 : 4
    let encoding = registerValue(instruction.operand1, size: size)
    if interceptsShadow(encoding, bitmap: .vmreadBitmap) {
      throw fieldExit(.vmread, instruction, field: instruction.operand1, value: instruction.operand0)
    }
    try requireCPL0()
    guard let shadow = shadowVMCS else { return failInvalid() }
    guard let field = VMCSField(operand: encoding) else {
      return fail(.unsupportedComponent)
    }
    let value = field.isHighAccess ? shadow[field.full] >> 32 : shadow[field]
    try writeOperand(instruction.operand0, of: instruction, value, size: size)
    cpu.pointee.machine.clock.pointee.shadowReads &+= 1
    cpu.pointee.machine.clock.pointee.cycles &+= cpu.pointee.machine.clock.pointee.shadowReadCycles
    succeed()
  }

  func executeVMWRITE(_ instruction: Instruction) throws(Interruption) {
    try requireVMXMode()
    let size: UInt8 = is64BitMode ? 8 : 4
    let encoding = registerValue(instruction.operand0, size: size)
    if interceptsShadow(encoding, bitmap: .vmwriteBitmap) {
      throw fieldExit(.vmwrite, instruction, field: instruction.operand0, value: instruction.operand1)
    }
    try requireCPL0()
    guard let shadow = shadowVMCS else { return failInvalid() }
    let value = try readOperand(instruction.operand1, of: instruction, size: size)
    guard let field = VMCSField(operand: encoding) else {
      return fail(.unsupportedComponent)
    }
    if field.isHighAccess {
      shadow[field.full] = shadow[field.full] & 0xFFFF_FFFF | value << 32
    } else {
      shadow[field] = value
    }
    cpu.pointee.machine.clock.pointee.shadowWrites &+= 1
    cpu.pointee.machine.clock.pointee.cycles &+= cpu.pointee.machine.clock.pointee.shadowWriteCycles
    succeed()
  }

  /// Whether VMREAD or VMWRITE of `encoding` exits: without VMCS shadowing, or where the bitmap says so.
  private func interceptsShadow(_ encoding: UInt64, bitmap: VMCSField) -> Bool {
    guard nonRoot.pointee.secondary.contains(.vmcsShadowing),
      let position = VMCSShadowingBitmap.position(of: encoding)
    else { return true }
    return testBit(position, in: bitmap)
  }

  private func fieldExit(
    _ reason: ExitReason, _ instruction: Instruction, field: Operand, value: Operand
  ) -> Interruption {
    let register = GeneralRegister(number: UInt64(field.register))
    return vmExit(
      reason, qualification: displacement(instruction, value),
      information: operandInformation(instruction, value).withSecondRegister(register))
  }

  /// The shadow VMCS that the link pointer references, or nil without one.
  private var shadowVMCS: VMCS? {
    let pointer = vmcs[.vmcsLinkPointer]
    guard pointer != .max, pointer & 0xFFF == 0, let region = ramPointer(pointer, count: VMCS.size) else {
      return nil
    }
    return VMCS(region: region)
  }

  // MARK: Results (SDM volume 3, "Conventions" of "VMX Instruction Reference")

  private func succeed() { setFlags(0, mask: RFLAGS.status.rawValue) }

  private func failInvalid() { setFlags(RFLAGS.cf.rawValue, mask: RFLAGS.status.rawValue) }

  /// The error is for the current VMCS, whose guest executed the instruction, and not for the shadow VMCS.
  private func fail(_ error: VMInstructionError) {
    vmcs[.vmInstructionError] = UInt64(error.rawValue)
    setFlags(RFLAGS.zf.rawValue, mask: RFLAGS.status.rawValue)
  }
}
