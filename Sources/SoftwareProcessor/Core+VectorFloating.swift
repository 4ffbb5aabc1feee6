import InstructionDecoder
import X86

// Floating-point arithmetic of SSE and AVX.
//
// Source: SDM volume 1, "SSE and SSE2 SIMD Floating-Point Exceptions"; volume 2 at each instruction.

/// How the elements of an instruction are laid out, in the order of the mnemonics.
enum FloatingShape: UInt16 {
  case packedSingle, packedDouble, scalarSingle, scalarDouble

  /// That of the `offset`th of a group of mnemonics that come in fours.
  @inline(__always)
  init(_ offset: UInt16) {
    switch offset & 3 {
    case 0: self = .packedSingle
    case 1: self = .packedDouble
    case 2: self = .scalarSingle
    default: self = .scalarDouble
    }
  }

  @inline(__always)
  var isScalar: Bool { rawValue >= FloatingShape.scalarSingle.rawValue }
  @inline(__always)
  var isSingle: Bool { self == .packedSingle || self == .scalarSingle }
}

extension Core {
  /// What operations are told of MXCSR.
  @inline(__always)
  var vectorEnvironment: FloatingEnvironment { FloatingEnvironment(stickyMXCSR: extendedState.pointee.mxcsr) }

  /// Puts what was raised into MXCSR; an unmasked exception raises #XM, or #UD if the operating system knows of none.
  ///
  /// Source: SDM volume 3, "SIMD Floating-Point Exception (#XM)".
  @inline(__always)
  func complete(_ environment: FloatingEnvironment) throws(Interruption) {
    extendedState.pointee.mxcsr |= UInt32(environment.reported.rawValue)
    if environment.isFaulting {
      throw raise(cpu.pointee.cr4 & CR4.osxmmexcpt.rawValue != 0 ? .simdFloatingPoint : .invalidOpcode)
    }
  }

  func executeFloating(_ instruction: Instruction) throws(Interruption) {
    switch instruction.mnemonic {
    case .addps, .addpd, .addss, .addsd, .mulps, .mulpd, .mulss, .mulsd, .subps, .subpd, .subss, .subsd,
      .divps,
      .divpd, .divss, .divsd, .minps, .minpd, .minss, .minsd, .maxps, .maxpd, .maxss, .maxsd, .sqrtps,
      .sqrtpd, .sqrtss, .sqrtsd:
      try executeFloatingArithmetic(instruction)
    case .rcpps, .rcpss, .rsqrtps, .rsqrtss: try executeReciprocal(instruction)
    case .cmpps, .cmppd, .cmpss, .cmpsd: try executeFloatingComparison(instruction)
    case .comiss, .comisd, .ucomiss, .ucomisd: try executeFlagComparison(instruction)
    case .haddps, .haddpd, .hsubps, .hsubpd, .addsubps, .addsubpd: try executeHorizontal(instruction)
    case .dpps, .dppd: try executeDotProduct(instruction)
    case .roundps, .roundpd, .roundss, .roundsd: try executeRound(instruction)
    case _ where instruction.mnemonic.isFused: try executeFused(instruction)
    default: try executeConversion(instruction)
    }
  }

  /// How many elements of `size` bytes the instruction works on.
  @inline(__always)
  func elementCount(_ instruction: Instruction, _ size: Int) -> Int {
    instruction.prefixes.contains(.vex256) ? 32 / size : 16 / size
  }
}

// MARK: - Arithmetic

