import InstructionDecoder
import X86

// FLD, FST, FILD, FIST, FISTTP, FBLD, FBSTP.
//
// Source: SDM volume 2 at each instruction; volume 1, "Floating-Point Exception Conditions".

// MARK: - Loads

extension Core {
  func executeX87Load(_ instruction: borrowing Instruction) throws(Interruption) {
    var environment = x87.environment
    let value: X87Register
    switch (instruction.mnemonic, instruction.operand0.kind, instruction.operand0.size) {
    case (.fld, .x87, _): return x87.pushCopy(of: instruction.operand0.register)
    case (.fld, _, 10): value = try loadReal80(instruction)
    case (.fbld, _, _): value = X87Register(packedDecimal: try loadReal80(instruction))
    default:
      let operand = try x87Operand(instruction, &environment)
      value = X87Register(operand, precision: 64, &environment)
    }
    guard x87.prepareForPush() else { return }
    // An unmasked denormal-operand exception does not keep a load from being made.
    guard x87.note(environment) || !environment.raised.contains(.invalidOperation) else { return }
    x87.push(value)
  }

  private func loadReal80(_ instruction: borrowing Instruction) throws(Interruption) -> X87Register {
    let area = try area(of: instruction, count: 10, access: .read)
    try area.checkRead(count: 10)
    return try area.load(0)
  }

  /// The value of a memory operand, a real or an integer; a real tells what loading it raises.
  private func x87Operand(
    _ instruction: borrowing Instruction, _ environment: inout FloatingEnvironment
  ) throws(Interruption) -> UnroundedValue {
    let value = try x87Source(instruction)
    environment.noteDenormal(value, value)
    return value.kind.isNumber ? value : environment.propagated(value)
  }

  /// The value of a memory operand as arithmetic takes it.
  func x87Source(_ instruction: borrowing Instruction) throws(Interruption) -> UnroundedValue {
    let bits = try value(of: instruction.operand0, instruction)
    switch instruction.mnemonic {
    case .fild, .fiadd, .fimul, .ficom, .ficomp, .fisub, .fisubr, .fidiv, .fidivr:
      return UnroundedValue(Int64(bitPattern: OperandSize(instruction.operand0.size).extended(bits)))
    default:
      return instruction.operand0.size == 4
        ? Binary32.decoded(UInt32(truncatingIfNeeded: bits), denormalsAreZeros: false)
        : Binary64.decoded(bits, denormalsAreZeros: false)
    }
  }
}

extension X87Unit {
  /// FLD ST(i).
  fileprivate func pushCopy(of index: UInt8) {
    guard !isEmpty(index) else {
      if stackFault(isOverflow: false) { push(.indefinite) }
      return
    }
    let value = self[index]
    if prepareForPush() { push(value) }
  }
}

// MARK: - Stores

extension Core {
  func executeX87Store(_ instruction: borrowing Instruction) throws(Interruption) {
    let mnemonic = instruction.mnemonic
    let pops = mnemonic != .fst && mnemonic != .fist
    guard instruction.operand0.kind == .memory else {
      let isD9 = instruction.immediate &>> 8 == 1
      return x87.copyTop(to: instruction.operand0.register, pops: pops, checksStack: !isD9)
    }
    let isStored =
      switch (instruction.mnemonic, instruction.operand0.size) {
      case (.fstp, 10), (.fbstp, _): try storeReal80(instruction)
      case (.fst, _), (.fstp, _): try storeReal(instruction)
      default: try storeInteger(instruction)
      }
    if isStored, pops { x87.pop() }
  }

  /// FSTP of 80 bits, which converts nothing, and FBSTP. Each returns whether it stored.
  private func storeReal80(_ instruction: borrowing Instruction) throws(Interruption) -> Bool {
    let isDecimal = instruction.mnemonic == .fbstp
    var environment = x87.environment
    var value = x87[0]
    if x87.isEmpty(0) {
      value = isDecimal ? .packedIndefinite : .indefinite
    } else if isDecimal {
      value = value.packedDecimal(&environment)
    }
    guard x87.stores(environment) else { return x87.noteStore(environment) }
    let area = try area(of: instruction, count: 10, access: .write)
    try area.checkWrite(0, count: 10)
    _ = x87.noteStore(environment)
    try area.store(value, at: 0)
    return true
  }

  /// FST and FSTP of 32 and 64 bits.
  private func storeReal(_ instruction: borrowing Instruction) throws(Interruption) -> Bool {
    let isSingle = instruction.operand0.size == 4
    var environment = x87.environment
    var value = x87.isEmpty(0) ? .indefinite : x87[0].decoded
    if !value.kind.isNumber { value = environment.propagated(value) }
    let bits =
      isSingle
      ? UInt64(Binary32.encoded(value, &environment)) : Binary64.encoded(value, &environment)
    return try store(bits, instruction, environment)
  }

