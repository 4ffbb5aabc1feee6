import InstructionDecoder
import X86

// What only AVX and AVX2 have: broadcasts, permutations of whole vectors, masked moves, and zeroing.
extension Core {
  func executeAVX(_ instruction: Instruction) throws(Interruption) {
    switch instruction.mnemonic {
    case .vbroadcastss, .vbroadcastsd, .vbroadcastf128, .vbroadcasti128, .vpbroadcastb, .vpbroadcastw,
      .vpbroadcastd, .vpbroadcastq:
      let value = try vector(instruction.operand1, instruction).broadcast(instruction.operand1.size)
      try setVector(instruction.operand0, instruction, value)
    case .vinsertf128, .vinserti128:
      let source = try vector(instruction.operand2, instruction)
      var result = self[vector: instruction.operand1.register]
      result[lane: Int(truncatingIfNeeded: instruction.immediate)] = source[lane: 0]
      try setVector(instruction.operand0, instruction, result)
    case .vextractf128, .vextracti128:
      let lane = self[vector: instruction.operand1.register][
        lane: Int(truncatingIfNeeded: instruction.immediate)]
      try setVector(instruction.operand0, instruction, Vector(lane[0], lane[1]))
    case .vperm2f128, .vperm2i128: try executePermuteLanes(instruction)
    case .vpermilps, .vpermilpd: try executePermuteInLanes(instruction)
    case .vpermd, .vpermps, .vpermq, .vpermpd: try executePermute(instruction)
    case .vmaskmovps, .vmaskmovpd, .vpmaskmov: try executeMaskedVectorMove(instruction)
    case .vgatherdp, .vgatherqp, .vpgatherd, .vpgatherq: try executeGather(instruction)
    case .vzeroall: zeroVectors(keepingLow: false)
    case .vzeroupper: zeroVectors(keepingLow: true)
    default: throw raise(.invalidOpcode)
    }
  }

  /// VZEROALL and VZEROUPPER change the registers that the mode has.
  private func zeroVectors(keepingLow: Bool) {
    for register in 0..<(is64BitMode ? UInt8(16) : 8) {
      let low = self[vector: register]
      self[vector: register] = keepingLow ? low.truncated(16) : Vector()
    }
  }
}

extension Vector {
  /// The low `size` bytes everywhere.
  func broadcast(_ size: UInt8) -> Vector {
    switch size {
    case 1: Vector(bytes: SIMD32(repeating: bytes[0]))
    case 2: Vector(words: SIMD16(repeating: words[0]))
    case 4: Vector(dwords: SIMD8(repeating: dwords[0]))
    case 8: Vector(quads: SIMD4(repeating: quads[0]))
    default: Vector(quads: SIMD4(quads[0], quads[1], quads[0], quads[1]))
    }
  }
}

// MARK: - Permutations

extension Core {
  private func executePermuteLanes(_ instruction: Instruction) throws(Interruption) {
    let second = try vector(instruction.operand2, instruction)
    let first = self[vector: instruction.operand1.register]
    var result = Vector()
    for lane in 0..<2 {
      let control = Int(truncatingIfNeeded: instruction.immediate) >> (lane * 4)
      guard control & 8 == 0 else { continue }
      result[lane: lane] = (control & 2 == 0 ? first : second)[lane: control]
    }
    try setVector(instruction.operand0, instruction, result)
  }

  /// VPERMILPS, VPERMILPD: by an immediate, or by a vector.
  private func executePermuteInLanes(_ instruction: Instruction) throws(Interruption) {
    let isSingle = instruction.mnemonic == .vpermilps
    var result = Vector()
    if instruction.operand2.kind == .immediate {
      let source = try vector(instruction.operand1, instruction)
      if isSingle {
        result = source.shuffled(.vpermilps, instruction.immediate)
      } else {
        for index in 0..<4 {
          let chosen = Int(truncatingIfNeeded: instruction.immediate) >> index & 1
          result.quads[index] = source.quads[index & 2 | chosen]
        }
      }
    } else {
      let control = try vector(instruction.operand2, instruction)
      let source = self[vector: instruction.operand1.register]
      if isSingle {
        for index in 0..<8 {
          result.dwords[index] = source.dwords[index & 4 | Int(control.dwords[index] & 3)]
        }
      } else {
        for index in 0..<4 {
          result.quads[index] = source.quads[index & 2 | Int(control.quads[index] >> 1 & 1)]
        }
      }
    }
    try setVector(instruction.operand0, instruction, result)
  }

  private func executePermute(_ instruction: Instruction) throws(Interruption) {
    var result = Vector()
    if instruction.operand2.kind == .immediate {
      let source = try vector(instruction.operand1, instruction)
      for index in 0..<4 {
        let chosen = Int(truncatingIfNeeded: instruction.immediate) >> (index * 2) & 3
        result.quads[index] = source.quads[chosen]
      }
    } else {
      let source = try vector(instruction.operand2, instruction)
      let control = self[vector: instruction.operand1.register]
      for index in 0..<8 { result.dwords[index] = source.dwords[Int(control.dwords[index] & 7)] }
    }
    try setVector(instruction.operand0, instruction, result)
  }
}

