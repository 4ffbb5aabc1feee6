import VMX
import X86

// Accesses to the APIC-access page (SDM volume 3, "Virtualizing Memory-Mapped APIC Accesses").
extension Core {
  /// Answers a linear access of `count` bytes at `offset` in the APIC-access page: with the L0-physical address in the
  /// virtual-APIC page that it goes to instead, or by a VM exit. A `count` of 0 asks for more than one access at once,
  /// which is not possible here: the answer is no address of memory.
  func accessAPICPage(
    _ offset: UInt64, _ access: MemoryAccess, count: Int
  ) throws(Interruption) -> UInt64 {
    guard count != 0 else { return .max }
    guard !nonRoot.pointee.virtualAPIC.isDelivering else {
      throw apicAccessExit(.linearDuringEventDelivery, offset)
    }
    switch access {
    case .execute: throw apicAccessExit(.linearFetch, offset)
    case .read:
      guard virtualizesRead(offset, count: count) else { throw apicAccessExit(.linearRead, offset) }
    case .write:
      guard virtualizesWrite(offset, count: count) else { throw apicAccessExit(.linearWrite, offset) }
      try noteAPICWrite(offset)
    }
    return vmcs[.virtualAPICAddress] &+ offset
  }

  /// Has the write at `offset` emulated when the instruction has completed, which for that is executed alone.
  private func noteAPICWrite(_ offset: UInt64) throws(Interruption) {
    guard nonRoot.pointee.virtualAPIC.isStepping else { throw .retry }
    let earlier = nonRoot.pointee.virtualAPIC.pendingWrite
    guard earlier == VirtualAPICState.noWrite || UInt64(earlier) == offset else {
      throw apicAccessExit(.linearWrite, offset)
    }
    nonRoot.pointee.virtualAPIC.pendingWrite = UInt16(truncatingIfNeeded: offset)
  }

  /// Makes an APIC-access VM exit the pending one.
  func apicAccessExit(_ access: APICAccessQualification.Access, _ offset: UInt64) -> Interruption {
    let qualification = APICAccessQualification(access, offset: UInt16(truncatingIfNeeded: offset))
    _ = eventExit(.apicAccess, qualification: qualification.rawValue)
    cpu.pointee.pending.savesResumeFlag = true
    return .vmExit
  }

  /// Reports the length of the instruction at `rip`, if an access of it to the APIC-access page is what the VM exit is of.
  func completeAPICAccessExit() {
    guard cpu.pointee.pending.exitReason == UInt32(ExitReason.apicAccess.rawValue),
      !InterruptionInformation(rawValue: cpu.pointee.pending.idtVectoringInformation).isValid
    else { return }
    let pending = cpu.pointee.pending
    let block = try? fetchBlock(within: 1)
    cpu.pointee.pending = pending
    if let block { cpu.pointee.pending.instructionLength = UInt32(block.pointee.length) }
  }

  // MARK: What is virtualized

  /// Source: SDM volume 3, "Virtualizing Reads from the APIC-Access Page".
  private func virtualizesRead(_ offset: UInt64, count: Int) -> Bool {
    guard usesTPRShadow, Self.isInOneRegister(offset, count: count) else { return false }
    guard nonRoot.pointee.secondary.contains(.apicRegisterVirtualization) else {
      return offset == VirtualAPICRegister.taskPriority
    }
    return Self.readable >> (offset >> 4) & 1 != 0
  }

  /// Source: SDM volume 3, "Virtualizing Writes to the APIC-Access Page".
  private func virtualizesWrite(_ offset: UInt64, count: Int) -> Bool {
    guard usesTPRShadow, Self.isInOneRegister(offset, count: count) else { return false }
    if nonRoot.pointee.secondary.contains(.apicRegisterVirtualization) {
      return Self.writable >> (offset >> 4) & 1 != 0
    }
    switch offset {
    case VirtualAPICRegister.taskPriority: return true
    case VirtualAPICRegister.endOfInterrupt, VirtualAPICRegister.interruptCommandLow:
      return deliversVirtualInterrupts
    default: return false
    }
  }

  /// Whether `count` bytes lie within the low 4 of 16 that are aligned.
  private static func isInOneRegister(_ offset: UInt64, count: Int) -> Bool {
    count > 0 && count <= 4 && offset & 0xF &+ UInt64(truncatingIfNeeded: count) <= 4
  }

  /// The registers that "APIC-register virtualization" lets a guest read, by bits 9:4 of their offsets: all but the
  /// arbitration and processor priority, the remote read, the CMCI's and the timer's current count.
  private static let readable: UInt64 = {
    var set = writable | bits(0x030...0x030)
    set |= bits(0x100...0x170) | bits(0x180...0x1F0) | bits(0x200...0x270)
    return set
  }()

  /// Those that it lets a guest write.
  private static let writable: UInt64 =
    bits(0x020...0x020) | bits(0x080...0x080) | bits(0x0B0...0x0B0) | bits(0x0D0...0x0F0)
    | bits(0x280...0x280)
    | bits(0x300...0x310) | bits(0x320...0x370) | bits(0x380...0x380) | bits(0x3E0...0x3E0)

  private static func bits(_ offsets: ClosedRange<UInt64>) -> UInt64 {
    var set: UInt64 = 0
    for number in offsets.lowerBound >> 4...offsets.upperBound >> 4 { set |= 1 << number }
    return set
  }
}
