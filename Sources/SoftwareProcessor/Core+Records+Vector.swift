import InstructionDecoder
import X86

// Records of the SSE instructions that compute loops are made of. Each is a call: they would make the interpreter's loop
// larger than it is worth.
extension Core {
  /// What an SSE instruction without a VEX prefix needs: see ``requireVectors(_:usesMMX:)``.
  @inline(__always)
  private func requireSSERecord() throws(Interruption) {
    let refused = CR0([.em, .ts]).rawValue
    guard cpu.pointee.cr0 & refused == 0, cpu.pointee.cr4 & CR4.osfxsr.rawValue != 0 else {
      let isUndefined = cpu.pointee.cr0 & CR0.em.rawValue != 0 || cpu.pointee.cr4 & CR4.osfxsr.rawValue == 0
      throw raise(isUndefined ? .invalidOpcode : .deviceNotAvailable)
    }
  }

  /// The address of 16 bytes; misaligned where the record's condition says that it must not be, it raises #GP(0).
  @inline(__always)
  private func vectorAddress(_ record: Step) throws(Interruption) -> UInt64 {
    let linear = address(record)
    guard linear & UInt64(record.pointee.condition) == 0 else { throw misaligned(linear, record) }
    return linear
  }

  @inline(never)
  private func misaligned(_ linear: UInt64, _ record: Step) -> Interruption {
    let isStack = record.pointee.form == .stack
    let last = linear &+ 15
    return raise(
      isStack && !(isCanonical(linear) && isCanonical(last)) ? .stackSegmentFault : .generalProtection)
  }

  /// MOVAPS, MOVDQU and the like between registers.
  @inline(never)
  func vectorMove(_ record: Step) throws(Interruption) {
    try requireSSERecord()
    setXMM(record.pointee.destination, self[vector: record.pointee.source])
  }

  @inline(never)
  func vectorLoad(_ record: Step) throws(Interruption) {
    try requireSSERecord()
    let linear = try vectorAddress(record)
    setXMM(record.pointee.destination, try loadVector(linear, 16, stack: record.pointee.form == .stack))
  }

  @inline(never)
  func vectorStore(_ record: Step) throws(Interruption) {
    try requireSSERecord()
    let linear = try vectorAddress(record)
    let value = self[vector: record.pointee.source]
    try storeVector(value, at: linear, 16, stack: record.pointee.form == .stack)
  }

  /// MOVSS, MOVSD and MOVQ from memory: the rest of the register becomes zero.
  @inline(never)
  func scalarLoad(_ size: OperandSize, _ record: Step) throws(Interruption) {
    try requireSSERecord()
    setXMM(record.pointee.destination, Vector(try loadOperand(size, record)))
  }

  @inline(never)
  func scalarStore(_ size: OperandSize, _ record: Step) throws(Interruption) {
    try requireSSERecord()
    let value = self[vector: record.pointee.source].quads[0]
    try store(value, size, at: address(record), stack: record.pointee.form == .stack)
  }

  /// An integer instruction of two registers, which the record carries.
  @inline(never)
  func vectorCombine(_ record: Step) throws(Interruption) {
    try requireSSERecord()
    guard let instruction = record.pointee.instruction else { return }
    let mnemonic = instruction.pointee.mnemonic
    let first = self[vector: record.pointee.destination]
    let second = self[vector: record.pointee.source]
    setXMM(
      record.pointee.destination,
      first.combined(mnemonic, second) ?? first.arranged(mnemonic, second, lane: 16))
  }

  /// ADDSD, MULSD, SUBSD, DIVSD: the record's condition is the ``FloatingOperation``.
  @inline(never)
  func scalarDouble(_ form: BinaryForm, _ record: Step) throws(Interruption) {
    try requireSSERecord()
    let isMemory = form == .rm
    let second =
      isMemory ? try loadOperand(.qword, record) : self[vector: record.pointee.source].quads[0]
    let place = UnsafeMutableRawPointer(vectors + Int(record.pointee.destination & 15))
      .assumingMemoryBound(to: UInt64.self)
    var environment = vectorEnvironment
    let operation = FloatingOperation(rawValue: UInt16(record.pointee.condition)) ?? .sum
    let result = Binary64.result(operation, place.pointee, second, &environment)
    try complete(environment)
    place.pointee = result
  }
}
