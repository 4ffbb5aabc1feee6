import InstructionDecoder
import X86

// MARK: - Addition, subtraction and logic

extension Core {
  var flags: UnsafeMutablePointer<StatusFlags> {
    @inline(always) get {
      let offset = MemoryLayout<CPUState>.offset(of: \.flags) ?? 0
      return (UnsafeMutableRawPointer(cpu) + offset).assumingMemoryBound(to: StatusFlags.self)
    }
  }

  /// ADD, OR, ADC, SBB, AND, SUB, XOR, CMP and TEST.
  func executeBinary(_ instruction: borrowing Instruction) throws(Interruption) {
    let mnemonic = instruction.mnemonic
    let keepsDestination = mnemonic == .cmp || mnemonic == .test
    let size = OperandSize(instruction.operand0.size)
    let destination = try place(of: instruction.operand0, instruction, keepsDestination ? .read : .write)
    let right = try value(of: instruction.operand1, instruction)
    let left = try value(at: destination)
    let result: UInt64 =
      switch mnemonic {
      case .add: flags.pointee.add(left, right, size)
      case .or: flags.pointee.logic(left | right, size)
      case .adc: flags.pointee.addWithCarry(left, right, size)
      case .sbb: flags.pointee.subtractWithBorrow(left, right, size)
      case .xor: flags.pointee.logic(left ^ right, size)
      case .and, .test: flags.pointee.logic(left & right, size)
      default: flags.pointee.subtract(left, right, size)
      }
    if !keepsDestination { try set(destination, result) }
  }

  /// INC, DEC, NOT and NEG.
  func executeUnary(_ instruction: borrowing Instruction) throws(Interruption) {
    let size = OperandSize(instruction.operand0.size)
    let destination = try place(of: instruction.operand0, instruction, .write)
    let value = try value(at: destination)
    switch instruction.mnemonic {
    case .inc: try set(destination, flags.pointee.increment(value, size))
    case .dec: try set(destination, flags.pointee.decrement(value, size))
    case .neg: try set(destination, flags.pointee.subtract(0, value, size))
    default: try set(destination, ~value)
    }
  }

  /// ADCX and ADOX: an addition that carries through CF or OF alone.
  func executeAddCarrying(_ instruction: borrowing Instruction) throws(Interruption) {
    let flag = instruction.mnemonic == .adcx ? StatusFlags.cf : StatusFlags.of
    let size = OperandSize(instruction.operand0.size)
    let right = try value(of: instruction.operand1, instruction)
    let left = readRegister(instruction.operand0.register, size)
    let carryIn: UInt64 = flags.pointee.value & flag != 0 ? 1 : 0
    let sum = left &+ right &+ carryIn
    let carries = (left & right) | ((left | right) & ~sum)
    writeRegister(instruction.operand0.register, sum, size)
    flags.pointee.replace(flag, with: carries & size.signBit != 0 ? flag : 0)
  }
}

// MARK: - Exchanges

extension Core {
  /// XADD.
  func executeExchangeAdd(_ instruction: borrowing Instruction) throws(Interruption) {
    let size = OperandSize(instruction.operand0.size)
    let destination = try place(of: instruction.operand0, instruction, .write)
    let source = try place(of: instruction.operand1, instruction, .write)
    let left = try value(at: destination)
    let right = try value(at: source)
    let sum = flags.pointee.add(left, right, size)
    try set(source, left)
    try set(destination, sum)
  }

  /// XCHG.
  func executeExchange(_ instruction: borrowing Instruction) throws(Interruption) {
    let first = try place(of: instruction.operand0, instruction, .write)
    let second = try place(of: instruction.operand1, instruction, .write)
    let firstValue = try value(at: first)
    let secondValue = try value(at: second)
    try set(first, secondValue)
    try set(second, firstValue)
  }

  /// CMPXCHG. The destination is written in both cases, as the SDM says, so that it faults in both.
  func executeCompareExchange(_ instruction: borrowing Instruction) throws(Interruption) {
    let size = OperandSize(instruction.operand0.size)
    let destination = try place(of: instruction.operand0, instruction, .write)
    let source = try value(of: instruction.operand1, instruction)
    let current = try value(at: destination)
    let accumulator = readRegister(0, size)
    _ = flags.pointee.subtract(accumulator, current, size)
    if accumulator == current { return try set(destination, source) }
    // A 32-bit destination register is not written, not even zero-extended, when the comparison fails.
    if destination.kind == .memory { try set(destination, current) }
    writeRegister(0, current, size)
  }

  /// CMPXCHG8B and CMPXCHG16B.
  func executeCompareExchangePair(_ instruction: borrowing Instruction) throws(Interruption) {
    let half = OperandSize(instruction.mnemonic == .cmpxchg16b ? 8 : 4)
    let count = Int(half.bytes) &* 2
    let segment = instruction.address.segment
    let linear = try linearAddress(segment, offset(of: instruction), count: count, access: .write)
    if half == .qword, linear & 0xF != 0 { throw raise(.generalProtection) }
    try checkWrite(linear, count: count, stack: segment == .ss)
    let highLinear = linear &+ UInt64(half.bytes)
    let low = try load(linear, half)
    let high = try load(highLinear, half)
    let equal = low == readRegister(0, half) && high == readRegister(2, half)
    try store(equal ? self[.rbx] : low, half, at: linear)
    try store(equal ? self[.rcx] : high, half, at: highLinear)
    if !equal {
      writeRegister(0, low, half)
      writeRegister(2, high, half)
    }
    flags.pointee.replace(StatusFlags.zf, with: equal ? StatusFlags.zf : 0)
  }
}
