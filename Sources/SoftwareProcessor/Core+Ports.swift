import InstructionDecoder
import VMX
import X86

// IN, OUT, INS and OUTS. The processor has no ports of its own: what is not intercepted reads as ones.
extension Core {
  func executePort(_ instruction: Instruction, isIn: Bool) throws(Interruption) {
    let portOperand = isIn ? instruction.operand1 : instruction.operand0
    let size = isIn ? instruction.operand0.size : instruction.operand1.size
    let isImmediate = portOperand.kind == .immediate
    let port = UInt16(truncatingIfNeeded: isImmediate ? instruction.immediate & 0xFF : self[.rdx])
    try checkPortPermission(port, size: size)
    if interceptsPort(port, size: size) {
      let qualification = IOQualification(port: port, size: size, isIn: isIn, isImmediate: isImmediate)
      throw vmExit(.ioInstruction, qualification: qualification.rawValue)
    }
    if isIn { setRegister(0, .max, size: size) }
    watchPort(port, size: size)
  }

  /// INS and OUTS, one element at a time; RIP stays while elements remain.
  /// - Returns: whether the instruction has completed.
  func executeStringPort(_ instruction: Instruction, isIn: Bool) throws(Interruption) -> Bool {
    let repeats = !instruction.prefixes.isDisjoint(with: [.rep, .repne])
    let addressSize = instruction.addressSize
    let count = cut(self[.rcx], to: addressSize)
    if repeats, count == 0 { return true }
    let size = instruction.operandSize
    let port = UInt16(truncatingIfNeeded: self[.rdx])
    let segment = isIn ? SegmentRegister.es : instruction.address.segment
    let pointer: GeneralRegister = isIn ? .rdi : .rsi
    let offset = cut(self[pointer], to: addressSize)
    try checkPortPermission(port, size: size)
    if interceptsPort(port, size: size) {
      let information = ExitInstructionInformation.string(addressSize: addressSize, segment: segment)
      let qualification = IOQualification(port: port, size: size, isIn: isIn, isString: true, isREP: repeats)
      let exit = vmExit(.ioInstruction, qualification: qualification.rawValue, information: information)
      cpu.pointee.pending.guestLinearAddress = flatAddress(segment, offset)
      throw exit
    }
    if isIn {
      try storeSized(.max, segment, offset, size: size)
    } else {
      _ = try loadSized(segment, offset, size: size)
    }
    watchPort(port, size: size)
    let step = systemFlags.contains(.df) ? 0 &- UInt64(size) : UInt64(size)
    setRegister(pointer.rawValue, self[pointer] &+ step, size: addressSize)
    guard repeats else { return true }
    setRegister(GeneralRegister.rcx.rawValue, self[.rcx] &- 1, size: addressSize)
    return count == 1
  }

  /// The linear address of an offset without the segment's checks, as VM exits report it.
  func flatAddress(_ segment: SegmentRegister, _ offset: UInt64) -> UInt64 {
    guard is64BitMode else { return (self[segment].base &+ offset) & 0xFFFF_FFFF }
    return segment == .fs || segment == .gs ? self[segment].base &+ offset : offset
  }

  /// Whether an access to `size` ports from `port` causes a VM exit.
  ///
  /// Source: SDM volume 3, "I/O-Bitmap Addresses" and "Instructions That Cause VM Exits Conditionally".
  private func interceptsPort(_ port: UInt16, size: UInt8) -> Bool {
    guard nonRoot.pointee.primary.contains(.useIOBitmaps) else {
      return nonRoot.pointee.primary.contains(.unconditionalIOExiting)
    }
    // An access that wraps around the port space exits whatever the bitmaps say.
    guard UInt32(port) &+ UInt32(size) &- 1 <= 0xFFFF else { return true }
    for offset in 0..<UInt16(size) {
      let port = port &+ offset
      if testBit(IOBitmap.position(of: port), in: IOBitmap.field(for: port)) { return true }
    }
    return false
  }
}
