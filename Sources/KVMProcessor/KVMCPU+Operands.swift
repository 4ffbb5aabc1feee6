import InstructionDecoder
import Translation
import X86

/// A piece of memory that an instruction accesses.
struct MemoryReference {
  var linear: UInt64
  var size: UInt64
  var isWrite: Bool
}

// What the instruction at RIP accesses, computed beside it.
extension KVMCPU {
  private var linearRIP: UInt64 {
    software.hostedEFER.contains(.lma)
      ? software.hostedRIP : software.hostedSegment(.cs).base &+ software.hostedRIP
  }

  /// The bytes at RIP, as far as they can be read, decoded.
  func instructionAtRIP() -> Instruction? {
    guard let guest = software.probe(linearRIP, .execute).guestPhysical,
      let page = software.probePhysical(guest),
      let code = codePages[Int(page.physical >> 12)]
    else { return nil }
    return code.instruction(at: Int(page.physical & 0xFFF))
  }

  /// Where `instruction` accesses memory, with the registers as they are before it.
  func references(of instruction: Instruction) -> [MemoryReference] {
    var found: [MemoryReference] = []
    let size = UInt64(max(instruction.operandSize, 1))
    func add(_ segment: GuestSegmentNumber, _ offset: UInt64, _ isWrite: Bool, size bytes: UInt64 = size) {
      found.append(MemoryReference(linear: linear(segment, offset), size: bytes, isWrite: isWrite))
    }
    let addressMask: UInt64 =
      instruction.addressSize == 8 ? .max : 1 << (UInt64(instruction.addressSize) * 8) &- 1
    let stackMask: UInt64 = software.hostedEFER.contains(.lma) ? .max : 0xFFFF_FFFF
    let rsp = registers.pointee.rsp
    switch instruction.mnemonic {
    case .push, .call: add(.ss, (rsp &- size) & stackMask, true)
    case .pop: add(.ss, rsp & stackMask, false)
    case .leave: add(.ss, registers.pointee.rbp & stackMask, false)
    case .stos: add(.es, registers.pointee.rdi & addressMask, true)
    case .xlat:
      let offset = registers.pointee.rbx &+ registers.pointee.rax & 0xFF
      add(instruction.address.segment, offset & addressMask, false, size: 1)
    default: break
    }
    if let operand = instruction.memoryOperand, instruction.mnemonic != .lea {
      let isWrite = instruction.operand0.kind == .memory && !instruction.onlyReads
      var offset = self.offset(instruction) & addressMask
      // A bit string reaches beyond its operand.
      if instruction.mnemonic.isBitTest, instruction.operand1.kind == .general {
        let bits = Int64(
          bitPattern: registers[GeneralRegister(number: UInt64(instruction.operand1.register))])
        let signed =
          instruction.operandSize == 8
          ? bits
          : instruction.operandSize == 4
            ? Int64(Int32(truncatingIfNeeded: bits)) : Int64(Int16(truncatingIfNeeded: bits))
        offset = (offset &+ UInt64(bitPattern: (signed >> 3) & ~Int64(size - 1))) & addressMask
      }
      add(instruction.address.segment, offset, isWrite, size: UInt64(max(operand.size, 1)))
    }
    return found
  }

  typealias GuestSegmentNumber = SegmentRegister

  private func linear(_ segment: SegmentRegister, _ offset: UInt64) -> UInt64 {
    if software.hostedSegment(.cs).accessRights.isLong, software.hostedEFER.contains(.lma) {
      let isBased = segment == .fs || segment == .gs
      return isBased ? software.hostedSegment(.init(segment)).base &+ offset : offset
    }
    return (software.hostedSegment(.init(segment)).base &+ offset) & 0xFFFF_FFFF
  }

  private func offset(_ instruction: Instruction) -> UInt64 {
    let address = instruction.address
    var offset = UInt64(bitPattern: address.displacement)
    if address.base == MemoryAddress.instructionPointer {
      offset &+= software.hostedRIP &+ UInt64(instruction.length)
    } else if address.base != MemoryAddress.none {
      offset &+= registers[GeneralRegister(number: UInt64(address.base))]
    }
    if address.index != MemoryAddress.none {
      offset &+= registers[GeneralRegister(number: UInt64(address.index))] &* UInt64(address.scale)
    }
    return offset
  }

  /// Maps what the instruction at RIP accesses, and the page tables on the way there and to the instruction itself, as far
  /// as that is missing and EPT has it; whether anything was.
  func mapOperands() throws(KVMError) -> Bool {
    guard let instruction = instructionAtRIP() else { return false }
    var isNew = false
    let fetch = software.probe(linearRIP, .execute)
    for position in 0..<fetch.tableCount where try map(fetch.table(position)) { isNew = true }
    for reference in references(of: instruction) {
      let last = reference.linear &+ reference.size &- 1
      for linear in reference.linear >> 12 == last >> 12 ? [reference.linear] : [reference.linear, last] {
        let found = software.probe(linear, reference.isWrite ? .write : .read)
        for position in 0..<found.tableCount where try map(found.table(position)) { isNew = true }
        if let guest = found.guestPhysical, try map(guest) { isNew = true }
      }
    }
    return isNew
  }
}

extension Instruction {
  /// The operand in memory, if there is one.
  var memoryOperand: Operand? {
    for operand in [operand0, operand1, operand2] where operand.kind == .memory { return operand }
    return nil
  }

  /// Whether it leaves its first operand alone.
  var onlyReads: Bool {
    switch mnemonic {
    case .cmp, .test, .bt, .push, .mul, .imul, .div, .idiv, .nop: true
    default: false
    }
  }
}

extension Mnemonic {
  var isBitTest: Bool {
    switch self {
    case .bt, .bts, .btr, .btc: true
    default: false
    }
  }
}
