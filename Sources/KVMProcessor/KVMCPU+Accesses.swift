import CKVM
import Glibc
import GuestMemory
import InstructionDecoder
import X86

// Accesses that KVM's own emulator makes where no page is mapped, which it reports like those of a device: a load before
// anything of the instruction has happened, a store when all of it has. What EPT allows is done on the spot, for the
// instruction then goes on by itself; what it does not, is undone, and the instruction handed over.
extension KVMCPU {
  /// Deals with the access; returns what is to follow, or nil if the virtual CPU is to go on.
  func takeAccess(_ space: GuestSpace, _ code: CodePage) throws(KVMError) -> PlainEnd? {
    let isStore = ckvm_mmio_is_write(space.machine.run)
    guard let isWatched = serve(space) else {
      return try isStore ? undoStore(space, code) : cancelLoad(space)
    }
    // The instruction may have changed what follows it; and behind the access KVM forgets that it was to be one step.
    if isWatched || intercepts == .stepped { return try finish(space) }
    _ = try map(ckvm_mmio_address(space.machine.run))
    return nil
  }

  /// Makes the access that KVM has reported, if EPT allows it; returns whether it was a store to a watched page, or nil if
  /// it is not allowed.
  private func serve(_ space: GuestSpace) -> Bool? {
    let run = space.machine.run
    let size = UInt64(ckvm_mmio_length(run))
    let isStore = ckvm_mmio_is_write(run)
    guard let place = host(ckvm_mmio_address(run), size: size, writes: isStore),
      let bytes = memory.pointer(place, count: size)
    else { return nil }
    if isStore {
      let isWatched = memory.copies.watches(Int(place.rawValue >> 12))
      memory.write(UnsafeRawBufferPointer(start: ckvm_mmio_data(run), count: Int(size)), at: place)
      return isWatched
    }
    memcpy(ckvm_mmio_data(run), bytes, Int(size))
    return false
  }

  /// Where in RAM EPT lets the guest access `size` bytes at `guest`.
  private func host(_ guest: UInt64, size: UInt64, writes: Bool) -> PhysicalAddress<L0>? {
    guard let page = software.probePhysical(guest), page.permissions.contains(writes ? .write : .read),
      page.isAccessed, page.isDirty
    else { return nil }
    let place = PhysicalAddress<L0>(page.physical)
    return memory.contains(place, count: size) ? place : nil
  }

  /// Lets the instruction come to its end, and no other begin. Returns with its registers taken over.
  private func finish(_ space: GuestSpace) throws(KVMError) -> PlainEnd {
    try complete(space) { _ = serve(space) }
    if intercepts == .stepped { pass(1) }
    takeRegisters(space, rip: space.machine.registers.pointee.rip)
    return .settle
  }

  /// Ends what is pending in KVM, and has it begin no other instruction. `further` makes the instruction's other accesses.
  private func complete(_ space: GuestSpace, _ further: () -> Void = {}) throws(KVMError) {
    ckvm_set_immediate_exit(space.machine.run, true)
    defer {
      ckvm_set_immediate_exit(space.machine.run, false)
      isTicking = false
    }
    // An instruction has few accesses.
    for _ in 0..<16 {
      switch space.machine.enter() {
      case EINTR: return
      case 0 where space.machine.exitReason == KVMExit.memoryMapped: further()
      case 0: return
      case let error: throw .refused(.run, errno: error)
      }
    }
  }

  /// Gives up a load. KVM completes the instruction with something, so what it may store to is put back.
  private func cancelLoad(_ space: GuestSpace) throws(KVMError) -> PlainEnd {
    takeRegisters(space, rip: space.machine.registers.pointee.rip)
    var kept: [(UnsafeMutableRawPointer, [UInt8])] = []
    if let instruction = instructionAtRIP() {
      for reference in references(of: instruction) where reference.isWrite {
        kept += bytes(of: reference)
      }
    }
    let registers = space.machine.registers.pointee
    try complete(space)
    space.machine.registers.pointee = registers
    for (place, bytes) in kept { place.copyMemory(from: bytes, byteCount: bytes.count) }
    return .handOver
  }

  /// What `reference` holds, in pieces that each lie in one page of RAM.
  private func bytes(of reference: MemoryReference) -> [(UnsafeMutableRawPointer, [UInt8])] {
    var pieces: [(UnsafeMutableRawPointer, [UInt8])] = []
    var linear = reference.linear
    var left = reference.size
    while left > 0 {
      let count = min(left, 4096 - linear & 0xFFF)
      if let guest = software.probe(linear, .write).guestPhysical, let page = software.probePhysical(guest),
        let place = memory.pointer(PhysicalAddress(page.physical), count: count)
      {
        pieces.append((place, [UInt8](UnsafeRawBufferPointer(start: place, count: Int(count)))))
      }
      linear &+= count
      left &-= count
    }
    return pieces
  }

  // MARK: Stores

  /// Takes the registers back to what they were before the instruction whose store KVM has just reported, which has not
  /// been made, and hands the instruction over.
  private func undoStore(_ space: GuestSpace, _ code: CodePage) throws(KVMError) -> PlainEnd {
    let run = space.machine.run
    let value = UnsafeRawPointer(ckvm_mmio_data(run)).loadUnaligned(as: UInt64.self)
    let after = space.machine.registers.pointee
    try complete(space)
    space.machine.registers.pointee = after
    guard let (start, instruction) = storing(code, after, value) else {
      throw .unexpectedExit(
        "the guest stored to where EPT forbids it, and it cannot be told by which instruction before RIP 0x"
          + String(after.rip, radix: 16) + ": use --processor software")
    }
    let registers = space.machine.registers
    let size = UInt64(instruction.operandSize)
    let step = after.rflags & RFLAGS.df.rawValue == 0 ? size : 0 &- size
    switch instruction.mnemonic {
    case .push, .call: registers.pointee.rsp &+= size
    case .stos: registers.pointee.rdi &-= step
    default: break
    }
    if !instruction.prefixes.isDisjoint(with: [.rep, .repne]) { registers.pointee.rcx &+= 1 }
    takeRegisters(space, rip: (after.rip & ~0xFFF) + UInt64(start))
    return .handOver
  }

  /// The instruction that stored `value` and has left `registers`, and its place in the page.
  private func storing(_ code: CodePage, _ registers: kvm_regs, _ value: UInt64) -> (Int, Instruction)? {
    let offset = Int(registers.rip & 0xFFF)
    // A call has stored the address behind it.
    if value >> 12 == registers.rip >> 12 {
      for start in code.starts(endingAt: Int(value & 0xFFF)) {
        guard let call = code.instruction(at: start), call.mnemonic == .call else { continue }
        let target = Int64(value & 0xFFF) &+ Int64(bitPattern: call.immediate)
        if target == Int64(offset) { return (start, call) }
      }
    }
    // A repeated store that is not over is still there.
    if let instruction = code.instruction(at: offset), instruction.isRepeatedStore, registers.rcx != 0 {
      return (offset, instruction)
    }
    let end = offset == 0 ? 4096 : offset
    let candidates = code.starts(endingAt: end).compactMap { start in
      code.instruction(at: start).map { (start, $0) }
    }.filter { $0.1.stores }
    return candidates.count == 1 ? candidates[0] : nil
  }
}

extension Instruction {
  /// Whether it stores to memory.
  fileprivate var stores: Bool {
    switch mnemonic {
    case .push, .stos: true
    default: operand0.kind == .memory && !onlyReads
    }
  }

  fileprivate var isRepeatedStore: Bool {
    mnemonic == .stos && !prefixes.isDisjoint(with: [.rep, .repne])
  }
}
