import InstructionDecoder
import X86

// MARK: - Registers

extension Core {
  /// The vector registers.
  @inline(__always)
  var vectors: UnsafeMutablePointer<VectorRegister> {
    let offset =
      (MemoryLayout<CPUState>.offset(of: \.extended) ?? 0)
      &+ (MemoryLayout<ExtendedState>.offset(of: \.vectors) ?? 0)
    return (UnsafeMutableRawPointer(cpu) + offset).assumingMemoryBound(to: VectorRegister.self)
  }

  /// YMM register `index`.
  @inline(__always)
  subscript(vector index: UInt8) -> Vector {
    get {
      let words = UnsafeRawPointer(vectors + Int(index & 15)).assumingMemoryBound(to: UInt64.self)
      return Vector(quads: SIMD4(words[0], words[1], words[2], words[3]))
    }
    nonmutating set {
      let words = UnsafeMutableRawPointer(vectors + Int(index & 15)).assumingMemoryBound(to: UInt64.self)
      words[0] = newValue.quads[0]
      words[1] = newValue.quads[1]
      words[2] = newValue.quads[2]
      words[3] = newValue.quads[3]
    }
  }

  /// Writes the low half of YMM register `index`, and keeps the high one.
  @inline(__always)
  func setXMM(_ index: UInt8, _ value: Vector) {
    let words = UnsafeMutableRawPointer(vectors + Int(index & 15)).assumingMemoryBound(to: UInt64.self)
    words[0] = value.quads[0]
    words[1] = value.quads[1]
  }

  /// MMX register `index`, the significand of the x87 register of the same physical number. A write sets the sign and
  /// the exponent to ones.
  ///
  /// Source: SDM volume 1, "MMX Registers"; volume 3, "Effect of MMX Instructions on MMX Registers".
  @inline(__always)
  subscript(mmx index: UInt8) -> UInt64 {
    get { x87.registers[Int(index & 7)].significand }
    nonmutating set {
      x87.registers[Int(index & 7)] = X87Register(significand: newValue, signAndExponent: 0xFFFF)
    }
  }
}

// MARK: - Operands

extension Core {
  /// The linear address of the memory operand, `size` bytes of it, after its segment's checks.
  func vectorAddress(
    _ instruction: Instruction, size: UInt8, _ access: MemoryAccess
  ) throws(Interruption) -> UInt64 {
    try linearAddress(
      instruction.address.segment, offset(of: instruction), count: Int(size), access: access)
  }

  /// The value of `operand`; its elements above the operand's size are unspecified in a register, zero from memory.
  ///
  /// - Parameter isAligned: whether memory must be aligned to its size, else #GP(0); by default what holds for 16 bytes
  ///   without a VEX prefix (SDM volume 1, "Memory Alignment").
  @inline(__always)
  func vector(
    _ operand: Operand, _ instruction: Instruction, isAligned: Bool? = nil
  ) throws(Interruption) -> Vector {
    switch operand.kind {
    case .vector: return self[vector: operand.register]
    case .mmx: return Vector(self[mmx: operand.register])
    case .memory:
      let linear = try vectorAddress(instruction, size: operand.size, .read)
      let mustAlign = isAligned ?? (operand.size == 16 && !instruction.prefixes.contains(.vex))
      if mustAlign, linear & UInt64(operand.size &- 1) != 0 { throw raise(.generalProtection) }
      return try loadVector(linear, operand.size, stack: instruction.address.segment == .ss)
    default: return Vector(try value(of: operand, instruction))
    }
  }

  /// Writes a register or memory operand. A vector register's bits above the operand's size become 0 up to bit 127; above
  /// that too with a VEX prefix, else they stay.
  @inline(__always)
  func setVector(
    _ operand: Operand, _ instruction: Instruction, _ value: Vector, isAligned: Bool = false
  ) throws(Interruption) {
    switch operand.kind {
    case .vector:
      if operand.size == 32 {
        self[vector: operand.register] = value
      } else if instruction.prefixes.contains(.vex) {
        self[vector: operand.register] = value.truncated(operand.size)
      } else {
        setXMM(operand.register, value.truncated(operand.size))
      }
    case .mmx: self[mmx: operand.register] = value.quads[0]
    case .memory:
      let linear = try vectorAddress(instruction, size: operand.size, .write)
      if isAligned, linear & UInt64(operand.size &- 1) != 0 { throw raise(.generalProtection) }
      try storeVector(value, at: linear, operand.size, stack: instruction.address.segment == .ss)
    default: try set(operand, instruction, value.quads[0])
    }
  }

  /// The first source of an instruction of two: the destination itself without a VEX prefix.
  @inline(__always)
  func firstSource(_ instruction: Instruction) -> Vector {
    let operand = instruction.prefixes.contains(.vex) ? instruction.operand1 : instruction.operand0
    return operand.kind == .mmx ? Vector(self[mmx: operand.register]) : self[vector: operand.register]
  }

  /// The second one, which may be in memory.
  @inline(__always)
  func secondSource(
    _ instruction: Instruction, isAligned: Bool? = nil
  ) throws(Interruption) -> Vector {
    try vector(secondOperand(instruction), instruction, isAligned: isAligned)
  }

  @inline(__always)
  func secondOperand(_ instruction: Instruction) -> Operand {
    instruction.prefixes.contains(.vex) ? instruction.operand2 : instruction.operand1
  }
}

extension Instruction {
  /// The size of its vectors in bytes: 8 of MMX registers, 16 or 32.
  @inline(__always)
  var vectorSize: Int {
    if operand0.kind == .mmx || operand1.kind == .mmx { return 8 }
    return prefixes.contains(.vex256) ? 32 : 16
  }

  /// The size of a lane in bytes.
  @inline(__always)
  var laneSize: Int { operand0.kind == .mmx ? 8 : 16 }
}
