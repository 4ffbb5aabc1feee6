import InstructionDecoder
import X86

// FXSAVE, FXRSTOR, LDMXCSR and STMXCSR.
//
// Source: SDM volume 1, "FXSAVE Area" and "MXCSR Control and Status Register"; volume 2 at each instruction.

/// Where the parts of the legacy region of an FXSAVE or XSAVE area are, in bytes.
enum LegacyRegion {
  static let size: UInt64 = 512
  static let mxcsr: UInt64 = 24
  static let x87Registers: UInt64 = 32
  static let xmmRegisters: UInt64 = 160
  /// What FXSAVE and XSAVE write of it; the rest is for software.
  static let written: UInt64 = 416
}

/// MXCSR.
enum MXCSR {
  static let initial: UInt32 = 0x1F80
  /// The bits that are not reserved: MXCSR_MASK.
  static let mask: UInt32 = 0xFFFF
}

extension Core {
  /// FXSAVE, FXRSTOR, LDMXCSR, STMXCSR.
  func executeStateMovement(_ instruction: borrowing Instruction) throws(Interruption) {
    switch instruction.mnemonic {
    case .fxsave: try executeFXSAVE(instruction)
    case .fxrstor: try executeFXRSTOR(instruction)
    case .ldmxcsr: try executeLDMXCSR(instruction)
    default: try executeSTMXCSR(instruction)
    }
  }

  private func executeFXSAVE(_ instruction: borrowing Instruction) throws(Interruption) {
    guard cpu.pointee.cr0 & CR0([.em, .ts]).rawValue == 0 else { throw raise(.deviceNotAvailable) }
    let area = try area(of: instruction, count: Int(LegacyRegion.size), access: .write, alignment: 16)
    try area.checkWrite(0, count: Int(LegacyRegion.size))
    try saveX87(to: area, is64: instruction.operandSize == 8)
    try area.store(extendedState.pointee.mxcsr, at: LegacyRegion.mxcsr)
    try area.store(MXCSR.mask, at: LegacyRegion.mxcsr &+ 4)
    try saveXMM(to: area)
  }

  private func executeFXRSTOR(_ instruction: borrowing Instruction) throws(Interruption) {
    guard cpu.pointee.cr0 & CR0([.em, .ts]).rawValue == 0 else { throw raise(.deviceNotAvailable) }
    let area = try area(of: instruction, count: Int(LegacyRegion.size), access: .read, alignment: 16)
    try area.checkRead(count: LegacyRegion.size)
    let mxcsr = try area.load(LegacyRegion.mxcsr, as: UInt32.self)
    guard mxcsr & ~MXCSR.mask == 0 else { throw raise(.generalProtection) }
    try restoreX87(from: area, is64: instruction.operandSize == 8)
    extendedState.pointee.mxcsr = mxcsr
    try restoreXMM(from: area)
  }

  /// Refuses what SSE instructions without data refuse.
  private func requireSSE() throws(Interruption) {
    guard !cr0.contains(.em), cr4.contains(.osfxsr) else { throw raise(.invalidOpcode) }
    guard !cr0.contains(.ts) else { throw raise(.deviceNotAvailable) }
  }

  private func executeLDMXCSR(_ instruction: borrowing Instruction) throws(Interruption) {
    try requireSSE()
    let value = UInt32(truncatingIfNeeded: try value(of: instruction.operand0, instruction))
    guard value & ~MXCSR.mask == 0 else { throw raise(.generalProtection) }
    extendedState.pointee.mxcsr = value
  }

  private func executeSTMXCSR(_ instruction: borrowing Instruction) throws(Interruption) {
    try requireSSE()
    try set(instruction.operand0, instruction, UInt64(extendedState.pointee.mxcsr))
  }
}

// MARK: - The components of the legacy region

extension Core {
  /// Saves x87 state: bytes 23:0 and 159:32.
  func saveX87(to area: MemoryArea, is64: Bool) throws(Interruption) {
    let state = extendedState
    try area.store(state.pointee.controlWord, at: 0)
    try area.store(state.pointee.statusWord, at: 2)
    try area.store(UInt16(state.pointee.tags), at: 4)
    try area.store(state.pointee.opcode, at: 6)
    try savePointer(state.pointee.instructionPointer, to: area, at: 8, is64)
    try savePointer(state.pointee.dataPointer, to: area, at: 16, is64)
    for index in UInt8(0)..<8 {
      let offset = LegacyRegion.x87Registers &+ UInt64(index) &* 16
      let value = x87[index]
      try area.store(value.significand, at: offset)
      try area.store(UInt64(value.signAndExponent), at: offset &+ 8)
    }
  }

