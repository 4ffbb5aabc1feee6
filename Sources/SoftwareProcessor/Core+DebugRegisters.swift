import InstructionDecoder
import VMX
import X86

// MOV to and from debug registers.
extension Core {
  func executeMoveDebug(_ instruction: Instruction, isRead: Bool) throws(Interruption) {
    try requireCPL0()
    let debug = isRead ? instruction.operand1 : instruction.operand0
    let general = isRead ? instruction.operand0 : instruction.operand1
    // The VM exit comes before #UD for DR4 and DR5 and before general detection.
    if nonRoot.pointee.primary.contains(.movDRExiting) {
      let qualification = DebugRegisterQualification(
        number: debug.register, isRead: isRead, register: GeneralRegister(number: UInt64(general.register)))
      throw vmExit(.movDR, qualification: qualification.rawValue)
    }
    var number = debug.register
    if number == 4 || number == 5 {
      guard !cr4.contains(.de) else { throw raise(.invalidOpcode) }
      number &+= 2
    }
    if DR7(rawValue: cpu.pointee.dr7).contains(.gd) {
      let fault = raise(.debug)
      cpu.pointee.pending.address = DR6.bd.rawValue
      throw fault
    }
    let size: UInt8 = is64BitMode ? 8 : 4
    if isRead {
      setRegister(general.register, try debugRegister(number), size: size)
    } else {
      try setDebugRegister(number, registerValue(general, size: size))
      updateMode()
    }
  }

  private func debugRegister(_ number: UInt8) throws(Interruption) -> UInt64 {
    switch number {
    case 0: cpu.pointee.registers.dr0
    case 1: cpu.pointee.registers.dr1
    case 2: cpu.pointee.registers.dr2
    case 3: cpu.pointee.registers.dr3
    case 6: cpu.pointee.registers.dr6
    case 7: cpu.pointee.dr7
    default: throw raise(.invalidOpcode)
    }
  }

  private func setDebugRegister(_ number: UInt8, _ value: UInt64) throws(Interruption) {
    switch number {
    case 0: cpu.pointee.registers.dr0 = value
    case 1: cpu.pointee.registers.dr1 = value
    case 2: cpu.pointee.registers.dr2 = value
    case 3: cpu.pointee.registers.dr3 = value
    case 6:
      guard value >> 32 == 0 else { throw raise(.generalProtection) }
      cpu.pointee.registers.dr6 = value & 0xE00F | DR6.initial.rawValue
    case 7:
      guard value >> 32 == 0 else { throw raise(.generalProtection) }
      cpu.pointee.dr7 = value & 0xFFFF_23FF | DR7.fixed1.rawValue
    default: throw raise(.invalidOpcode)
    }
  }
}
