import InstructionDecoder
import X86

// Many elements of REP MOVS and REP STOS at once: as far as both pages reach, upwards, in 64-bit mode.
extension Core {
  /// Does up to `limit` elements at once, and returns how many; 0 if the first has to be done alone.
  func executeRun(_ instruction: borrowing Instruction, limit: Int) throws(Interruption) -> Int {
    let mnemonic = instruction.mnemonic
    let segment = instruction.address.segment
    guard is64BitMode, !cpu.pointee.contexts.isWatched, instruction.addressSize == 8, segment != .fs,
      segment != .gs,
      mnemonic == .movs || mnemonic == .stos, cpu.pointee.rflagsSystem & RFLAGS.df.rawValue == 0
    else { return 0 }
    let size = Int(instruction.operandSize)
    var count = min(limit, Int(truncatingIfNeeded: min(self[.rcx], UInt64(limit))))
    count = min(count, elementsOnPage(self[.rdi], size))
    if mnemonic == .movs { count = min(count, elementsOnPage(self[.rsi], size)) }
    guard count > 0 else { return 0 }
    let bytes = count &* size
    if mnemonic == .movs {
      let source = try locate(
        self[.rsi], for: .read, privilege: currentPrivilege,
        canonicalFault: segment == .ss ? .stackSegmentFault : .generalProtection, count: 0)
      let destination = try locate(self[.rdi], for: .write, privilege: currentPrivilege, count: 0)
      guard let from = ramPointer(source, count: bytes), let to = plainPointer(destination, count: bytes)
      else { return 0 }
      copy(from, to, bytes: bytes, size: OperandSize(instruction.operandSize))
      self[.rsi] &+= UInt64(bytes)
    } else {
      let destination = try locate(self[.rdi], for: .write, privilege: currentPrivilege, count: 0)
      guard let to = plainPointer(destination, count: bytes) else { return 0 }
      fill(to, bytes: bytes, size: OperandSize(instruction.operandSize))
    }
    self[.rdi] &+= UInt64(bytes)
    self[.rcx] &-= UInt64(count)
    return count
  }

  /// The elements that are wholly on the page of `linear`.
  private func elementsOnPage(_ linear: UInt64, _ size: Int) -> Int {
    (0x1000 &- Int(truncatingIfNeeded: linear & 0xFFF)) / size
  }

  /// The host address of RAM that holds no decoded code.
  private func plainPointer(_ physical: UInt64, count: Int) -> UnsafeMutableRawPointer? {
    guard let pointer = ramPointer(physical, count: count) else { return nil }
    return cpu.pointee.machine.codePages[Int(truncatingIfNeeded: physical >> 12)] == 0 ? pointer : nil
  }

  /// Copies upwards, element by element as far as it shows: a destination that overlaps the source from above repeats
  /// what lies between them.
  private func copy(
    _ from: UnsafeMutableRawPointer, _ to: UnsafeMutableRawPointer, bytes: Int, size: OperandSize
  ) {
    if to <= from || to >= from + bytes { return to.copyMemory(from: from, byteCount: bytes) }
    for offset in stride(from: 0, to: bytes, by: Int(size.bytes)) {
      (to + offset).write((from + offset).read(size), size)
    }
  }

  private func fill(_ to: UnsafeMutableRawPointer, bytes: Int, size: OperandSize) {
    let value = self[.rax]
    if size == .byte {
      to.initializeMemory(as: UInt8.self, repeating: UInt8(truncatingIfNeeded: value), count: bytes)
      return
    }
    for offset in stride(from: 0, to: bytes, by: Int(size.bytes)) { (to + offset).write(value, size) }
  }
}
