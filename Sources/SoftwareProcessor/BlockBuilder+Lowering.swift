import InstructionDecoder
import X86

// From an instruction to its record: a specialised one where the interpreter has a case for its form, else one that
// carries it whole.
extension BlockBuilder {
  /// Appends the record of `instruction`. Returns whether the block goes on behind it.
  mutating func lower(_ instruction: Instruction) -> Bool {
    let kind = InstructionKind(instruction.mnemonic)
    if mode.contains(.code64), !mode.contains(.carried) {
      if kind == .straight, lowerStraight(instruction) { return true }
      if kind == .branch, lowerBranch(instruction) { return instruction.mnemonic == .jcc }
    }
    switch kind {
    case .straight:
      append(.straight, carrying: instruction)
      return true
    case .branch:
      append(.branch, carrying: instruction)
      return false
    case .system:
      append(.system, carrying: instruction)
      return false
    }
  }

  private mutating func lowerStraight(_ instruction: Instruction) -> Bool {
    switch instruction.mnemonic {
    case .add, .or, .adc, .sbb, .and, .sub, .xor, .cmp, .test: lowerBinary(instruction)
    case .mov: lowerMove(instruction)
    case .movzx, .movsx, .movsxd: lowerExtension(instruction)
    case .lea: lowerAddress(instruction)
    case .inc, .dec, .neg, .not: lowerUnary(instruction)
    case .rol, .ror, .shl, .sal, .shr, .sar: lowerShift(instruction)
    case .imul, .mul: lowerMultiplication(instruction)
    case .cbw, .cwd: lowerAccumulator(instruction)
    case .cmovcc, .setcc: lowerConditional(instruction)
    case .bt: lowerBitTest(instruction)
    case .push, .pop, .leave: lowerStack(instruction)
    case .nop: skip(instruction)
    case _ where instruction.mnemonic.isVector: lowerVector(instruction)
    default: false
    }
  }
}

// MARK: - Operands

extension BlockBuilder {
  /// The form of the first two operands, or nil if no case takes them.
  func form(_ instruction: Instruction) -> BinaryForm? {
    switch (instruction.operand0.kind, instruction.operand1.kind) {
    case (.general, .general): .rr
    case (.general, .immediate): .ri
    case (.general, .memory): address(instruction) == nil ? nil : .rm
    case (.memory, .general): address(instruction) == nil ? nil : .mr
    case (.memory, .immediate): address(instruction) == nil ? nil : .mi
    default: nil
    }
  }

  /// The memory operand as base, index, scale, displacement and form, or nil if it needs more than that.
  func address(_ instruction: Instruction) -> Record? {
    guard instruction.addressSize == 8 else { return nil }
    let address = instruction.address
    var record = Record(operation: .straight, retired: 0, count: 0, offset: 0)
    record.displacement = UInt64(bitPattern: address.displacement)
    record.base = address.base
    record.index = address.index == MemoryAddress.none ? Core.zeroRegister : address.index
    record.scale = UInt8(truncatingIfNeeded: address.scale.trailingZeroBitCount)
    record.form = address.segment == .ss ? .stack : .flat
    if address.base == MemoryAddress.none {
      record.base = Core.zeroRegister
    } else if address.base == MemoryAddress.instructionPointer {
      record.base = Core.zeroRegister
      record.displacement &+= block.pointee.rip &+ UInt64(offset) &+ UInt64(instruction.length)
    }
    if address.segment == .fs || address.segment == .gs {
      // The segment's base takes the place of an index.
      guard address.index == MemoryAddress.none else { return nil }
      record.index = address.segment == .fs ? Core.fsBaseRegister : Core.gsBaseRegister
    }
    return record
  }

  /// Appends the record of an instruction of one or two operands.
  mutating func append(_ operation: Operation, _ instruction: Instruction, _ form: BinaryForm) {
    let memory = form == .rm || form == .mr || form == .mi ? address(instruction) : nil
    append(operation, length: instruction.length) { record in
      record.condition = instruction.condition
      if let memory {
        record.base = memory.base
        record.index = memory.index
        record.scale = memory.scale
        record.form = memory.form
        record.displacement = memory.displacement
      }
      record.destination = instruction.operand0.register
      record.source = instruction.operand1.register
      record.immediate = instruction.immediate
    }
  }
}

