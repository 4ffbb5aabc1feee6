import X86

// What the interpreter's cases do. All of it is inlined into the loop, where the operation, the form and the size are
// constants.

/// The operations of two operands, in the order of the opcode's bits 5:3, and TEST.
enum BinaryOperation: UInt16 {
  case add, or, adc, sbb, and, sub, xor, cmp, test

  /// Whether the destination is only read.
  @inline(always)
  var keepsDestination: Bool { self == .cmp || self == .test }
}

/// The forms of two operands, destination first: register, memory, immediate.
enum BinaryForm: UInt16 {
  case rr, ri, rm, mr, mi
}

enum UnaryOperation: UInt16 {
  case inc, dec, neg, not
}

enum UnaryForm: UInt16 {
  case r, m
}

enum ShiftOperation: UInt16 {
  case rol, ror, shl, shr, sar
}

// MARK: - Operands

extension Core {
  typealias Step = UnsafeMutablePointer<Record>

  /// The linear address of the record's memory operand.
  @inline(always)
  func address(_ record: Step) -> UInt64 {
    self[register: record.pointee.base] &+ self[register: record.pointee.index]
      &<< UInt64(record.pointee.scale)
      &+ record.pointee.displacement
  }

  @inline(always)
  func loadOperand(_ size: OperandSize, _ record: Step) throws(Interruption) -> UInt64 {
    try load(address(record), size, stack: record.pointee.form == .stack)
  }

  /// The host address of `size` bytes at `linear` that can be written at once, or nil.
  @inline(always)
  func writablePointer(_ linear: UInt64, _ size: OperandSize) -> UnsafeMutableRawPointer? {
    let entry = cpu.pointee.machine.translations.pointee.writes + TranslationCache.index(linear)
    let last = linear &+ UInt64(size.bytes &- 1)
    guard entry.pointee.tag == last & ~0xFFF | cpu.pointee.contexts.data else { return nil }
    return UnsafeMutableRawPointer(bitPattern: Int(truncatingIfNeeded: linear) &+ entry.pointee.addend)
  }

  /// The right operand of a form whose left one is not memory, or the source of one whose destination is.
  @inline(always)
  func source(_ form: BinaryForm, _ size: OperandSize, _ record: Step) throws(Interruption) -> UInt64 {
    switch form {
    case .rr, .mr: readRegister(record.pointee.source, size)
    case .ri, .mi: record.pointee.immediate
    case .rm: try loadOperand(size, record)
    }
  }

  /// A condition that is not known before it executes.
  @inline(never)
  func condition(_ condition: UInt8) -> Bool { flags.pointee.holds(condition) }
}

extension UnsafeMutableRawPointer {
  @inline(always)
  func read(_ size: OperandSize) -> UInt64 {
    switch size.bytes {
    case 1: UInt64(assumingMemoryBound(to: UInt8.self).pointee)
    case 2: UInt64(assumingMemoryBound(to: UInt16.self).pointee)
    case 4: UInt64(assumingMemoryBound(to: UInt32.self).pointee)
    default: assumingMemoryBound(to: UInt64.self).pointee
    }
  }

  @inline(always)
  func write(_ value: UInt64, _ size: OperandSize) {
    switch size.bytes {
    case 1: assumingMemoryBound(to: UInt8.self).pointee = UInt8(truncatingIfNeeded: value)
    case 2: assumingMemoryBound(to: UInt16.self).pointee = UInt16(truncatingIfNeeded: value)
    case 4: assumingMemoryBound(to: UInt32.self).pointee = UInt32(truncatingIfNeeded: value)
    default: assumingMemoryBound(to: UInt64.self).pointee = value
    }
  }
}

// MARK: - Arithmetic and logic

extension Core {
  /// The result of `operation`, with its flags set.
  @inline(always)
  func applied(
    _ operation: BinaryOperation, _ left: UInt64, _ right: UInt64, _ size: OperandSize
  ) -> UInt64 {
    switch operation {
    case .add: flags.pointee.add(left, right, size)
    case .or: flags.pointee.logic(left | right, size)
    case .adc: flags.pointee.addWithCarry(left, right, size)
    case .sbb: flags.pointee.subtractWithBorrow(left, right, size)
    case .and, .test: flags.pointee.logic(left & right, size)
    case .sub, .cmp: flags.pointee.subtract(left, right, size)
    case .xor: flags.pointee.logic(left ^ right, size)
    }
  }

  @inline(always)
  func binary(
    _ operation: BinaryOperation, _ form: BinaryForm, _ size: OperandSize, _ record: Step
  ) throws(Interruption) {
    let right = try source(form, size, record)
    switch form {
    case .rr, .ri, .rm:
      let destination = record.pointee.destination
      let result = applied(operation, readRegister(destination, size), right, size)
      if !operation.keepsDestination { writeRegister(destination, result, size) }
    case .mr, .mi:
      if operation.keepsDestination {
        _ = applied(operation, try loadOperand(size, record), right, size)
        return
      }
      let linear = address(record)
      if let pointer = writablePointer(linear, size) {
        pointer.write(applied(operation, pointer.read(size), right, size), size)
      } else {
        try modifySlowly(operation, linear, right, size, stack: record.pointee.form == .stack)
      }
    }
  }

