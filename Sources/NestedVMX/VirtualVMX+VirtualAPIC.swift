import VMX
import X86

/// L2's virtual-APIC page and APIC-access page, which are pages of L1.
extension VirtualVMX {
  /// Prepares both for the merge.
  mutating func mergeVirtualAPIC() {
    mergeVirtualAPICPage()
    mergeAPICAccessPage()
  }

  /// A virtual-APIC page where L1 has no memory is backed by a page of L0, whose virtual TPR reads as all ones at each VM
  /// entry, as an unclaimed bus does.
  mutating func mergeVirtualAPICPage() {
    guard vmcs12Region.primaryProcessorBasedControls.contains(.useTPRShadow) else {
      merge.virtualAPICPage = 0
      return
    }
    if let page = memory.hostPage(of: PhysicalAddress(vmcs12Region[.virtualAPICAddress])) {
      merge.virtualAPICPage = page.address.rawValue
    } else {
      ownPages.virtualAPIC.bytes.storeBytes(of: .max, toByteOffset: 0x80, as: UInt32.self)
      merge.virtualAPICPage = ownPages.virtualAPIC.address.rawValue
    }
  }

  /// The APIC-access page is recognised by its L0-physical address, to which ept02 leads like to any page of L1. Where L1
  /// has no memory, a page of L0 stands in for it, there and in the composed EPT.
  mutating func mergeAPICAccessPage() {
    let page = apicAccessPage12
    let isBacked = page.map { memory.hostPage(of: $0) != nil } ?? true
    let absent = isBacked ? nil : page
    if absentAPICAccessPage != absent {
      // What ept02 maps to the page of L0 may be a device of L1 to the next L2.
      if absentAPICAccessPage != nil { dropComposed(matching: nil) }
      absentAPICAccessPage = absent
    }
    merge.apicAccessPage = page.flatMap { hostPage(of: $0)?.address.rawValue } ?? 0
  }

  /// The L1-physical address of the APIC-access page, or nil if L1 has none for L2.
  var apicAccessPage12: PhysicalAddress<L1>? {
    guard vmcs12Region.effectiveSecondaryControls.contains(.virtualizeAPICAccesses) else { return nil }
    return PhysicalAddress(vmcs12Region[.apicAccessAddress]).page
  }

  /// The page of L0 behind a page of L1 as L2 reaches it.
  func hostPage(of address: PhysicalAddress<L1>) -> HostPage? {
    if let page = memory.hostPage(of: address) { return page }
    guard let absentAPICAccessPage, absentAPICAccessPage == address.page else { return nil }
    return HostPage(address: ownPages.apicAccess.address)
  }

  /// What an EPT violation of an L2 without EPT of L1 is, if it is of an APIC-access page that is no memory: ept01 has no
  /// place for the page of L0, so that no access to it is virtualized.
  func apicAccess(_ violation: EPTViolationQualification, _ address: PhysicalAddress<L1>) -> UInt64? {
    guard let page = apicAccessPage12, page == address.page else { return nil }
    let isDelivering = vmcs02.idtVectoringInformation.isValid
    let access: APICAccessQualification.Access
    if !violation.contains([.linearAddressValid, .finalTranslation]) {
      access = isDelivering ? .guestPhysicalDuringEventDelivery : .guestPhysicalDuringInstruction
    } else if isDelivering {
      access = .linearDuringEventDelivery
    } else if violation.contains(.fetch) {
      access = .linearFetch
    } else {
      access = violation.contains(.write) ? .linearWrite : .linearRead
    }
    return APICAccessQualification(access, offset: UInt16(truncatingIfNeeded: address.rawValue & 0xFFF))
      .rawValue
  }

  // MARK: What L2 waits for

  /// Whether the processor ends L2's HLT state at once: by a virtual interrupt that it recognises at VM entry, or by a
  /// VM exit since the virtual TPR is below the threshold.
  public var virtualAPICEndsHLT: Bool {
    guard isInL2, vmcs02.primaryProcessorBasedControls.contains(.useTPRShadow) else { return false }
    let secondary = vmcs02.effectiveSecondaryControls
    if !secondary.contains(.virtualInterruptDelivery) {
      return secondary.contains(.virtualizeAPICAccesses) && isVirtualTPRBelowThreshold
    }
    let status = vmcs02.guestInterruptStatus
    return !vmcs02.primaryProcessorBasedControls.contains(.interruptWindowExiting)
      && status.requested >> 4 > status.processorPriority(taskPriority: virtualTPR) >> 4
      && RFLAGS(rawValue: vmcs02[.guestRFLAGS]).contains(.if)
  }

  /// The virtual TPR of L2.
  private var virtualTPR: UInt8 {
    virtualAPICRegister(VirtualAPICRegister.taskPriority)?.load(as: UInt8.self) ?? .max
  }

  private var isVirtualTPRBelowThreshold: Bool {
    UInt64(virtualTPR >> 4) < vmcs02[.tprThreshold] & 0xF
  }

  /// The 32-bit register at `offset` in L2's virtual-APIC page.
  func virtualAPICRegister(_ offset: UInt64) -> UnsafeMutableRawPointer? {
    let page = PhysicalAddress<L1>(vmcs12Region[.virtualAPICAddress])
    if let bytes = memory.pointer(to: page + offset, count: 4) { return bytes }
    return ownPages.virtualAPIC.bytes + Int(truncatingIfNeeded: offset & 0xFFC)
  }

