import VMX
import X86

// RDMSR and WRMSR, and the MSRs themselves.
extension Core {
  func executeReadMSR() throws(Interruption) {
    try requireCPL0()
    let index = UInt32(truncatingIfNeeded: self[.rcx])
    if interceptsMSR(index, isWrite: false) { throw vmExit(.rdmsr) }
    guard let value = readVirtualMSR(index) ?? readMSR(index) else { throw raise(.generalProtection) }
    self[.rax] = value & 0xFFFF_FFFF
    self[.rdx] = value >> 32
  }

  func executeWriteMSR() throws(Interruption) {
    try requireCPL0()
    let index = UInt32(truncatingIfNeeded: self[.rcx])
    if interceptsMSR(index, isWrite: true) { throw vmExit(.wrmsr) }
    let value = self[.rax] & 0xFFFF_FFFF | self[.rdx] << 32
    if try writeVirtualMSR(index, value) { return }
    guard writeMSR(index, value) else { throw raise(.generalProtection) }
    updateMode()
  }

  private func interceptsMSR(_ index: UInt32, isWrite: Bool) -> Bool {
    guard nonRoot.pointee.primary.contains(.useMSRBitmaps),
      let position = MSRBitmap.position(of: index, isWrite: isWrite)
    else { return true }
    return testBit(position, in: .msrBitmap)
  }

  /// The bit of the bitmap whose address `field` holds.
  func testBit(_ position: BitmapPosition, in field: VMCSField) -> Bool {
    loadPhysical(vmcs[field] &+ position.offset, as: UInt8.self) & position.mask != 0
  }

  /// The value of an MSR as RDMSR reads it in VMX non-root operation, or nil if there is no such MSR.
  func readMSR(_ index: UInt32) -> UInt64? {
    let msrs = cpu.pointee.msrs
    switch ModelSpecificRegister(rawValue: index) {
    case .timeStampCounter: return timeStampCounter
    case .tscAdjust: return msrs.tscAdjust
    case .sysenterCS: return msrs.sysenterCS
    case .sysenterESP: return msrs.sysenterESP
    case .sysenterEIP: return msrs.sysenterEIP
    case .debugCtl: return msrs.debugControl
    case .pat: return msrs.pat
    case .efer: return cpu.pointee.efer
    case .star: return msrs.star
    case .lstar: return msrs.lstar
    case .cstar: return msrs.cstar
    case .fmask: return msrs.sfmask
    case .fsBase: return cpu.pointee.fs.base
    case .gsBase: return cpu.pointee.gs.base
    case .kernelGSBase: return msrs.kernelGSBase
    case .tscAux: return msrs.tscAux
    case .xss: return msrs.xss
    case .umwaitControl where hasUserWait: return msrs.umwaitControl
    default: return nil
    }
  }

  /// Writes an MSR as WRMSR does in VMX non-root operation; false if that is not possible.
  ///
  /// The caller follows it with ``updateMode()``.
  func writeMSR(_ index: UInt32, _ value: UInt64) -> Bool {
    let register = ModelSpecificRegister(rawValue: index)
    switch register {
    case .timeStampCounter: cpu.pointee.msrs.tscAdjust &+= value &- timeStampCounter
    case .tscAdjust: cpu.pointee.msrs.tscAdjust = value
    case .sysenterCS: cpu.pointee.msrs.sysenterCS = value & 0xFFFF_FFFF
    case .debugCtl:
      guard value & ~3 == 0 else { return false }
      cpu.pointee.msrs.debugControl = value
    case .pat:
      guard MemoryType.isValidPAT(value) else { return false }
      cpu.pointee.msrs.pat = value
    case .efer: return writeEFER(value)
    case .star: cpu.pointee.msrs.star = value
    case .fmask:
      guard value >> 32 == 0 else { return false }
      cpu.pointee.msrs.sfmask = value
    case .tscAux:
      guard value >> 32 == 0 else { return false }
      cpu.pointee.msrs.tscAux = value
    case .xss:
      guard value & ~ExtendedStateComponent.supervisor == 0 else { return false }
      cpu.pointee.msrs.xss = value
    case .umwaitControl:
      guard hasUserWait, UMWAITControl(rawValue: value).isValid else { return false }
      cpu.pointee.msrs.umwaitControl = value
    default: return writeAddressMSR(register, value)
    }
    return true
  }

  private var hasUserWait: Bool { !cpu.pointee.missingFeatures.extendedECX.contains(.waitpkg) }

  /// Writes one of the MSRs that hold a linear address, which must be canonical.
  private func writeAddressMSR(_ register: ModelSpecificRegister, _ value: UInt64) -> Bool {
    guard X86.AddressForm.isCanonical(value) else { return false }
    switch register {
    case .sysenterESP: cpu.pointee.msrs.sysenterESP = value
    case .sysenterEIP: cpu.pointee.msrs.sysenterEIP = value
    case .lstar: cpu.pointee.msrs.lstar = value
    case .cstar: cpu.pointee.msrs.cstar = value
    case .fsBase: cpu.pointee.fs.base = value
    case .gsBase: cpu.pointee.gs.base = value
    case .kernelGSBase: cpu.pointee.msrs.kernelGSBase = value
    default: return false
    }
    return true
  }

  private func writeEFER(_ value: UInt64) -> Bool {
    let new = EFER(rawValue: value)
    guard new.isSubset(of: .defined) else { return false }
    if cr0.contains(.pg), new.contains(.lme) != efer.contains(.lme) { return false }
    cpu.pointee.efer = value & ~EFER.lma.rawValue | cpu.pointee.efer & EFER.lma.rawValue
    return true
  }
}
