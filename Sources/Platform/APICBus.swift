/// Something that answers interrupt-acknowledge cycles: the 8259s, as the processor's INTR pin reaches them.
public protocol ExternalInterruptSource: AnyObject {
  /// The vector that ``acknowledge()`` would return now.
  var pendingVector: UInt8 { get }
  /// An interrupt-acknowledge cycle: the vector, which is now in service.
  func acknowledge() -> UInt8
}

/// What connects local APICs, I/O APICs and devices that send messages. Delivery is instantaneous, and in the order of
/// the local APICs.
public final class APICBus {
  public private(set) var localAPICs: [LocalAPIC] = []
  private var ioAPICs: [IOAPIC] = []
  let time: any MachineTime
  /// The number of bits in a physical address, which bounds where a local APIC can be.
  let physicalAddressWidth: UInt8
  /// How many IPIs were sent to other processors, or could have reached them.
  public private(set) var interprocessorCount: UInt64 = 0
  /// What the LINT0 pins of all processors are wired to.
  public weak var externalInterrupts: (any ExternalInterruptSource)?

  public init(time: any MachineTime, physicalAddressWidth: UInt8) {
    self.time = time
    self.physicalAddressWidth = physicalAddressWidth
  }

  /// Adds the next processor's local APIC: identifiers count from 0, and the first is the bootstrap processor's.
  public func addLocalAPIC() -> LocalAPIC {
    let apic = LocalAPIC(identifier: UInt32(localAPICs.count), on: self)
    localAPICs.append(apic)
    return apic
  }

  func add(_ ioAPIC: IOAPIC) { ioAPICs.append(ioAPIC) }

  /// Delivers a message; false if no local APIC took it.
  @discardableResult
  public func deliver(_ message: InterruptMessage) -> Bool {
    if message.mode == .lowestPriority {
      return arbitrate(among: localAPICs.filter { $0.matches(message) }, message)
    }
    var isAccepted = false
    for apic in localAPICs where apic.matches(message) {
      isAccepted = apic.accept(message) || isAccepted
    }
    return isAccepted
  }

  /// A device's write of `data` to `address`; false if that reaches no local APIC.
  @discardableResult
  public func deliver(address: UInt64, data: UInt32) -> Bool {
    guard let message = InterruptMessage(address: address, data: data) else { return false }
    return deliver(message)
  }

  /// Whom an ICR's shorthand means (bits 19:18).
  enum Shorthand: UInt8 {
    case none = 0
    case onlySelf = 1
    case allIncludingSelf = 2
    case allExcludingSelf = 3
  }

  /// Delivers the IPI that `sender` was told to send.
  func deliver(_ message: InterruptMessage, _ shorthand: Shorthand, from sender: LocalAPIC) {
    let targets: [LocalAPIC]
    if shorthand != .onlySelf { interprocessorCount &+= 1 }
    switch shorthand {
    case .none:
      deliver(message)
      return
    case .onlySelf: targets = [sender]
    case .allIncludingSelf: targets = localAPICs
    case .allExcludingSelf: targets = localAPICs.filter { $0 !== sender }
    }
    guard message.mode != .lowestPriority else {
      arbitrate(among: targets, message)
      return
    }
    for apic in targets { apic.accept(message) }
  }

  /// Gives `message` to the local APIC whose processor has the lowest priority now; the lowest identifier breaks ties, so
  /// that runs repeat.
  @discardableResult
  private func arbitrate(among targets: [LocalAPIC], _ message: InterruptMessage) -> Bool {
    let ready = targets.filter(\.isSoftwareEnabled)
    guard let chosen = ready.min(by: { $0.processorPriority < $1.processorPriority }) else { return false }
    return chosen.accept(message)
  }

  /// A local APIC has finished a level-triggered interrupt.
  func endOfInterrupt(_ vector: UInt8) {
    for ioAPIC in ioAPICs { ioAPIC.endOfInterrupt(vector) }
  }

  /// A local APIC takes interrupts that it did not take before: what no one took is sent again.
  func localAPICChanged() {
    for ioAPIC in ioAPICs { ioAPIC.resend() }
  }

  /// Drives the wire from the 8259s to every processor's LINT0.
  public func setExternalInterrupt(_ isHigh: Bool) {
    for apic in localAPICs { apic.setPin(.lint0, isHigh: isHigh) }
  }
}