extension Core {
  private func executeFloatingArithmetic(_ instruction: Instruction) throws(Interruption) {
    let offset = instruction.mnemonic.rawValue &- Mnemonic.addps.rawValue
    let operation = FloatingOperation(rawValue: offset / 4) ?? .sum
    let shape = FloatingShape(offset)
    let isUnary = operation == .squareRoot && !shape.isScalar
    let second = try vector(isUnary ? instruction.operand1 : secondOperand(instruction), instruction)
    let first = firstSource(instruction)
    var result = first
    var environment = vectorEnvironment
    switch shape {
    case .packedSingle:
      for index in 0..<elementCount(instruction, 4) {
        result.dwords[index] = Binary32.result(
          operation, first.dwords[index], second.dwords[index], &environment)
      }
    case .packedDouble:
      for index in 0..<elementCount(instruction, 8) {
        result.quads[index] = Binary64.result(
          operation, first.quads[index], second.quads[index], &environment)
      }
    case .scalarSingle:
      result.dwords[0] = Binary32.result(operation, first.dwords[0], second.dwords[0], &environment)
    case .scalarDouble:
      result.quads[0] = Binary64.result(operation, first.quads[0], second.quads[0], &environment)
    }
    try complete(environment)
    try setVector(instruction.operand0, instruction, result)
  }

  /// HADDPx, HSUBPx: neighbours; ADDSUBPx: the even ones subtracted, the odd ones added.
  private func executeHorizontal(_ instruction: Instruction) throws(Interruption) {
    let second = try secondSource(instruction)
    let first = firstSource(instruction)
    var environment = vectorEnvironment
    var result = Vector()
    switch instruction.mnemonic {
    case .haddps, .hsubps:
      let operation: FloatingOperation = instruction.mnemonic == .haddps ? .sum : .difference
      for index in 0..<elementCount(instruction, 4) {
        let source = index & 2 == 0 ? first : second
        let pair = (index & 4) &+ (index & 1) &* 2
        result.dwords[index] = Binary32.result(
          operation, source.dwords[pair], source.dwords[pair &+ 1], &environment)
      }
    case .haddpd, .hsubpd:
      let operation: FloatingOperation = instruction.mnemonic == .haddpd ? .sum : .difference
      for index in 0..<elementCount(instruction, 8) {
        let source = index & 1 == 0 ? first : second
        result.quads[index] = Binary64.result(
          operation, source.quads[index & 2], source.quads[(index & 2) &+ 1], &environment)
      }
    case .addsubps:
      for index in 0..<elementCount(instruction, 4) {
        result.dwords[index] = Binary32.result(
          index & 1 == 0 ? .difference : .sum, first.dwords[index], second.dwords[index], &environment)
      }
    default:
      for index in 0..<elementCount(instruction, 8) {
        result.quads[index] = Binary64.result(
          index & 1 == 0 ? .difference : .sum, first.quads[index], second.quads[index], &environment)
      }
    }
    try complete(environment)
    try setVector(instruction.operand0, instruction, result)
  }

  /// DPPS, DPPD: in each lane the sum of the chosen products, in the chosen elements. The products, and each addition,
  /// raise their exceptions before the next step is computed.
  private func executeDotProduct(_ instruction: Instruction) throws(Interruption) {
    let second = try secondSource(instruction)
    let first = firstSource(instruction)
    let control = instruction.immediate
    var environment = vectorEnvironment
    var result = Vector()
    func isChosen(_ bit: Int) -> Bool { control &>> UInt64(truncatingIfNeeded: bit) & 1 != 0 }
    if instruction.mnemonic == .dppd {
      var products = SIMD2<UInt64>()
      for index in 0..<2 where isChosen(4 + index) {
        products[index] = Binary64.result(.product, first.quads[index], second.quads[index], &environment)
      }
      try complete(environment)
      environment = vectorEnvironment
      // Of two NaNs, each element prefers its own.
      for index in 0..<2 {
        let sum = Binary64.result(.sum, products[index], products[index ^ 1], &environment)
        if isChosen(index) { result.quads[index] = sum }
      }
    } else {
      let count = elementCount(instruction, 4)
      var products = SIMD8<UInt32>()
      for index in 0..<count where isChosen(4 + index & 3) {
        products[index] = Binary32.result(.product, first.dwords[index], second.dwords[index], &environment)
      }
      try complete(environment)
      environment = vectorEnvironment
      // Each element adds for itself, which tells where there are two NaNs: neighbours first, the other one's preferred.
      var sums = SIMD8<UInt32>()
      for index in 0..<count {
        sums[index] = Binary32.result(.sum, products[index ^ 1], products[index], &environment)
      }
      try complete(environment)
      environment = vectorEnvironment
      for index in 0..<count {
        let sum = Binary32.result(.sum, sums[index], sums[index ^ 2], &environment)
        if isChosen(index & 3) { result.dwords[index] = sum }
      }
    }
    try complete(environment)
    try setVector(instruction.operand0, instruction, result)
  }

