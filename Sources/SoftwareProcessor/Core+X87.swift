import InstructionDecoder
import X86

// The x87 FPU's instructions.
//
// Source: SDM volume 1, "Programming with the x87 FPU"; volume 2 at each instruction.
extension Core {
  /// Executes an x87 instruction.
  func executeX87(_ instruction: borrowing Instruction) throws(Interruption) {
    guard cpu.pointee.cr0 & CR0([.em, .ts]).rawValue == 0 else { throw raise(.deviceNotAvailable) }
    if !instruction.mnemonic.isX87WithoutWaiting { try checkX87Error() }
    switch instruction.mnemonic {
    case .fninit, .fnclex, .fnstcw, .fnstsw, .fnstenv, .fnsave, .fldcw, .fldenv, .frstor:
      try executeX87Control(instruction)
    default: throw raise(.invalidOpcode)
    }
  }
}
