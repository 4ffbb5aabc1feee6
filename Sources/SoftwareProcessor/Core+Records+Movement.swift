import X86

// MARK: - Moves

extension Core {
  @inline(always)
  func moveRegister(_ size: OperandSize, _ record: Step) {
    writeRegister(record.pointee.destination, self[register: record.pointee.source], size)
  }

  @inline(always)
  func moveImmediateByte(_ record: Step) {
    writeRegister(record.pointee.destination, record.pointee.immediate, .byte)
  }

  @inline(always)
  func moveLoad(_ size: OperandSize, _ record: Step) throws(Interruption) {
    let value = try loadOperand(size, record)
    writeRegister(record.pointee.destination, value, size)
  }

  @inline(always)
  func moveStore(_ size: OperandSize, _ record: Step) throws(Interruption) {
    try storeOperand(self[register: record.pointee.source], size, record)
  }

  @inline(always)
  func moveStoreImmediate(_ size: OperandSize, _ record: Step) throws(Interruption) {
    try storeOperand(record.pointee.immediate, size, record)
  }

  @inline(always)
  private func storeOperand(_ value: UInt64, _ size: OperandSize, _ record: Step) throws(Interruption) {
    try store(value, size, at: address(record), stack: record.pointee.form == .stack)
  }

  /// MOVZX, MOVSX and MOVSXD.
  @inline(always)
  func extend(
    _ form: BinaryForm, from narrow: OperandSize, to wide: OperandSize, signed: Bool, _ record: Step
  ) throws(Interruption) {
    let value = try source(form, narrow, record)
    writeRegister(record.pointee.destination, signed ? narrow.extended(value) : value, wide)
  }

  @inline(always)
  func loadAddress(_ size: OperandSize, _ record: Step) {
    writeRegister(record.pointee.destination, address(record), size)
  }

  @inline(always)
  func conditionalMove(_ form: BinaryForm, _ size: OperandSize, _ record: Step) throws(Interruption) {
    let value = try source(form, size, record)
    let destination = record.pointee.destination
    let holds = condition(record.pointee.condition)
    writeRegister(destination, holds ? value : self[register: destination], size)
  }
}

// MARK: - The stack in 64-bit mode

extension Core {
  @inline(always)
  func pushInline(_ value: UInt64) throws(Interruption) {
    let pointer = self[.rsp] &- 8
    try store(value, at: pointer, stack: true)
    self[.rsp] = pointer
  }

  @inline(always)
  func popInline() throws(Interruption) -> UInt64 {
    let value = try load(self[.rsp], as: UInt64.self, stack: true)
    self[.rsp] &+= 8
    return value
  }

  @inline(always)
  func leaveInline() throws(Interruption) {
    let frame = self[.rbp]
    self[.rbp] = try load(frame, as: UInt64.self, stack: true)
    self[.rsp] = frame &+ 8
  }
}

// MARK: - Jumps in 64-bit mode

extension Core {
  /// Sets `rip` to the target of an indirect jump.
  @inline(always)
  func jumpIndirect(to target: UInt64) throws(Interruption) {
    guard isCanonical64(target) else { throw raise(.generalProtection) }
    rip = target
  }

  /// Pushes the address behind the record and sets `rip` to `target`.
  @inline(always)
  func callIndirect(
    to target: UInt64, _ record: Step, in block: UnsafeMutablePointer<Block>
  ) throws(Interruption) {
    guard isCanonical64(target) else { throw raise(.generalProtection) }
    try pushInline(block.pointee.rip &+ UInt64(record.pointee.offset) &+ UInt64(record.pointee.length))
    rip = target
  }

  @inline(always)
  func returnNear() throws(Interruption) {
    let target = try load(self[.rsp], as: UInt64.self, stack: true)
    guard isCanonical64(target) else { throw raise(.generalProtection) }
    self[.rsp] &+= 8
    rip = target
  }

  @inline(always)
  private func isCanonical64(_ address: UInt64) -> Bool {
    Int64(bitPattern: address &<< 16) &>> 16 == Int64(bitPattern: address)
  }

  /// CMP or TEST, and whether `condition` holds behind it. The record's immediate has the target's distance in its
  /// upper half.
  @inline(always)
  func compare(
    _ operation: BinaryOperation, _ form: BinaryForm, _ size: OperandSize, _ record: Step, _ condition: UInt8
  ) -> Bool {
    let immediate = UInt64(bitPattern: Int64(Int32(truncatingIfNeeded: record.pointee.immediate)))
    let right = size.extended(form == .ri ? immediate : self[register: record.pointee.source])
    let left = size.extended(self[register: record.pointee.destination])
    let result = applied(operation, left, right, size)
    if operation == .test {
      var outcome = StatusFlags()
      outcome.result = result
      outcome.origin = .result
      return outcome.holds(condition)
    }
    let plain: Bool =
      switch condition &>> 1 {
      case 1: left < right
      case 2: left == right
      case 3: left <= right
      case 6: Int64(bitPattern: left) < Int64(bitPattern: right)
      case 7: Int64(bitPattern: left) <= Int64(bitPattern: right)
      default: flags.pointee.holds(condition & ~1)
      }
    return plain != (condition & 1 != 0)
  }

  /// DEC or INC of a register, and whether the condition on ZF (4 or 5) holds behind it.
  @inline(always)
  func count(_ operation: UnaryOperation, _ size: OperandSize, _ record: Step, _ condition: UInt8) -> Bool {
    let destination = record.pointee.destination
    let result = applied(operation, readRegister(destination, size), size)
    writeRegister(destination, result, size)
    return (result == 0) != (condition & 1 != 0)
  }
}
