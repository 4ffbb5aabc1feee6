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
      guard virtualizedAccesses.includesRead(at: offset, count: UInt64(count)) else {
        throw apicAccessExit(.linearRead, offset)
      }
    case .write:
      guard virtualizedAccesses.includesWrite(at: offset, count: UInt64(count)) else {
        throw apicAccessExit(.linearWrite, offset)
      }
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

  private var virtualizedAccesses: VirtualizedAPICAccesses {
    VirtualizedAPICAccesses(nonRoot.pointee.primary, nonRoot.pointee.secondary)
  }
}
