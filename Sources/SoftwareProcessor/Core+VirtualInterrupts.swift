import VMX
import X86

// The operations on virtual interrupts, in the SDM's words (SDM volume 3, "APIC Virtualization and Virtual Interrupts").
extension Core {
  /// What VM entry does with the virtual-APIC page before it injects an event.
  func enterVirtualAPIC() {
    guard deliversVirtualInterrupts else { return }
    virtualizeProcessorPriority()
    evaluatePendingInterrupts()
  }

  /// The VM exit right behind VM entry of a guest whose virtual TPR is below the threshold.
  ///
  /// Source: SDM volume 3, "VM Exits Induced by the TPR Threshold".
  func checkTPRThreshold() throws(Interruption) {
    guard usesTPRShadow, nonRoot.pointee.secondary.contains(.virtualizeAPICAccesses),
      !deliversVirtualInterrupts, isTPRBelowThreshold
    else { return }
    throw eventExit(.tprBelowThreshold)
  }

  private var isTPRBelowThreshold: Bool {
    UInt64(virtualAPIC.taskPriority >> 4) < vmcs[.tprThreshold] & 0xF
  }

  // MARK: APIC-write emulation

  /// Does what follows the write of a register in the virtual-APIC page, once the instruction has completed.
  ///
  /// Source: SDM volume 3, "APIC-Write Emulation".
  func emulateAPICWrite() throws(Interruption) {
    let offset = UInt64(nonRoot.pointee.virtualAPIC.pendingWrite)
    nonRoot.pointee.virtualAPIC.pendingWrite = VirtualAPICState.noWrite
    let apic = virtualAPIC
    switch offset & ~0xF {
    case VirtualAPICRegister.taskPriority:
      apic[VirtualAPICRegister.taskPriority] &= 0xFF
      return try virtualizeTaskPriority()
    case VirtualAPICRegister.endOfInterrupt where deliversVirtualInterrupts:
      apic[VirtualAPICRegister.endOfInterrupt] = 0
      return try virtualizeEndOfInterrupt()
    case VirtualAPICRegister.interruptCommandLow where deliversVirtualInterrupts:
      let command = apic[VirtualAPICRegister.interruptCommandLow]
      if VirtualInterruptCommand.isSelfIPI(command) {
        return virtualizeSelfIPI(UInt8(truncatingIfNeeded: command))
      }
    case VirtualAPICRegister.interruptCommandHigh:
      apic[VirtualAPICRegister.interruptCommandHigh] &= 0xFF00_0000
      return
    case VirtualAPICRegister.selfIPI:
      let vector = UInt8(truncatingIfNeeded: apic[VirtualAPICRegister.selfIPI])
      if vector >> 4 != 0 { return virtualizeSelfIPI(vector) }
    default: break
    }
    throw eventExit(.apicWrite, qualification: offset)
  }

  /// Source: SDM volume 3, "TPR Virtualization".
  private func virtualizeTaskPriority() throws(Interruption) {
    guard deliversVirtualInterrupts else {
      if isTPRBelowThreshold { throw eventExit(.tprBelowThreshold) }
      return
    }
    virtualizeProcessorPriority()
    evaluatePendingInterrupts()
  }

  /// Source: SDM volume 3, "PPR Virtualization".
  private func virtualizeProcessorPriority() {
    let apic = virtualAPIC
    apic.processorPriority = vmcs.guestInterruptStatus.processorPriority(taskPriority: apic.taskPriority)
  }

  /// Source: SDM volume 3, "EOI Virtualization".
  private func virtualizeEndOfInterrupt() throws(Interruption) {
    let apic = virtualAPIC
    var status = vmcs.guestInterruptStatus
    let vector = status.inService
    apic.remove(vector, from: VirtualAPICRegister.inService)
    status.inService = apic.highest(in: VirtualAPICRegister.inService)
    vmcs.guestInterruptStatus = status
    virtualizeProcessorPriority()
    if vmcs.exitsOnEOI(of: vector) { throw eventExit(.virtualizedEOI, qualification: UInt64(vector)) }
    evaluatePendingInterrupts()
  }

  /// Source: SDM volume 3, "Self-IPI Virtualization".
  private func virtualizeSelfIPI(_ vector: UInt8) {
    virtualAPIC.insert(vector, into: VirtualAPICRegister.request)
    request(vector)
  }

  /// Raises RVI to `vector`.
  private func request(_ vector: UInt8) {
    var status = vmcs.guestInterruptStatus
    status.requested = max(status.requested, vector)
    vmcs.guestInterruptStatus = status
    evaluatePendingInterrupts()
  }

  // MARK: Evaluation and delivery

  /// Source: SDM volume 3, "Evaluation of Pending Virtual Interrupts".
  private func evaluatePendingInterrupts() {
    nonRoot.pointee.virtualAPIC.recognizesInterrupt =
      !nonRoot.pointee.primary.contains(.interruptWindowExiting)
      && vmcs.guestInterruptStatus.requested >> 4 > virtualAPIC.processorPriority >> 4
  }

  /// Whether the guest's activity state lets a virtual interrupt in, which ends HLT.
  var canTakeVirtualInterrupt: Bool {
    nonRoot.pointee.virtualAPIC.recognizesInterrupt && cpu.pointee.activity <= ActivityState.hlt.rawValue
  }

  /// Delivers the recognised virtual interrupt.
  ///
  /// Source: SDM volume 3, "Virtual-Interrupt Delivery".
  func deliverVirtualInterrupt() throws(Interruption) {
    let apic = virtualAPIC
    var status = vmcs.guestInterruptStatus
    let vector = status.requested
    apic.insert(vector, into: VirtualAPICRegister.inService)
    status.inService = vector
    apic.processorPriority = vector & 0xF0
    apic.remove(vector, from: VirtualAPICRegister.request)
    status.requested = apic.highest(in: VirtualAPICRegister.request)
    vmcs.guestInterruptStatus = status
    nonRoot.pointee.virtualAPIC.recognizesInterrupt = false
    try dispatch(Event(vector: vector, kind: .externalInterrupt))
  }

  // MARK: Posted interrupts

  /// Whether an external interrupt of `vector` announces posted interrupts.
  func isNotification(_ vector: UInt8) -> Bool {
    nonRoot.pointee.pinBased.contains(.processPostedInterrupts)
      && vmcs[.postedInterruptNotificationVector] == UInt64(vector)
  }

  /// Takes over what is posted in the descriptor.
  ///
  /// Source: SDM volume 3, "Posted-Interrupt Processing".
  func processPostedInterrupts() {
    let descriptor = vmcs[.postedInterruptDescriptorAddress]
    let notification = descriptor &+ PostedInterruptDescriptor.notificationOffset
    let flags = loadPhysical(notification, as: UInt8.self)
    storePhysical(flags & ~PostedInterruptDescriptor.outstandingNotification, at: notification)
    let apic = virtualAPIC
    var highest: UInt8 = 0
    for number in 0..<PostedInterruptDescriptor.requestWords {
      let place = descriptor &+ number &* 8
      guard let posted = word(at: place), posted != 0 else { continue }
      storePhysical(0 as UInt64, at: place)
      let first = VirtualAPICRegister.request &+ number &* 32
      apic[first] |= UInt32(truncatingIfNeeded: posted)
      apic[first &+ 16] |= UInt32(truncatingIfNeeded: posted >> 32)
      highest = UInt8(truncatingIfNeeded: number &* 64 &+ UInt64(63 &- posted.leadingZeroBitCount))
    }
    request(highest)
  }
}