  /// Makes of vmcs02's refused entry the exit that L1 asked for, if that is why it is refused: L1's memory, or L2 through
  /// another mapping of the virtual-APIC page, has lowered the virtual TPR below the threshold since L1's VM entry.
  public mutating func exitOfRefusedEntry() -> ExitReasonField? {
    let secondary = vmcs02.effectiveSecondaryControls
    guard isInL2, vmcs02.primaryProcessorBasedControls.contains(.useTPRShadow),
      secondary.isDisjoint(with: [.virtualInterruptDelivery, .virtualizeAPICAccesses]),
      isVirtualTPRBelowThreshold
    else { return nil }
    let exit = ExitInformation(.tprBelowThreshold)
    exit.write(to: vmcs02)
    return exit.reason
  }

  // MARK: Posted interrupts

  /// Whether an interrupt of L1 with `vector` that finds L2 running notifies it of posted interrupts.
  public func isNotification(_ vector: UInt8) -> Bool {
    isInL2 && vmcs12Region.pinBasedControls.contains(.processPostedInterrupts)
      && vmcs12Region[.postedInterruptNotificationVector] == UInt64(vector)
  }

  /// Takes over for L2 what is posted in L1's descriptor. The next VM entry evaluates it.
  ///
  /// L0 does it in place of the processor, whose own notifications are not L1's.
  /// Source: SDM volume 3, "Posted-Interrupt Processing".
  public mutating func processPostedInterrupts() {
    let descriptor = PhysicalAddress<L1>(vmcs12Region[.postedInterruptDescriptorAddress])
    let size = PostedInterruptDescriptor.size
    work.vmcsReads &+= 1
    work.memoryReads &+= PostedInterruptDescriptor.requestWords &+ 1
    guard let bytes = memory.pointer(to: descriptor, count: size) else { return }
    let notification = bytes + Int(PostedInterruptDescriptor.notificationOffset)
    let flags = notification.load(as: UInt8.self)
    notification.storeBytes(of: flags & ~PostedInterruptDescriptor.outstandingNotification, as: UInt8.self)
    work.memoryWrites &+= 1
    var status = vmcs02.guestInterruptStatus
    for number in 0..<PostedInterruptDescriptor.requestWords {
      let place = bytes + Int(number &* 8)
      let posted = place.load(as: UInt64.self)
      guard posted != 0 else { continue }
      place.storeBytes(of: 0, as: UInt64.self)
      let register = VirtualAPICRegister.request &+ number &* 32
      request(UInt32(truncatingIfNeeded: posted), at: register)
      request(UInt32(truncatingIfNeeded: posted >> 32), at: register &+ 16)
      let highest = UInt8(truncatingIfNeeded: number &* 64 &+ UInt64(63 &- posted.leadingZeroBitCount))
      status.requested = max(status.requested, highest)
      work.memoryWrites &+= 1
    }
    memory.noteWrite(descriptor, count: size)
    vmcs02.guestInterruptStatus = status
    work.vmcsWrites &+= 1
  }

  /// Sets `vectors` in 32 bits of VIRR.
  private mutating func request(_ vectors: UInt32, at offset: UInt64) {
    guard vectors != 0, let register = virtualAPICRegister(offset) else { return }
    register.storeBytes(of: register.load(as: UInt32.self) | vectors, as: UInt32.self)
    memory.noteWrite(PhysicalAddress(vmcs12Region[.virtualAPICAddress]) + offset, count: 4)
    work.memoryReads &+= 1
    work.memoryWrites &+= 1
  }
}

/// The x2APIC's registers in the merged MSR bitmap.
extension VirtualVMX {
  /// The accesses that vmcs02 virtualizes are L1's to intercept alone; all others are of L1's own APIC, which L0 is.
  mutating func mergeX2APICBitmap(_ bitmap01: UnsafeMutableRawPointer) {
    let secondary = vmcs12Region.effectiveSecondaryControls
    let isVirtualized = secondary.contains(.virtualizeX2APICMode)
    guard isVirtualized || openX2APICBitmap else { return }
    openX2APICBitmap = isVirtualized
    let taskPriority: UInt64 = 1 << 8
    let endOfInterruptAndSelfIPI: UInt64 = 1 << 11 | 1 << 63
    for word in 0..<UInt64(4) {
      var reads: UInt64 = 0
      var writes: UInt64 = 0
      if isVirtualized {
        if secondary.contains(.apicRegisterVirtualization) { reads = .max }
        if word == 0 { (reads, writes) = (reads | taskPriority, taskPriority) }
        if word == 0, secondary.contains(.virtualInterruptDelivery) { writes |= endOfInterruptAndSelfIPI }
      }
      mergeX2APICWord(bitmap01, at: 0x100 &+ word &* 8, leavingToL1: reads)
      mergeX2APICWord(bitmap01, at: 0x900 &+ word &* 8, leavingToL1: writes)
    }
  }

  private mutating func mergeX2APICWord(
    _ bitmap01: UnsafeMutableRawPointer, at offset: UInt64, leavingToL1 left: UInt64
  ) {
    let word01 = bitmap01.load(fromByteOffset: Int(truncatingIfNeeded: offset), as: UInt64.self)
    let word12 = memory.word(at: PhysicalAddress(vmcs12Region[.msrBitmap]) + offset) ?? .max
    ownPages.msrBitmap.bytes.storeBytes(
      of: word01 & ~left | word12, toByteOffset: Int(truncatingIfNeeded: offset), as: UInt64.self)
    work.memoryReads &+= 2
    work.memoryWrites &+= 1
  }
}