extension Core {
  /// The bases of FS and GS, as numbers of registers that an address can add.
  static var fsBaseRegister: UInt8 { segmentBaseRegister(4) }
  static var gsBaseRegister: UInt8 { segmentBaseRegister(5) }

  private static func segmentBaseRegister(_ segment: Int) -> UInt8 {
    let segments = MemoryLayout<CPUState>.offset(of: \.es) ?? 0
    let base = MemoryLayout<SegmentState>.offset(of: \.base) ?? 0
    return UInt8(truncatingIfNeeded: (segments + segment * MemoryLayout<SegmentState>.stride + base) / 8)
  }
}

// MARK: - The groups of cases

extension BlockBuilder {
  private mutating func lowerBinary(_ instruction: Instruction) -> Bool {
    guard let form = form(instruction), instruction.operand0.size == instruction.operand1.size else {
      return false
    }
    let size = instruction.operand0.size
    let binary: UInt16 =
      instruction.mnemonic == .test
      ? BinaryOperation.test.rawValue : instruction.mnemonic.rawValue &- Mnemonic.add.rawValue
    let first: Operation = size >= 4 ? .addRR4 : .addRR1
    let second: UInt16 = size == 8 || size == 2 ? 1 : 0
    append(first.advanced(by: (binary &* 5 &+ form.rawValue) &* 2 &+ second), instruction, form)
    return true
  }

  private mutating func lowerMove(_ instruction: Instruction) -> Bool {
    guard let form = form(instruction) else { return false }
    let size = instruction.operand0.size
    let step = UInt16(truncatingIfNeeded: size.trailingZeroBitCount)
    switch form {
    case .rr: append(Operation.movRR1.advanced(by: step), instruction, form)
    case .rm: append(Operation.movRM1.advanced(by: step), instruction, form)
    case .mr: append(Operation.movMR1.advanced(by: step), instruction, form)
    case .mi: append(Operation.movMI1.advanced(by: step), instruction, form)
    case .ri:
      guard size != 2 else { return false }
      var immediate = instruction
      immediate.immediate = OperandSize(size).truncated(instruction.immediate)
      append(size == 1 ? .movRI1 : .movRI, immediate, form)
    }
    return true
  }

  private mutating func lowerExtension(_ instruction: Instruction) -> Bool {
    guard let form = form(instruction), form == .rr || form == .rm else { return false }
    let isRegister = form == .rr
    let operation: Operation
    switch (instruction.mnemonic, instruction.operand1.size, instruction.operand0.size) {
    case (_, _, 2): return false
    case (.movzx, 1, _): operation = isRegister ? .zxRR1To8 : .zxRM1To8
    case (.movzx, 2, _): operation = isRegister ? .zxRR2To8 : .zxRM2To8
    case (_, 1, 4): operation = isRegister ? .sxRR1To4 : .sxRM1To4
    case (_, 1, 8): operation = isRegister ? .sxRR1To8 : .sxRM1To8
    case (_, 2, 4): operation = isRegister ? .sxRR2To4 : .sxRM2To4
    case (_, 2, 8): operation = isRegister ? .sxRR2To8 : .sxRM2To8
    case (_, 4, 8): operation = isRegister ? .sxRR4To8 : .sxRM4To8
    default: return false
    }
    append(operation, instruction, form)
    return true
  }

  private mutating func lowerAddress(_ instruction: Instruction) -> Bool {
    // LEA takes no segment's base.
    var flat = instruction
    flat.address.segment = .ds
    guard instruction.operandSize >= 4, address(flat) != nil else { return false }
    append(instruction.operandSize == 4 ? .lea4 : .lea8, flat, .rm)
    return true
  }

