import Translation
import VMX
import X86

/// Accesses that L0 makes for L2, whose instruction it performs: what ept12 and APIC virtualization make of them.
extension VirtualVMX {
  /// The exit that L1 gets for an access that ept12 does not allow at `address`, or nil if L2 gets a virtualization
  /// exception instead, which is in vmcs02 already. `linear` is the access's linear address, if it has one, and
  /// `translation` what the qualification says of that.
  public mutating func extendedFault(
    _ fault: ExtendedFault, at address: PhysicalAddress<L2>, linear: UInt64?,
    translation: EPTViolationQualification
  ) -> ExitInformation? {
    blockBreakpoint()
    var exit = ExitInformation(.eptMisconfiguration)
    exit.guestPhysicalAddress = address.rawValue
    switch fault {
    case .violation(let bits):
      exit.reason = ExitReasonField(.eptViolation)
      exit.guestLinearAddress = linear ?? 0
      let hasAdvanced = capabilities.eptAndVPID.contains(.advancedExitInformation)
      exit.qualification = bits | translation.subtracting(hasAdvanced ? [] : .advanced).rawValue
      noteViolation(at: address, qualification: bits)
      if convertsToException(address, linear: exit.guestLinearAddress, qualification: exit.qualification) {
        return nil
      }
    case .misconfiguration: break
    case .logFull: exit.reason = ExitReasonField(.pageModificationLogFull)
    }
    return exit
  }

  /// An EPT violation invalidates the mapping that caused it (SDM volume 3, "Operations that Invalidate Cached Mappings"),
  /// which the processor, having met none, may have.
  private mutating func noteViolation(at address: PhysicalAddress<L2>, qualification: UInt64) {
    reflectedViolation = address
    guard qualification & 0x78 != 0 else { return }
    composed.unmap(address, matching: vmcs12Region[.eptPointer], counting: &work)
    pendingInvalidations.roots |= 1 << UInt32(composed.current)
  }

  /// The instruction that exits in the midst will be executed again: RF keeps its own breakpoint from coming again.
  ///
  /// Source: SDM volume 3, "Saving RIP, RSP, RFLAGS, and SSP".
  private func blockBreakpoint() { vmcs02[.guestRFLAGS] |= RFLAGS.rf.rawValue }

  // MARK: The APIC-access page

  /// L2's APIC-access page as L0's accesses for L2 meet it, or nil if L2 has none.
  package var apicPagesOfL2: APICPages? {
    guard isInL2, let page = apicAccessPage12 else { return nil }
    return APICPages(
      accessPage: page, virtualPage: PhysicalAddress(vmcs12Region[.virtualAPICAddress]),
      virtualized: VirtualizedAPICAccesses(
        vmcs12Region.primaryProcessorBasedControls, vmcs12Region.effectiveSecondaryControls))
  }

  /// The exit that L1 gets for an access to the APIC-access page that is not virtualized.
  package func apicAccess(_ qualification: APICAccessQualification) -> ExitInformation {
    blockBreakpoint()
    var exit = ExitInformation(.apicAccess, qualification: qualification.rawValue)
    exit.instructionLength = vmcs02[.exitInstructionLength]
    return exit
  }

  /// What follows an instruction that has written at `offset` in the virtual-APIC page; the exit that L1 gets, if it gets
  /// one. The next VM entry does the rest: it virtualizes the processor priority, evaluates pending interrupts, and
  /// compares the virtual TPR with its threshold.
  ///
  /// Source: SDM volume 3, "APIC-Write Emulation".
  package mutating func emulateAPICWrite(at offset: UInt64) -> ExitInformation? {
    let delivers = vmcs12Region.effectiveSecondaryControls.contains(.virtualInterruptDelivery)
    let value = apicRegister(offset & ~0xF)
    switch offset & ~0xF {
    case VirtualAPICRegister.taskPriority:
      setAPICRegister(VirtualAPICRegister.taskPriority, value & 0xFF)
      return nil
    case VirtualAPICRegister.endOfInterrupt where delivers:
      setAPICRegister(VirtualAPICRegister.endOfInterrupt, 0)
      return virtualizeEndOfInterrupt()
    case VirtualAPICRegister.interruptCommandLow where delivers && VirtualInterruptCommand.isSelfIPI(value):
      virtualizeSelfIPI(UInt8(truncatingIfNeeded: value))
      return nil
    case VirtualAPICRegister.interruptCommandHigh:
      setAPICRegister(VirtualAPICRegister.interruptCommandHigh, value & 0xFF00_0000)
      return nil
    default: return ExitInformation(.apicWrite, qualification: offset)
    }
  }

  /// Source: SDM volume 3, "EOI Virtualization".
  private mutating func virtualizeEndOfInterrupt() -> ExitInformation? {
    var status = vmcs02.guestInterruptStatus
    let vector = status.inService
    let place = VirtualAPICRegister.word(of: vector, from: VirtualAPICRegister.inService)
    setAPICRegister(place, apicRegister(place) & ~(1 << UInt32(vector & 31)))
    status.inService = highestInService()
    vmcs02.guestInterruptStatus = status
    work.vmcsReads &+= 1
    work.vmcsWrites &+= 1
    return vmcs12Region.exitsOnEOI(of: vector)
      ? ExitInformation(.virtualizedEOI, qualification: UInt64(vector)) : nil
  }

  /// The highest vector in VISR, or 0 without any.
  private mutating func highestInService() -> UInt8 {
    var number: UInt64 = 8
    while number > 0 {
      number &-= 1
      let word = apicRegister(VirtualAPICRegister.inService &+ number &* 16)
      if word != 0 {
        return UInt8(truncatingIfNeeded: number &* 32 &+ UInt64(31 &- word.leadingZeroBitCount))
      }
    }
    return 0
  }

  /// Source: SDM volume 3, "Self-IPI Virtualization".
  private mutating func virtualizeSelfIPI(_ vector: UInt8) {
    let place = VirtualAPICRegister.word(of: vector, from: VirtualAPICRegister.request)
    setAPICRegister(place, apicRegister(place) | 1 << UInt32(vector & 31))
    var status = vmcs02.guestInterruptStatus
    status.requested = max(status.requested, vector)
    vmcs02.guestInterruptStatus = status
    work.vmcsReads &+= 1
    work.vmcsWrites &+= 1
  }

  private mutating func apicRegister(_ offset: UInt64) -> UInt32 {
    work.memoryReads &+= 1
    return virtualAPICRegister(offset)?.load(as: UInt32.self) ?? .max
  }

  private mutating func setAPICRegister(_ offset: UInt64, _ value: UInt32) {
    work.memoryWrites &+= 1
    virtualAPICRegister(offset)?.storeBytes(of: value, as: UInt32.self)
    memory.noteWrite(PhysicalAddress(vmcs12Region[.virtualAPICAddress]) + offset, count: 4)
  }
}

/// L2's APIC-access page and what stands behind it.
package struct APICPages {
  package var accessPage: PhysicalAddress<L1>
  /// The virtual-APIC page.
  package var virtualPage: PhysicalAddress<L1>
  package var virtualized: VirtualizedAPICAccesses
}