// MARK: - Masked moves

extension Core {
  /// Elements whose mask is not negative are neither accessed nor checked.
  private func executeMaskedVectorMove(_ instruction: Instruction) throws(Interruption) {
    let size: UInt8 =
      switch instruction.mnemonic {
      case .vmaskmovps: 4
      case .vmaskmovpd: 8
      default: instruction.operandSize
      }
    let mask = self[vector: instruction.operand1.register]
    let count = elementCount(instruction, Int(size))
    let chosen = (0..<count).filter { mask.isNegative($0, size) }
    let start = offset(of: instruction)
    let isStack = instruction.address.segment == .ss
    let isStore = instruction.operand0.kind == .memory
    func address(_ index: Int) throws(Interruption) -> UInt64 {
      let offset = OperandSize(instruction.addressSize).truncated(start &+ UInt64(index * Int(size)))
      return try linearAddress(
        instruction.address.segment, offset, count: Int(size), access: isStore ? .write : .read)
    }
    if isStore {
      let value = self[vector: instruction.operand2.register]
      for index in chosen { try checkWrite(try address(index), count: Int(size), stack: isStack) }
      for index in chosen {
        try store(value.element(index, size), OperandSize(size), at: try address(index), stack: isStack)
      }
    } else {
      var result = Vector()
      for index in chosen {
        result.setElement(index, size, try load(try address(index), OperandSize(size), stack: isStack))
      }
      try setVector(instruction.operand0, instruction, result)
    }
  }
}

extension Vector {
  /// Element `index` of 4 or 8 bytes.
  @inline(__always)
  func element(_ index: Int, _ size: UInt8) -> UInt64 {
    size == 8 ? quads[index & 3] : UInt64(dwords[index & 7])
  }

  @inline(__always)
  mutating func setElement(_ index: Int, _ size: UInt8, _ value: UInt64) {
    if size == 8 { quads[index & 3] = value } else { dwords[index & 7] = UInt32(truncatingIfNeeded: value) }
  }

  @inline(__always)
  func isNegative(_ index: Int, _ size: UInt8) -> Bool {
    element(index, size) & OperandSize(size).signBit != 0
  }
}

// MARK: - Gathers

extension Core {
  /// Loads the elements whose mask is negative, each from its own address. What was loaded before a fault stays loaded,
  /// and its mask cleared, so that the instruction goes on there.
  ///
  /// Source: SDM volume 2, "VPGATHERDD/VPGATHERQD", "VPGATHERDQ/VPGATHERQQ".
  private func executeGather(_ instruction: Instruction) throws(Interruption) {
    let destination = instruction.operand0.register
    let maskRegister = instruction.operand2.register
    let indexRegister = instruction.address.index
    guard destination != maskRegister, destination != indexRegister, maskRegister != indexRegister else {
      throw raise(.invalidOpcode)
    }
    let size = instruction.operandSize
    let indexSize: UInt8 =
      instruction.mnemonic == .vgatherqp || instruction.mnemonic == .vpgatherq ? 8 : 4
    let count = elementCount(instruction, Int(max(size, indexSize)))
    let indices = self[vector: indexRegister]
    var result = self[vector: destination]
    var mask = self[vector: maskRegister]
    // The mask's other bits say no more than the sign: all ones or zero.
    for index in 0..<count { mask.setElement(index, size, mask.isNegative(index, size) ? .max : 0) }
    func finish(_ width: UInt8) {
      self[vector: destination] = result.truncated(width)
      self[vector: maskRegister] = mask.truncated(width)
    }
    let width = UInt8(count) * size
    do throws(Interruption) {
      for index in 0..<count where mask.isNegative(index, size) {
        let offset = OperandSize(indexSize).extended(indices.element(index, indexSize))
        result.setElement(index, size, try gathered(instruction, offset, size))
        mask.setElement(index, size, 0)
      }
    } catch {
      finish(max(width, 16))
      throw error
    }
    mask = Vector()
    finish(width)
  }

  private func gathered(
    _ instruction: Instruction, _ index: UInt64, _ size: UInt8
  ) throws(Interruption) -> UInt64 {
    let address = instruction.address
    var offset = UInt64(bitPattern: address.displacement) &+ index &* UInt64(address.scale)
    if address.base != MemoryAddress.none { offset &+= self[register: address.base] }
    let linear = try linearAddress(
      address.segment, OperandSize(instruction.addressSize).truncated(offset), count: Int(size), access: .read
    )
    return try load(linear, OperandSize(size), stack: address.segment == .ss)
  }
}
