import InstructionDecoder
import VMX
import X86

// INVLPG and INVPCID; SWAPGS and the instructions that read and write the bases of FS and GS.
extension Core {
  func executeINVLPG(_ instruction: Instruction) throws(Interruption) {
    try requireCPL0()
    guard instruction.operand0.kind == .memory else { throw raise(.invalidOpcode) }
    let linear = flatAddress(instruction.address.segment, offset(of: instruction))
    if nonRoot.pointee.primary.contains(.invlpgExiting) {
      throw vmExit(.invlpg, qualification: linear)
    }
    guard isCanonical(linear) else { return }
    forgetTranslation(of: linear)
  }

  func executeINVPCID(_ instruction: Instruction) throws(Interruption) {
    guard nonRoot.pointee.secondary.contains(.enableINVPCID), !isVirtual8086 else {
      throw raise(.invalidOpcode)
    }
    try requireCPL0()
    if nonRoot.pointee.primary.contains(.invlpgExiting) {
      throw invalidationExit(.invpcid, instruction)
    }
    let segment = instruction.address.segment
    let offset = self.offset(of: instruction)
    let descriptor = try loadSized(segment, offset, size: 8)
    let linear = try loadSized(segment, cut(offset &+ 8, to: instruction.addressSize), size: 8)
    let type = registerValue(instruction.operand0, size: is64BitMode ? 8 : 4)
    guard type <= 3, descriptor >> 12 == 0 else { throw raise(.generalProtection) }
    if type < 2, !cr4.contains(.pcide), descriptor & 0xFFF != 0 { throw raise(.generalProtection) }
    switch type {
    case 0:
      guard isCanonical(linear) else { throw raise(.generalProtection) }
      forgetTranslation(of: linear)
    case 1:
      forgetTranslations(
        eptPointer: nonRoot.pointee.eptPointer, vpid: nonRoot.pointee.vpid,
        pcid: UInt16(truncatingIfNeeded: descriptor & 0xFFF))
    default: forgetTranslations(eptPointer: nonRoot.pointee.eptPointer, vpid: nonRoot.pointee.vpid)
    }
  }

  func executeSWAPGS() throws(Interruption) {
    guard is64BitMode else { throw raise(.invalidOpcode) }
    try requireCPL0()
    let base = cpu.pointee.gs.base
    cpu.pointee.gs.base = cpu.pointee.msrs.kernelGSBase
    cpu.pointee.msrs.kernelGSBase = base
  }

  func executeReadBase(_ segment: SegmentRegister, _ instruction: Instruction) throws(Interruption) {
    guard is64BitMode, cr4.contains(.fsgsbase) else { throw raise(.invalidOpcode) }
    setRegister(instruction.operand0.register, self[segment].base, size: instruction.operandSize)
  }

  func executeWriteBase(_ segment: SegmentRegister, _ instruction: Instruction) throws(Interruption) {
    guard is64BitMode, cr4.contains(.fsgsbase) else { throw raise(.invalidOpcode) }
    let base = registerValue(instruction.operand0, size: instruction.operandSize)
    guard isCanonical(base) else { throw raise(.generalProtection) }
    segments[Int(segment.rawValue)].base = base
  }
}
