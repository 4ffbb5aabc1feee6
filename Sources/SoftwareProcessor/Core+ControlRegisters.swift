import InstructionDecoder
import VMX
import X86

// MOV to and from CR0, CR3, CR4 and CR8, CLTS, LMSW and SMSW, with the intercepts and the guest/host masks of VMX
// non-root operation (SDM volume 3, "Changes to Instruction Behavior in VMX Non-Root Operation").
extension Core {
  func executeMoveToControl(_ instruction: Instruction) throws(Interruption) {
    try requireCPL0()
    let number = instruction.operand0.register
    let value = registerValue(instruction.operand1, size: is64BitMode ? 8 : 4)
    if interceptsWrite(number, value) {
      throw controlExit(.movToCR, number, instruction.operand1)
    }
    switch number {
    case 0: try writeCR0(merged(value, actual: cpu.pointee.cr0, mask: .cr0GuestHostMask))
    case 2: cpu.pointee.registers.cr2 = value
    case 3: try writeCR3(value)
    case 4: try writeCR4(merged(value, actual: cpu.pointee.cr4, mask: .cr4GuestHostMask))
    case 8:
      guard value <= 0xF else { throw raise(.generalProtection) }
      if usesTPRShadow { writeVirtualCR8(value) } else { cpu.pointee.cr8 = value }
    default: throw raise(.invalidOpcode)
    }
  }

  func executeMoveFromControl(_ instruction: Instruction) throws(Interruption) {
    try requireCPL0()
    let number = instruction.operand1.register
    let primary = nonRoot.pointee.primary
    if (number == 3 && primary.contains(.cr3StoreExiting))
      || (number == 8 && primary.contains(.cr8StoreExiting))
    {
      throw controlExit(.movFromCR, number, instruction.operand0)
    }
    let value: UInt64
    switch number {
    case 0: value = visibleCR0
    case 2: value = cpu.pointee.registers.cr2
    case 3: value = cpu.pointee.cr3
    case 4: value = visible(cpu.pointee.cr4, mask: .cr4GuestHostMask, shadow: .cr4ReadShadow)
    case 8: value = visibleCR8
    default: throw raise(.invalidOpcode)
    }
    setRegister(instruction.operand0.register, value, size: is64BitMode ? 8 : 4)
  }

  private func interceptsWrite(_ number: UInt8, _ value: UInt64) -> Bool {
    switch number {
    case 0: (value ^ vmcs[.cr0ReadShadow]) & vmcs[.cr0GuestHostMask] != 0
    case 3: nonRoot.pointee.primary.contains(.cr3LoadExiting) && !isCR3Target(value)
    case 4: (value ^ vmcs[.cr4ReadShadow]) & vmcs[.cr4GuestHostMask] != 0
    case 8: nonRoot.pointee.primary.contains(.cr8LoadExiting)
    default: false
    }
  }

  private func isCR3Target(_ value: UInt64) -> Bool {
    let count = vmcs[.cr3TargetCount]
    return (count > 0 && value == vmcs[.cr3Target0]) || (count > 1 && value == vmcs[.cr3Target1])
      || (count > 2 && value == vmcs[.cr3Target2]) || (count > 3 && value == vmcs[.cr3Target3])
  }

  private func controlExit(
    _ access: ControlRegisterQualification.Access, _ number: UInt8, _ operand: Operand
  ) -> Interruption {
    let register = GeneralRegister(number: UInt64(operand.register))
    let qualification = ControlRegisterQualification(access, number: number, register: register)
    return vmExit(.controlRegisterAccess, qualification: qualification.rawValue)
  }

  /// What a write that causes no exit leaves in the register: bits owned by the host stay.
  private func merged(_ value: UInt64, actual: UInt64, mask: VMCSField) -> UInt64 {
    value & ~vmcs[mask] | actual & vmcs[mask]
  }

  /// What a read sees: bits owned by the host come from the read shadow.
  private func visible(_ actual: UInt64, mask: VMCSField, shadow: VMCSField) -> UInt64 {
    actual & ~vmcs[mask] | vmcs[shadow] & vmcs[mask]
  }

  private var visibleCR0: UInt64 {
    visible(cpu.pointee.cr0, mask: .cr0GuestHostMask, shadow: .cr0ReadShadow)
  }

  // MARK: CLTS, LMSW, SMSW

  func executeClearTaskSwitched() throws(Interruption) {
    try requireCPL0()
    let taskSwitched = CR0.ts.rawValue
    if vmcs[.cr0GuestHostMask] & taskSwitched != 0 {
      guard vmcs[.cr0ReadShadow] & taskSwitched == 0 else {
        throw vmExit(.controlRegisterAccess, qualification: ControlRegisterQualification.clts.rawValue)
      }
      return
    }
    cpu.pointee.cr0 &= ~taskSwitched
  }

