import InstructionDecoder
import X86

// MARK: - The stack pointer

extension Core {
  /// The size of the stack pointer: SDM volume 1, "Address-Size Attribute for Stack".
  @inline(always)
  var stackSize: OperandSize {
    is64BitMode ? .qword : cpu.pointee.mode.contains(.stack32) ? .dword : .word
  }

  /// Pushes the low `size` bytes of `value`; nothing has changed when it throws.
  func push(_ value: UInt64, _ size: OperandSize) throws(Interruption) {
    let pointer = stackSize.truncated(self[.rsp] &- UInt64(size.bytes))
    let linear = try linearAddress(.ss, pointer, count: Int(size.bytes), access: .write)
    try store(value, size, at: linear, stack: true)
    writeRegister(4, pointer, stackSize)
  }

  /// Pops `size` bytes.
  func pop(_ size: OperandSize) throws(Interruption) -> UInt64 {
    let value = try stackTop(size)
    writeRegister(4, self[.rsp] &+ UInt64(size.bytes), stackSize)
    return value
  }

  /// The `size` bytes `above` the top of the stack, which stay there.
  func stackTop(_ size: OperandSize, above: UInt64 = 0) throws(Interruption) -> UInt64 {
    let pointer = stackSize.truncated(self[.rsp] &+ above)
    let linear = try linearAddress(.ss, pointer, count: Int(size.bytes), access: .read)
    return try load(linear, size, stack: true)
  }

  /// Runs `body`, and puts RSP and RBP back if it throws.
  private func restoringStack(_ body: () throws(Interruption) -> Void) throws(Interruption) {
    let (rsp, rbp) = (self[.rsp], self[.rbp])
    do {
      try body()
    } catch {
      self[.rsp] = rsp
      self[.rbp] = rbp
      throw error
    }
  }
}

// MARK: - PUSH and POP

extension Core {
  /// PUSH of a register, memory, an immediate or a segment register.
  func executePush(_ instruction: borrowing Instruction) throws(Interruption) {
    try push(try value(of: instruction.operand0, instruction), OperandSize(instruction.operandSize))
  }

  /// POP of a register or memory, whose address is worked out after RSP has moved.
  func executePop(_ instruction: borrowing Instruction) throws(Interruption) {
    let rsp = self[.rsp]
    let value = try pop(OperandSize(instruction.operandSize))
    do {
      try set(instruction.operand0, instruction, value)
    } catch {
      self[.rsp] = rsp
      throw error
    }
  }

  /// PUSHA.
  func executePushAll(_ instruction: borrowing Instruction) throws(Interruption) {
    let size = OperandSize(instruction.operandSize)
    let rsp = self[.rsp]
    do {
      for register in UInt8(0)..<8 {
        try push(register == 4 ? rsp : self[register: register], size)
      }
    } catch {
      self[.rsp] = rsp
      throw error
    }
  }

  /// POPA: everything is read before anything changes.
  func executePopAll(_ instruction: borrowing Instruction) throws(Interruption) {
    let size = OperandSize(instruction.operandSize)
    let count = UInt64(size.bytes)
    for register in UInt64(0)..<8 { _ = try stackTop(size, above: register &* count) }
    for register in UInt8(0)..<8 where register != 3 {
      let value = try stackTop(size, above: UInt64(register) &* count)
      writeRegister(7 &- register, value, size)
    }
    writeRegister(4, self[.rsp] &+ 8 &* count, stackSize)
  }
}

// MARK: - ENTER and LEAVE

extension Core {
  func executeEnter(_ instruction: borrowing Instruction) throws(Interruption) {
    let size = OperandSize(instruction.operandSize)
    let level = instruction.immediate2 & 31
    let allocated = instruction.immediate & 0xFFFF
    try restoringStack { () throws(Interruption) in
      try push(self[.rbp], size)
      let frame = self[.rsp]
      if level > 0 {
        for _ in 1..<max(level, 1) {
          writeRegister(5, self[.rbp] &- UInt64(size.bytes), stackSize)
          let linear = try linearAddress(
            .ss, stackSize.truncated(self[.rbp]), count: Int(size.bytes), access: .read)
          try push(try load(linear, size, stack: true), size)
        }
        try push(frame, size)
      }
      writeRegister(5, frame, size)
      let top = stackSize.truncated(self[.rsp] &- allocated)
      let linear = try linearAddress(.ss, top, count: Int(size.bytes), access: .write)
      try checkWrite(linear, count: Int(size.bytes), stack: true)
      writeRegister(4, top, stackSize)
    }
  }

  func executeLeave(_ instruction: borrowing Instruction) throws(Interruption) {
    let size = OperandSize(instruction.operandSize)
    let frame = stackSize.truncated(self[.rbp])
    let linear = try linearAddress(.ss, frame, count: Int(size.bytes), access: .read)
    let value = try load(linear, size, stack: true)
    writeRegister(4, frame &+ UInt64(size.bytes), stackSize)
    writeRegister(5, value, size)
  }
}