  private mutating func lowerUnary(_ instruction: Instruction) -> Bool {
    let isRegister = instruction.operand0.kind == .general
    let size = instruction.operand0.size
    guard size >= 4, isRegister || instruction.operand0.kind == .memory && address(instruction) != nil else {
      return false
    }
    let first: Operation =
      switch instruction.mnemonic {
      case .inc: .incR4
      case .dec: .decR4
      case .neg: .negR4
      default: .notR4
      }
    let step: UInt16 = (isRegister ? 0 : 2) &+ (size == 8 ? 1 : 0)
    append(first.advanced(by: step), instruction, isRegister ? .rr : .mr)
    return true
  }

  private mutating func lowerShift(_ instruction: Instruction) -> Bool {
    let size = instruction.operand0.size
    guard instruction.operand0.kind == .general, size >= 4 else { return false }
    let isByCount = instruction.operand1.kind == .general
    var masked = instruction
    masked.immediate &= size == 8 ? 63 : 31
    guard isByCount || masked.immediate != 0 else { return false }
    let first: Operation =
      switch instruction.mnemonic {
      case .rol: .rolRI4
      case .ror: .rorRI4
      case .shr: .shrRI4
      case .sar: .sarRI4
      default: .shlRI4
      }
    let step: UInt16 = (isByCount ? 2 : 0) &+ (size == 8 ? 1 : 0)
    append(first.advanced(by: step), masked, isByCount ? .rr : .ri)
    return true
  }

  private mutating func lowerMultiplication(_ instruction: Instruction) -> Bool {
    let size = instruction.operand0.size
    guard size >= 4, instruction.operand0.kind == .general else { return false }
    let step: UInt16 = size == 8 ? 1 : 0
    switch (instruction.mnemonic, instruction.operandCount) {
    case (.imul, 2):
      guard let form = form(instruction), form == .rr || form == .rm else { return false }
      append((form == .rr ? Operation.imulRR4 : .imulRM4).advanced(by: step), instruction, form)
    case (.imul, 3):
      guard instruction.operand1.kind == .general else { return false }
      append(Operation.imulRRI4.advanced(by: step), instruction, .rr)
    case (.mul, 1):
      var factor = instruction
      factor.operand1 = instruction.operand0
      append(Operation.mulR4.advanced(by: step), factor, .rr)
    default: return false
    }
    return true
  }

  private mutating func lowerAccumulator(_ instruction: Instruction) -> Bool {
    guard instruction.operandSize >= 4 else { return false }
    let first: Operation = instruction.mnemonic == .cbw ? .cbw4 : .cwd4
    append(first.advanced(by: instruction.operandSize == 8 ? 1 : 0), instruction, .rr)
    return true
  }

  private mutating func lowerConditional(_ instruction: Instruction) -> Bool {
    if instruction.mnemonic == .setcc {
      guard instruction.operand0.kind == .general else { return false }
      append(.setccR, instruction, .rr)
      return true
    }
    guard let form = form(instruction), instruction.operandSize >= 4 else { return false }
    let first: Operation = form == .rr ? .cmovRR4 : .cmovRM4
    append(first.advanced(by: instruction.operandSize == 8 ? 1 : 0), instruction, form)
    return true
  }

  private mutating func lowerBitTest(_ instruction: Instruction) -> Bool {
    guard let form = form(instruction), form == .rr || form == .ri, instruction.operandSize >= 4 else {
      return false
    }
    let first: Operation = form == .rr ? .btRR4 : .btRI4
    append(first.advanced(by: instruction.operandSize == 8 ? 1 : 0), instruction, form)
    return true
  }

  private mutating func lowerStack(_ instruction: Instruction) -> Bool {
    guard instruction.operandSize == 8 else { return false }
    var pushed = instruction
    pushed.operand1 = instruction.operand0
    switch (instruction.mnemonic, instruction.operand0.kind) {
    case (.push, .general): append(.pushR, pushed, .rr)
    case (.push, .immediate): append(.pushI, instruction, .ri)
    case (.pop, .general): append(.popR, instruction, .rr)
    case (.leave, _): append(.leave, instruction, .rr)
    default: return false
    }
    return true
  }
}