  /// FIST, FISTP and FISTTP.
  private func storeInteger(_ instruction: borrowing Instruction) throws(Interruption) -> Bool {
    let size = instruction.operand0.size
    var environment = x87.environment
    let rounding = instruction.mnemonic == .fisttp ? .towardZero : environment.rounding
    // Of a NaN, and so of an empty register, the integer indefinite.
    let value = x87.isEmpty(0) ? .indefinite : x87[0].decoded
    let bits: UInt64 =
      switch size {
      case 2: UInt64(truncatingIfNeeded: environment.integer(value, as: Int16.self, rounding: rounding))
      case 4: UInt64(truncatingIfNeeded: environment.integer(value, as: Int32.self, rounding: rounding))
      default: UInt64(truncatingIfNeeded: environment.integer(value, as: Int64.self, rounding: rounding))
      }
    return try store(bits, instruction, environment)
  }

  /// Stores `bits` unless an exception of `environment`, or of an empty ST(0), keeps them out of memory; memory's own
  /// faults come before anything is told.
  private func store(
    _ bits: UInt64, _ instruction: borrowing Instruction, _ environment: FloatingEnvironment
  ) throws(Interruption) -> Bool {
    guard x87.stores(environment) else { return x87.noteStore(environment) }
    let place = try place(of: instruction.operand0, instruction, .write)
    _ = x87.noteStore(environment)
    try set(place, bits)
    return true
  }
}

extension X87Unit {
  /// FST ST(i) and FSTP ST(i). The encoding D9 D8 of FSTP copies nothing from an empty register, and is
  /// content.
  fileprivate func copyTop(to index: UInt8, pops: Bool, checksStack: Bool) {
    if isEmpty(0), !checksStack {
      setConditions(0, mask: Status.c1)
    } else if isEmpty(0) {
      guard stackFault(isOverflow: false) else { return }
      self[index] = .indefinite
    } else {
      setConditions(0, mask: Status.c1)
      self[index] = self[0]
    }
    if pops { pop() }
  }
}

// MARK: - Packed decimals

// SDM volume 1, "Packed BCD Encoding of Packed BCD Integers": 18 digits in 9 bytes, and the sign in the tenth.
extension X87Register {
  private static var greatestDecimal: UInt64 { 999_999_999_999_999_999 }

  /// The packed BCD indefinite.
  fileprivate static var packedIndefinite: X87Register {
    X87Register(significand: 0xC000_0000_0000_0000, signAndExponent: 0xFFFF)
  }

  /// The value of the 10 bytes of a packed decimal.
  fileprivate init(packedDecimal: X87Register) {
    var value: UInt64 = 0
    for digit in 0..<18 {
      let position = UInt64(17 &- digit)
      let nibble =
        position >= 16
        ? UInt64(packedDecimal.signAndExponent) &>> ((position &- 16) &* 4)
        : packedDecimal.significand &>> (position &* 4)
      value = value &* 10 &+ (nibble & 0xF)
    }
    let isNegative = packedDecimal.signAndExponent & 0x8000 != 0
    guard value != 0 else {
      self.init(isNegative: isNegative, biasedExponent: 0, significand: 0)
      return
    }
    let shift = value.leadingZeroBitCount
    let exponent = UInt16(truncatingIfNeeded: 63 &- shift) &+ UInt16(Self.exponentBias)
    self.init(
      isNegative: isNegative, biasedExponent: exponent, significand: value &<< UInt64(shift))
  }

  /// The 10 bytes of the value rounded to an integer of 18 digits.
  fileprivate func packedDecimal(_ environment: inout FloatingEnvironment) -> X87Register {
    var own = environment
    let integer = own.integer(decoded, as: Int64.self, rounding: environment.rounding)
    guard !own.raised.contains(.invalidOperation), integer.magnitude <= Self.greatestDecimal else {
      environment.raise(.invalidOperation)
      return .packedIndefinite
    }
    environment = own
    var rest = integer.magnitude
    var digits: UInt128 = 0
    for position in 0..<18 {
      let (quotient, digit) = rest.quotientAndRemainder(dividingBy: 10)
      digits |= UInt128(digit) &<< UInt128(position &* 4)
      rest = quotient
    }
    let sign: UInt16 = isNegative ? 0x8000 : 0
    return X87Register(
      significand: UInt64(truncatingIfNeeded: digits),
      signAndExponent: UInt16(truncatingIfNeeded: digits &>> 64) | sign)
  }
}