  /// ROUNDxx: the immediate has the rounding, or says that MXCSR has it, and whether inexact results are told.
  private func executeRound(_ instruction: Instruction) throws(Interruption) {
    let shape = FloatingShape(instruction.mnemonic.rawValue &- Mnemonic.roundps.rawValue)
    let source = try vector(
      shape.isScalar ? secondOperand(instruction) : instruction.operand1, instruction)
    var result = firstSource(instruction)
    var environment = vectorEnvironment
    let control = UInt32(truncatingIfNeeded: instruction.immediate)
    let rounding = control & 4 != 0 ? environment.rounding : RoundingControl(bits: control)
    let isQuiet = control & 8 != 0
    let count = shape.isScalar ? 1 : elementCount(instruction, shape.isSingle ? 4 : 8)
    for index in 0..<count {
      if shape.isSingle {
        result.dwords[index] = Binary32.roundedToIntegral(
          source.dwords[index], rounding: rounding, isQuiet: isQuiet, &environment)
      } else {
        result.quads[index] = Binary64.roundedToIntegral(
          source.quads[index], rounding: rounding, isQuiet: isQuiet, &environment)
      }
    }
    try complete(environment)
    try setVector(instruction.operand0, instruction, result)
  }
}

// MARK: - Comparison

/// The predicates of CMPxx: the relations for which they hold, and whether a quiet NaN is invalid.
///
/// Source: SDM volume 2, "Comparison Predicate for CMPPD and CMPPS Instructions".
struct FloatingPredicate {
  /// One bit for each ``FloatingRelation``.
  private var relations: UInt8
  var isSignaling: Bool

  /// Less, equal, greater, unordered at bits 0 to 3, for the predicates 0 to 15; from 16 on what signals is the other way
  /// round.
  private static let table: InlineArray<16, UInt8> = [
    0b0010, 0b0001, 0b0011, 0b1000, 0b1101, 0b1110, 0b1100, 0b0111,
    0b1010, 0b1001, 0b1011, 0b0000, 0b0101, 0b0110, 0b0100, 0b1111,
  ]

  @inline(__always)
  init(_ number: UInt64) {
    relations = Self.table[Int(truncatingIfNeeded: number & 15)]
    // 1, 2, 5, 6, 9, 10, 13, 14.
    isSignaling = ((number &+ 1) & 2 != 0) != (number & 16 != 0)
  }

  @inline(__always)
  func holds(_ relation: FloatingRelation) -> Bool { relations &>> relation.rawValue & 1 != 0 }
}

extension Core {
  private func executeFloatingComparison(_ instruction: Instruction) throws(Interruption) {
    let shape = FloatingShape(instruction.mnemonic.rawValue &- Mnemonic.cmpps.rawValue)
    let second = try secondSource(instruction)
    let first = firstSource(instruction)
    let mask: UInt64 = instruction.prefixes.contains(.vex) ? 31 : 7
    let predicate = FloatingPredicate(instruction.immediate & mask)
    var result = first
    var environment = vectorEnvironment
    let count = shape.isScalar ? 1 : elementCount(instruction, shape.isSingle ? 4 : 8)
    for index in 0..<count {
      if shape.isSingle {
        let relation = Binary32.relation(
          first.dwords[index], second.dwords[index], isSignaling: predicate.isSignaling, &environment)
        result.dwords[index] = predicate.holds(relation) ? .max : 0
      } else {
        let relation = Binary64.relation(
          first.quads[index], second.quads[index], isSignaling: predicate.isSignaling, &environment)
        result.quads[index] = predicate.holds(relation) ? .max : 0
      }
    }
    try complete(environment)
    try setVector(instruction.operand0, instruction, result)
  }