  func executeLoadMachineStatus(_ instruction: Instruction) throws(Interruption) {
    try requireCPL0()
    let source = try readOperand(instruction.operand0, of: instruction, size: 2)
    let mask = vmcs[.cr0GuestHostMask]
    let shadow = vmcs[.cr0ReadShadow]
    // LMSW cannot clear PE, so clearing it in the source changes nothing that could be intercepted.
    let changes = (source ^ shadow) & mask & 0xE | source & ~shadow & mask & 1
    guard changes == 0 else {
      let qualification = ControlRegisterQualification.lmsw(
        source: UInt16(truncatingIfNeeded: source), fromMemory: instruction.operand0.kind == .memory)
      let exit = vmExit(.controlRegisterAccess, qualification: qualification.rawValue)
      if instruction.operand0.kind == .memory {
        cpu.pointee.pending.guestLinearAddress = try linearAddress(
          instruction.address.segment, offset(of: instruction), count: 2, access: .read)
      }
      throw exit
    }
    let writable = 0xF & ~mask
    let value = cpu.pointee.cr0 & ~writable | source & writable | cpu.pointee.cr0 & 1
    try writeCR0(value)
  }

  func executeStoreMachineStatus(_ instruction: Instruction) throws(Interruption) {
    if cr4.contains(.umip) { try requireCPL0() }
    let size: UInt8 = instruction.operand0.kind == .memory ? 2 : instruction.operandSize
    try writeOperand(instruction.operand0, of: instruction, visibleCR0, size: size)
  }

  // MARK: The registers themselves

  /// Writes CR0 with the checks of MOV to CR0, entering or leaving IA-32e mode with paging.
  func writeCR0(_ value: UInt64) throws(Interruption) {
    let new = CR0(rawValue: value & CR0.implemented.rawValue | CR0.et.rawValue)
    let old = cr0
    guard value >> 32 == 0, !new.contains(.pg) || new.contains(.pe), !new.contains(.nw) || new.contains(.cd)
    else { throw raise(.generalProtection) }
    var fixed = SoftwareCPU.capabilities.cr0Fixed0
    if nonRoot.pointee.secondary.contains(.unrestrictedGuest) { fixed &= ~CR0([.pe, .pg]).rawValue }
    guard new.rawValue & fixed == fixed else { throw raise(.generalProtection) }
    if new.contains(.pg), !old.contains(.pg) { try enablePaging() }
    if !new.contains(.pg), old.contains(.pg) { try disablePaging() }
    if !new.contains(.wp), cr4.contains(.cet) { throw raise(.generalProtection) }
    cpu.pointee.cr0 = new.rawValue
    if new.symmetricDifference(old).intersection([.pg, .pe]) != [] {
      forgetTranslations(eptPointer: nonRoot.pointee.eptPointer, vpid: nonRoot.pointee.vpid)
    }
    updateMode()
  }

  private func enablePaging() throws(Interruption) {
    if efer.contains(.lme) {
      guard cr4.contains(.pae), !cpu.pointee.cs.rights.isLong else { throw raise(.generalProtection) }
      cpu.pointee.efer |= EFER.lma.rawValue
    } else if cr4.contains(.pae) {
      try loadPDPTEs(cr3: cpu.pointee.cr3)
    }
  }

  private func disablePaging() throws(Interruption) {
    guard !is64BitMode, !cr4.contains(.pcide) else { throw raise(.generalProtection) }
    cpu.pointee.efer &= ~EFER.lma.rawValue
  }

  func writeCR3(_ value: UInt64) throws(Interruption) {
    var value = value
    var keepsTranslations = false
    if cr4.contains(.pcide) {
      keepsTranslations = value >> 63 != 0
      value &= ~(1 << 63)
    }
    if isIA32e {
      guard value >> UInt64(Self.physicalAddressWidth) == 0 else { throw raise(.generalProtection) }
    } else if cr0.contains(.pg), cr4.contains(.pae) {
      try loadPDPTEs(cr3: value)
    }
    cpu.pointee.cr3 = value
    if !keepsTranslations {
      let pcid = cr4.contains(.pcide) ? UInt16(truncatingIfNeeded: value & 0xFFF) : 0
      forgetTranslations(eptPointer: nonRoot.pointee.eptPointer, vpid: nonRoot.pointee.vpid, pcid: pcid)
    }
    updateMode()
  }

  func writeCR4(_ value: UInt64) throws(Interruption) {
    let capability = SoftwareCPU.capabilities.cr4
    guard capability.permits(value) else { throw raise(.generalProtection) }
    let new = CR4(rawValue: value)
    let old = cr4
    if isIA32e, !new.contains(.pae) { throw raise(.generalProtection) }
    if new.contains(.pcide), !old.contains(.pcide) {
      guard isIA32e, cpu.pointee.cr3 & 0xFFF == 0 else { throw raise(.generalProtection) }
    }
    let paging: CR4 = [.pse, .pae, .pge, .smep, .smap, .pcide]
    let changed = new.symmetricDifference(old).intersection(paging)
    if changed != [], cr0.contains(.pg), new.contains(.pae), !isIA32e {
      try loadPDPTEs(cr3: cpu.pointee.cr3)
    }
    cpu.pointee.cr4 = value
    if changed != [] {
      forgetTranslations(eptPointer: nonRoot.pointee.eptPointer, vpid: nonRoot.pointee.vpid)
    }
    updateMode()
  }
}

extension CR0 {
  /// The bits that are not reserved.
  static var implemented: CR0 { [.pe, .mp, .em, .ts, .et, .ne, .wp, .am, .nw, .cd, .pg] }
}