  @inline(never)
  func modifySlowly(
    _ operation: BinaryOperation, _ linear: UInt64, _ right: UInt64, _ size: OperandSize, stack: Bool
  ) throws(Interruption) {
    try checkWrite(linear, count: Int(size.bytes), stack: stack)
    let left = try load(linear, size, stack: stack)
    try store(applied(operation, left, right, size), size, at: linear, stack: stack)
  }

  @inline(always)
  func applied(_ operation: UnaryOperation, _ value: UInt64, _ size: OperandSize) -> UInt64 {
    switch operation {
    case .inc: flags.pointee.increment(value, size)
    case .dec: flags.pointee.decrement(value, size)
    case .neg: flags.pointee.subtract(0, value, size)
    case .not: ~value
    }
  }

  @inline(always)
  func unary(
    _ operation: UnaryOperation, _ form: UnaryForm, _ size: OperandSize, _ record: Step
  ) throws(Interruption) {
    if form == .r {
      let destination = record.pointee.destination
      return writeRegister(destination, applied(operation, readRegister(destination, size), size), size)
    }
    let linear = address(record)
    if let pointer = writablePointer(linear, size) {
      return pointer.write(applied(operation, pointer.read(size), size), size)
    }
    let stack = record.pointee.form == .stack
    try checkWrite(linear, count: Int(size.bytes), stack: stack)
    let value = try load(linear, size, stack: stack)
    try store(applied(operation, value, size), size, at: linear, stack: stack)
  }

  /// A shift of a register by an immediate (`.ri`, masked and not zero) or by CL (`.rr`).
  @inline(always)
  func shift(_ operation: ShiftOperation, _ form: BinaryForm, _ size: OperandSize, _ record: Step) {
    let destination = record.pointee.destination
    let value = readRegister(destination, size)
    let count = form == .ri ? record.pointee.immediate : self[.rcx] & (size == .qword ? 63 : 31)
    if form == .rr, count == 0 { return writeRegister(destination, value, size) }
    let result: UInt64 =
      switch operation {
      case .rol: flags.pointee.rotateLeft(value, by: count, size)
      case .ror: flags.pointee.rotateRight(value, by: count, size)
      case .shl: flags.pointee.shiftLeft(value, by: count, size)
      case .shr: flags.pointee.shiftRight(value, by: count, size)
      case .sar: flags.pointee.shiftRightArithmetic(value, by: count, size)
      }
    writeRegister(destination, result, size)
  }

  /// IMUL of two operands.
  @inline(always)
  func multiply(_ form: BinaryForm, _ size: OperandSize, _ record: Step) throws(Interruption) {
    let right = try source(form, size, record)
    multiply(readRegister(record.pointee.destination, size), right, size, record)
  }

  /// IMUL of a register and an immediate.
  @inline(always)
  func multiplyImmediate(_ size: OperandSize, _ record: Step) {
    multiply(self[register: record.pointee.source], record.pointee.immediate, size, record)
  }

  @inline(always)
  private func multiply(_ left: UInt64, _ right: UInt64, _ size: OperandSize, _ record: Step) {
    let a = Int64(bitPattern: size.extended(left))
    let (low, overflow) = a.multipliedReportingOverflow(by: Int64(bitPattern: size.extended(right)))
    let product = UInt64(bitPattern: low)
    let overflows = overflow || size.extended(product) != product
    flags.pointee.set(product, size, bits: overflows ? StatusFlags.cf | StatusFlags.of : 0)
    writeRegister(record.pointee.destination, product, size)
  }

  /// MUL of a register: rDX:rAX = rAX × register.
  @inline(always)
  func multiplyWide(_ size: OperandSize, _ record: Step) {
    let wide = readRegister(0, size).multipliedFullWidth(by: readRegister(record.pointee.source, size))
    let high = size == .qword ? wide.high : wide.low &>> 32
    writeRegister(0, wide.low, size)
    writeRegister(2, high, size)
    flags.pointee.set(wide.low, size, bits: high == 0 ? 0 : StatusFlags.cf | StatusFlags.of)
  }

  @inline(always)
  func bitTest(_ form: BinaryForm, _ size: OperandSize, _ record: Step) {
    let offset = form == .ri ? record.pointee.immediate : self[register: record.pointee.source]
    let bit = self[register: record.pointee.destination] &>> (offset & (size.bits &- 1)) & 1
    flags.pointee.replace(StatusFlags.cf, with: bit)
  }
}