  /// COMISx, UCOMISx.
  private func executeFlagComparison(_ instruction: Instruction) throws(Interruption) {
    let second = try vector(instruction.operand1, instruction)
    let first = self[vector: instruction.operand0.register]
    var environment = vectorEnvironment
    let relation: FloatingRelation
    switch instruction.mnemonic {
    case .comiss, .ucomiss:
      relation = Binary32.relation(
        first.dwords[0], second.dwords[0], isSignaling: instruction.mnemonic == .comiss, &environment)
    default:
      relation = Binary64.relation(
        first.quads[0], second.quads[0], isSignaling: instruction.mnemonic == .comisd, &environment)
    }
    try complete(environment)
    flags.pointee.value = relation.statusFlags
  }
}

extension FloatingRelation {
  /// ZF, PF and CF as a comparison sets them.
  @inline(__always)
  var statusFlags: UInt64 {
    switch self {
    case .less: StatusFlags.cf
    case .equal: StatusFlags.zf
    case .greater: 0
    case .unordered: StatusFlags.zf | StatusFlags.pf | StatusFlags.cf
    }
  }
}

// MARK: - Fused multiplication and addition

extension Core {
  private func executeFused(_ instruction: Instruction) throws(Interruption) {
    let third = try vector(instruction.operand2, instruction)
    let first = self[vector: instruction.operand0.register]
    let second = self[vector: instruction.operand1.register]
    let (a, b, c): (Vector, Vector, Vector) =
      switch instruction.condition {
      case 1: (first, third, second)
      case 2: (second, first, third)
      default: (second, third, first)
      }
    var result = first
    var environment = vectorEnvironment
    let signs = FusedSigns(instruction.mnemonic)
    let isSingle = instruction.operandSize == 4
    let count = signs.isScalar ? 1 : elementCount(instruction, isSingle ? 4 : 8)
    for index in 0..<count {
      if isSingle {
        result.dwords[index] = Binary32.fusedProductSum(
          a.dwords[index], b.dwords[index], c.dwords[index], negatingProduct: signs.negatesProduct,
          negatingAddend: signs.negatesAddend(index), &environment)
      } else {
        result.quads[index] = Binary64.fusedProductSum(
          a.quads[index], b.quads[index], c.quads[index], negatingProduct: signs.negatesProduct,
          negatingAddend: signs.negatesAddend(index), &environment)
      }
    }
    try complete(environment)
    try setVector(instruction.operand0, instruction, result)
  }
}

/// What a fused multiplication and addition negates.
private struct FusedSigns {
  let isScalar: Bool
  let negatesProduct: Bool
  private let negatesEven: Bool
  private let negatesOdd: Bool

  init(_ mnemonic: Mnemonic) {
    switch mnemonic {
    case .vfmaddScalar, .vfmsubScalar, .vfnmaddScalar, .vfnmsubScalar: isScalar = true
    default: isScalar = false
    }
    switch mnemonic {
    case .vfnmadd, .vfnmaddScalar, .vfnmsub, .vfnmsubScalar: negatesProduct = true
    default: negatesProduct = false
    }
    switch mnemonic {
    case .vfmsub, .vfmsubScalar, .vfnmsub, .vfnmsubScalar:
      negatesEven = true
      negatesOdd = true
    default:
      negatesEven = mnemonic == .vfmaddsub
      negatesOdd = mnemonic == .vfmsubadd
    }
  }

  @inline(__always)
  func negatesAddend(_ index: Int) -> Bool { index & 1 == 0 ? negatesEven : negatesOdd }
}