  /// Saves an instruction or data pointer. This processor deprecates the selectors: it saves zeros for them.
  private func savePointer(
    _ pointer: UInt64, to area: MemoryArea, at offset: UInt64, _ is64: Bool
  ) throws(Interruption) {
    try area.store(is64 ? pointer : pointer & 0xFFFF_FFFF, at: offset)
  }

  /// Loads x87 state.
  func restoreX87(from area: MemoryArea, is64: Bool) throws(Interruption) {
    let state = extendedState
    let status = try area.load(2, as: UInt16.self)
    state.pointee.statusWord = status
    state.pointee.tags = try area.load(4, as: UInt8.self)
    state.pointee.opcode = try area.load(6, as: UInt16.self) & 0x7FF
    let mask: UInt64 = is64 ? .max : 0xFFFF_FFFF
    state.pointee.instructionPointer = try area.load(8, as: UInt64.self) & mask
    state.pointee.dataPointer = try area.load(16, as: UInt64.self) & mask
    state.pointee.instructionSelector = 0
    state.pointee.dataSelector = 0
    for index in UInt8(0)..<8 {
      let number = Int((x87.top &+ UInt16(index)) & 7)
      x87.registers[number] = try area.load(LegacyRegion.x87Registers &+ UInt64(index) &* 16)
    }
    x87.setControlWord(try area.load(0, as: UInt16.self))
  }

  /// How many XMM registers there are in this mode.
  private var vectorCount: Int { is64BitMode ? 16 : 8 }

  /// Saves the low halves of the vector registers: bytes 415:160.
  func saveXMM(to area: MemoryArea) throws(Interruption) {
    for number in 0..<vectorCount {
      let offset = LegacyRegion.xmmRegisters &+ UInt64(number) &* 16
      try area.store(extendedState.pointee.vectors[number].words[0], at: offset)
      try area.store(extendedState.pointee.vectors[number].words[1], at: offset &+ 8)
    }
  }

  func restoreXMM(from area: MemoryArea) throws(Interruption) {
    for number in 0..<vectorCount {
      let offset = LegacyRegion.xmmRegisters &+ UInt64(number) &* 16
      extendedState.pointee.vectors[number].words[0] = try area.load(offset, as: UInt64.self)
      extendedState.pointee.vectors[number].words[1] = try area.load(offset &+ 8, as: UInt64.self)
    }
  }

  /// Saves the upper halves of the YMM registers, from `offset` of the area.
  func saveUpperHalves(to area: MemoryArea, at offset: UInt64) throws(Interruption) {
    for number in 0..<vectorCount {
      let place = offset &+ UInt64(number) &* 16
      try area.store(extendedState.pointee.vectors[number].words[2], at: place)
      try area.store(extendedState.pointee.vectors[number].words[3], at: place &+ 8)
    }
  }

  func restoreUpperHalves(from area: MemoryArea, at offset: UInt64) throws(Interruption) {
    for number in 0..<vectorCount {
      let place = offset &+ UInt64(number) &* 16
      extendedState.pointee.vectors[number].words[2] = try area.load(place, as: UInt64.self)
      extendedState.pointee.vectors[number].words[3] = try area.load(place &+ 8, as: UInt64.self)
    }
  }

  // MARK: Initial configurations

  /// Which components are not in their initial configuration: XINUSE.
  ///
  /// Source: SDM volume 1, "XINUSE".
  var componentsInUse: UInt64 {
    let state = extendedState
    var inUse: UInt64 = 0
    if isX87InUse { inUse |= ExtendedStateComponent.x87 }
    var low: UInt64 = 0
    var high: UInt64 = 0
    for number in 0..<16 {
      low |= state.pointee.vectors[number].words[0] | state.pointee.vectors[number].words[1]
      high |= state.pointee.vectors[number].words[2] | state.pointee.vectors[number].words[3]
    }
    if low != 0 { inUse |= ExtendedStateComponent.sse }
    if high != 0 { inUse |= ExtendedStateComponent.avx }
    return inUse
  }

  private var isX87InUse: Bool {
    let state = extendedState
    var bits = UInt64(state.pointee.statusWord) | UInt64(state.pointee.tags) | UInt64(state.pointee.opcode)
    bits |= state.pointee.instructionPointer | state.pointee.dataPointer
    bits |= UInt64(state.pointee.controlWord ^ X87Unit.Control.initial)
    for number in 0..<8 {
      bits |= x87.registers[number].significand | UInt64(x87.registers[number].signAndExponent)
    }
    return bits != 0
  }

  func initializeX87() {
    x87.initialize()
    for number in 0..<8 { x87.registers[number] = X87Register() }
  }

  /// Clears words `range` of the vector registers.
  func clearVectors(_ range: Range<Int>) {
    for number in 0..<vectorCount {
      for word in range { extendedState.pointee.vectors[number].words[word] = 0 }
    }
  }
}
