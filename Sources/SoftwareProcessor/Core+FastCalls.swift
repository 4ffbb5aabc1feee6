import InstructionDecoder
import X86

// SYSCALL, SYSRET, SYSENTER and SYSEXIT: transfers that load CS and SS with fixed contents.
extension Core {
  /// A flat code segment for privilege level `privilege`, 64-bit or 32-bit.
  private func flatCode(_ selector: UInt64, privilege: UInt8, isLong: Bool) -> SegmentState {
    let rights = SegmentAccessRights(
      type: 0xB, isCodeOrData: true, dpl: privilege, isLong: isLong, isBig: !isLong, isGranular: true)
    return SegmentState(
      selector: UInt16(truncatingIfNeeded: selector) & ~3 | UInt16(privilege),
      accessRights: rights.rawValue, limit: 0xFFFF_FFFF, base: 0)
  }

  private func flatStack(_ selector: UInt64, privilege: UInt8) -> SegmentState {
    let rights = SegmentAccessRights(
      type: 3, isCodeOrData: true, dpl: privilege, isBig: true, isGranular: true)
    return SegmentState(
      selector: UInt16(truncatingIfNeeded: selector) & ~3 | UInt16(privilege),
      accessRights: rights.rawValue, limit: 0xFFFF_FFFF, base: 0)
  }

  private func transfer(to target: UInt64, code: SegmentState, stack: SegmentState, privilege: UInt8) {
    cpu.pointee.cs = code
    cpu.pointee.ss = stack
    cpu.pointee.cpl = privilege
    rip = target
    updateMode()
  }

  func executeSYSCALL(_ instruction: Instruction) throws(Interruption) {
    guard is64BitMode, efer.contains(.sce) else { throw raise(.invalidOpcode) }
    self[.rcx] = next(after: instruction)
    self[.r11] = rflags & ~RFLAGS.rf.rawValue
    let msrs = cpu.pointee.msrs
    setFlags(0, mask: msrs.sfmask & ~2 | RFLAGS.rf.rawValue)
    let selector = msrs.star >> 32 & 0xFFFC
    transfer(
      to: msrs.lstar, code: flatCode(selector, privilege: 0, isLong: true),
      stack: flatStack(selector &+ 8, privilege: 0), privilege: 0)
  }

  func executeSYSRET(_ instruction: Instruction) throws(Interruption) {
    guard is64BitMode, efer.contains(.sce) else { throw raise(.invalidOpcode) }
    try requireCPL0()
    let returnsTo64 = instruction.operandSize == 8
    let target = returnsTo64 ? self[.rcx] : self[.rcx] & 0xFFFF_FFFF
    guard isCanonical(target) else { throw raise(.generalProtection) }
    let kept = RFLAGS([.rf, .vm]).rawValue
    rflags = self[.r11] & RFLAGS.defined.rawValue & ~kept | 2
    let selector = cpu.pointee.msrs.star >> 48
    transfer(
      to: target, code: flatCode(selector &+ (returnsTo64 ? 16 : 0), privilege: 3, isLong: returnsTo64),
      stack: flatStack(selector &+ 8, privilege: 3), privilege: 3)
  }

  func executeSYSENTER() throws(Interruption) {
    let msrs = cpu.pointee.msrs
    guard cr0.contains(.pe), msrs.sysenterCS & 0xFFFC != 0 else { throw raise(.generalProtection) }
    let isLong = isIA32e
    self[.rsp] = isLong ? msrs.sysenterESP : msrs.sysenterESP & 0xFFFF_FFFF
    setFlags(0, mask: RFLAGS([.vm, .if, .rf]).rawValue)
    transfer(
      to: isLong ? msrs.sysenterEIP : msrs.sysenterEIP & 0xFFFF_FFFF,
      code: flatCode(msrs.sysenterCS, privilege: 0, isLong: isLong),
      stack: flatStack(msrs.sysenterCS &+ 8, privilege: 0), privilege: 0)
  }

  func executeSYSEXIT(_ instruction: Instruction) throws(Interruption) {
    let base = cpu.pointee.msrs.sysenterCS
    guard cr0.contains(.pe), base & 0xFFFC != 0, cpl == 0 else { throw raise(.generalProtection) }
    let returnsTo64 = is64BitMode && instruction.operandSize == 8
    var (target, pointer) = (self[.rdx], self[.rcx])
    if returnsTo64 {
      guard isCanonical(target), isCanonical(pointer) else { throw raise(.generalProtection) }
    } else {
      target &= 0xFFFF_FFFF
      pointer &= 0xFFFF_FFFF
    }
    self[.rsp] = pointer
    transfer(
      to: target, code: flatCode(base &+ (returnsTo64 ? 32 : 16), privilege: 3, isLong: returnsTo64),
      stack: flatStack(base &+ (returnsTo64 ? 40 : 24), privilege: 3), privilege: 3)
  }
}
