import InstructionDecoder
import X86

/// Where an operand is, once its address has been worked out and checked.
struct Place {
  var kind: Operand.Kind
  var register: UInt8
  var size: OperandSize
  var isStack: Bool
  /// The linear address of a memory operand; the value of an immediate.
  var linear: UInt64
}

// MARK: - Registers

extension Core {
  /// The low bytes of a general-purpose register, zero-extended.
  @inline(always)
  func readRegister(_ register: UInt8, _ size: OperandSize) -> UInt64 {
    size.truncated(self[register: register])
  }

  /// Writes a general-purpose register: 32-bit results are zero-extended, smaller ones leave the rest as it was.
  @inline(always)
  func writeRegister(_ register: UInt8, _ value: UInt64, _ size: OperandSize) {
    switch size.bytes {
    case 8: self[register: register] = value
    case 4: self[register: register] = value & 0xFFFF_FFFF
    default: self[register: register] = self[register: register] & ~size.mask | value & size.mask
    }
  }
}

// MARK: - Addresses

extension Core {
  /// The offset that a memory operand names, cut to the address size.
  func offset(of instruction: borrowing Instruction) -> UInt64 {
    let address = instruction.address
    var offset = UInt64(bitPattern: address.displacement)
    if address.base == MemoryAddress.instructionPointer {
      offset &+= rip &+ UInt64(instruction.length)
    } else if address.base != MemoryAddress.none {
      offset &+= self[register: address.base]
    }
    if address.index != MemoryAddress.none {
      offset &+= self[register: address.index] &* UInt64(address.scale)
    }
    return OperandSize(instruction.addressSize).truncated(offset)
  }

  /// The place of `operand`. A memory operand that will be written has been checked for it when this returns.
  func place(
    of operand: Operand, _ instruction: borrowing Instruction, _ access: MemoryAccess
  ) throws(Interruption) -> Place {
    let size = OperandSize(operand.size)
    var place = Place(kind: operand.kind, register: operand.register, size: size, isStack: false, linear: 0)
    switch operand.kind {
    case .memory:
      let segment = instruction.address.segment
      place.isStack = segment == .ss
      place.linear = try linearAddress(
        segment, offset(of: instruction), count: Int(operand.size), access: access)
      if access == .write {
        try checkWrite(place.linear, count: Int(operand.size), stack: place.isStack)
      }
    case .immediate, .relative: place.linear = size.truncated(instruction.immediate)
    default: break
    }
    return place
  }
}

// MARK: - Values

extension Core {
  /// The value at `place`, zero-extended.
  func value(at place: Place) throws(Interruption) -> UInt64 {
    switch place.kind {
    case .general: readRegister(place.register, place.size)
    case .highByte: self[register: place.register] &>> 8 & 0xFF
    case .immediate, .relative: place.linear
    case .memory: try load(place.linear, place.size, stack: place.isStack)
    case .segment: UInt64((segments + Int(place.register)).pointee.selector)
    case .none, .control, .debug, .farPointer, .x87, .mmx, .vector: 0
    }
  }

  /// Writes `value` at `place`.
  func set(_ place: Place, _ value: UInt64) throws(Interruption) {
    switch place.kind {
    case .general: writeRegister(place.register, value, place.size)
    case .highByte:
      self[register: place.register] = self[register: place.register] & ~0xFF00 | (value & 0xFF) &<< 8
    case .memory: try store(value, place.size, at: place.linear, stack: place.isStack)
    case .none, .immediate, .relative, .segment, .control, .debug, .farPointer, .x87, .mmx, .vector: break
    }
  }

  /// The value of `operand`, zero-extended.
  func value(of operand: Operand, _ instruction: borrowing Instruction) throws(Interruption) -> UInt64 {
    try value(at: place(of: operand, instruction, .read))
  }

  /// Writes `value` to `operand`, which is not read.
  func set(
    _ operand: Operand, _ instruction: borrowing Instruction, _ value: UInt64
  ) throws(Interruption) {
    try set(place(of: operand, instruction, .write), value)
  }

  /// Loads `size` bytes, zero-extended.
  @inline(always)
  func load(_ linear: UInt64, _ size: OperandSize, stack: Bool = false) throws(Interruption) -> UInt64 {
    switch size.bytes {
    case 1: UInt64(try load(linear, as: UInt8.self, stack: stack))
    case 2: UInt64(try load(linear, as: UInt16.self, stack: stack))
    case 4: UInt64(try load(linear, as: UInt32.self, stack: stack))
    default: try load(linear, as: UInt64.self, stack: stack)
    }
  }

  /// Stores the low `size` bytes of `value`.
  @inline(always)
  func store(_ value: UInt64, _ size: OperandSize, at linear: UInt64, stack: Bool = false)
    throws(Interruption)
  {
    switch size.bytes {
    case 1: try store(UInt8(truncatingIfNeeded: value), at: linear, stack: stack)
    case 2: try store(UInt16(truncatingIfNeeded: value), at: linear, stack: stack)
    case 4: try store(UInt32(truncatingIfNeeded: value), at: linear, stack: stack)
    default: try store(value, at: linear, stack: stack)
    }
  }
}