// MARK: - Branches

extension BlockBuilder {
  private mutating func lowerBranch(_ instruction: Instruction) -> Bool {
    switch instruction.mnemonic {
    case .jmp, .call: return lowerJump(instruction, isCall: instruction.mnemonic == .call)
    case .ret where instruction.operandCount == 0 && instruction.operandSize == 8:
      append(.ret, instruction, .rr)
      return true
    case .jcc: return lowerConditionalJump(instruction)
    default: return false
    }
  }

  /// The target of a relative branch, or nil if it is not canonical, or 16 bits wide.
  private func target(_ instruction: Instruction) -> UInt64? {
    let end = offset &+ Int(instruction.length)
    let target = block.pointee.rip &+ UInt64(end) &+ instruction.immediate
    guard instruction.operandSize == 8, core.isCanonical(target) else { return nil }
    return target
  }

  private mutating func lowerJump(_ instruction: Instruction, isCall: Bool) -> Bool {
    guard instruction.operandSize == 8 else { return false }
    switch instruction.operand0.kind {
    case .relative:
      guard let target = target(instruction) else { return false }
      append(isCall ? .call : .jmp, length: instruction.length) { record in record.immediate = target }
    case .general:
      var jump = instruction
      jump.operand1 = instruction.operand0
      append(isCall ? .callR : .jmpR, jump, .rr)
    case .memory:
      guard address(instruction) != nil else { return false }
      append(isCall ? .callM : .jmpM, instruction, .rm)
    default: return false
    }
    return true
  }

  private mutating func lowerConditionalJump(_ instruction: Instruction) -> Bool {
    guard let target = target(instruction) else { return false }
    if !mode.contains(.single), fuse(instruction, target) { return true }
    append(Operation.jo.advanced(by: UInt16(instruction.condition)), length: instruction.length) { record in
      record.immediate = target
    }
    return true
  }

  /// Joins a conditional jump with the comparison, test or count before it.
  private mutating func fuse(_ instruction: Instruction, _ target: UInt64) -> Bool {
    guard recordCount > 0, count > 0 else { return false }
    let last = block.records + (recordCount &- 1)
    // A skipped NOP may lie between.
    guard Int(last.pointee.offset) &+ Int(last.pointee.length) == offset else { return false }
    let distance = Int64(bitPattern: target &- block.pointee.rip)
    guard Int64(Int32(truncatingIfNeeded: distance)) == distance else { return false }
    let condition = UInt16(instruction.condition)
    let isZero = condition == 4 || condition == 5
    let fused: Operation
    switch last.pointee.operation {
    case .cmpRR4: fused = Operation.cmpRR4JO.advanced(by: condition)
    case .cmpRR8: fused = Operation.cmpRR8JO.advanced(by: condition)
    case .cmpRI4: fused = Operation.cmpRI4JO.advanced(by: condition)
    case .cmpRI8: fused = Operation.cmpRI8JO.advanced(by: condition)
    case .testRR4: fused = Operation.testRR4JO.advanced(by: condition)
    case .testRR8: fused = Operation.testRR8JO.advanced(by: condition)
    case .cmpRI1: fused = Operation.cmpRI1JO.advanced(by: condition)
    case .testRI1: fused = Operation.testRI1JO.advanced(by: condition)
    case .decR4 where isZero: fused = Operation.decR4JE.advanced(by: condition &- 4)
    case .decR8 where isZero: fused = Operation.decR8JE.advanced(by: condition &- 4)
    case .incR4 where isZero: fused = Operation.incR4JE.advanced(by: condition &- 4)
    case .incR8 where isZero: fused = Operation.incR8JE.advanced(by: condition &- 4)
    default: return false
    }
    last.pointee.operation = fused
    last.pointee.count &+= 1
    last.pointee.length &+= instruction.length
    last.pointee.immediate = last.pointee.immediate & 0xFFFF_FFFF | UInt64(bitPattern: distance) << 32
    last.pointee.displacement = 0
    count &+= 1
    offset &+= Int(instruction.length)
    return true
  }
}
