import X86

/// The local APIC of one virtual processor: xAPIC in a page of memory, or x2APIC in MSRs.
///
/// L0 asks it for what the processor is to do (``pendingInterrupt``, ``signals``) and tells it what the processor did
/// (``acknowledge()``, ``takeNMI()``…). No access by the guest fails but as the SDM says. There is no system-management
/// mode: SMIs are accepted and have no effect.
/// Source: SDM volume 3, "Advanced Programmable Interrupt Controller (APIC)".
public final class LocalAPIC {
  /// The states of IA32_APIC_BASE.
  public enum Mode: Sendable {
    case disabled
    case xAPIC
    case x2APIC
  }

  /// What reached the processor beside maskable interrupts.
  public struct Signals: OptionSet, Sendable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    public static let nonMaskable = Self(rawValue: 1)
    public static let initialize = Self(rawValue: 2)
    public static let startUp = Self(rawValue: 4)
  }

  /// The pins of the local APIC.
  public enum Pin: Sendable {
    case lint0
    case lint1
  }

  /// The APIC identifier as the processor has it from power-up: x2APIC mode's.
  public let identifier: UInt32
  /// That of xAPIC mode, which a guest can change.
  var xAPICIdentifier: UInt8 = 0
  /// Whether IA32_APIC_BASE can be put into x2APIC mode.
  var hasX2APIC = true
  /// Whether the timer has the TSC-deadline mode.
  var hasDeadlineTimer = true
  unowned let bus: APICBus

  /// IA32_APIC_BASE.
  public internal(set) var base: UInt64 = 0
  public internal(set) var mode = Mode.xAPIC
  var registers = APICRegisters()
  var errors = APICErrors()
  var timer = APICTimer()
  /// The cycle at which the timer expires, or `.max`.
  public internal(set) var deadline = UInt64.max
  var pinLevels: (lint0: Bool, lint1: Bool) = (false, false)
  /// An ExtINT message that no interrupt-acknowledge cycle has answered yet.
  var isExternalInterruptLatched = false
  private var startUpVector: UInt8 = 0

  /// Signals that the processor has not taken yet.
  public internal(set) var signals: Signals = []
  /// The fixed interrupt that the processor priority lets through, whatever comes from the 8259s.
  private(set) var deliverable: UInt8?

  /// What L0 adds to the machine's cycles for this processor's time-stamp counter, which the TSC deadline is compared with.
  public var timeStampCounterOffset: UInt64 = 0 {
    didSet { if isTimerInDeadlineMode { armTimer() } }
  }

  init(identifier: UInt32, on bus: APICBus) {
    self.identifier = identifier
    self.bus = bus
    reset()
  }

  /// Power-up.
  public func reset() {
    let enabled = PlatformAddresses.localAPIC | APICBase.enabled
    base = identifier == 0 ? enabled | APICBase.bootstrap : enabled
    mode = .xAPIC
    xAPICIdentifier = UInt8(truncatingIfNeeded: identifier)
    initialize()
    signals = []
  }

  /// What an INIT does: everything is as after power-up but the identifier and IA32_APIC_BASE. A start-up IPI that came
  /// after the INIT stays pending.
  public func initialize() {
    registers = APICRegisters()
    if mode == .x2APIC { registers.logicalDestination = x2APICLogicalDestination }
    errors = APICErrors()
    timer = APICTimer()
    deadline = .max
    isExternalInterruptLatched = false
    signals.remove(.nonMaskable)
    updatePriority()
  }

  /// What firmware leaves: the APIC is on, the bootstrap processor's LINT0 passes the 8259s' interrupts through, and
  /// LINT1 is the NMI (SDM volume 3, "Local Interrupts in Virtual Wire Mode").
  public func applyFirmwareSettings() {
    registers.spurious = APICRegisters.softwareEnable | 0xFF
    let external: UInt32 = 7 << 8
    let nonMaskable: UInt32 = 4 << 8
    registers.setLocalVector(.lint0, identifier == 0 ? external : LocalVector.mask | external)
    registers.setLocalVector(.lint1, nonMaskable)
    updatePriority()
  }
}

// MARK: What the processor asks

extension LocalAPIC {
  /// The vector of the interrupt that the processor takes next if RFLAGS.IF and its other conditions allow it, or nil.
  public var pendingInterrupt: UInt8? {
    isExternalInterruptPending ? bus.externalInterrupts?.pendingVector : deliverable
  }

  /// Whether ``pendingInterrupt`` has a vector.
  public var hasPendingInterrupt: Bool {
    deliverable != nil || (isExternalInterruptPending && bus.externalInterrupts != nil)
  }

  /// The processor takes the pending interrupt: its vector, now in service here or in the 8259s; nil if there is none.
  public func acknowledge() -> UInt8? {
    if isExternalInterruptPending, let source = bus.externalInterrupts {
      isExternalInterruptLatched = false
      return source.acknowledge()
    }
    guard let vector = deliverable else { return nil }
    registers.requested.remove(vector)
    registers.inService.insert(vector)
    updatePriority()
    return vector
  }

  /// Whether an NMI was pending, which the processor now takes.
  public func takeNMI() -> Bool { take(.nonMaskable) }

  /// Whether an INIT was pending, which the processor now performs, with ``initialize()``.
  public func takeINIT() -> Bool { take(.initialize) }

  /// The vector of a pending start-up IPI, which the processor now obeys or (unless it waits for one) ignores. It starts
  /// at the vector × 4096.
  public func takeStartUp() -> UInt8? { take(.startUp) ? startUpVector : nil }

  private func take(_ signal: Signals) -> Bool { signals.remove(signal) != nil }

  /// CR8: the upper half of the TPR. It works while the APIC is disabled, too.
  public var cr8: UInt64 {
    get { UInt64(registers.taskPriority >> 4) }
    set { setTaskPriority(UInt8(truncatingIfNeeded: newValue & 0xF) << 4) }
  }

  /// The first address of the page that the local APIC answers in, or nil while it answers in none.
  public var page: UInt64? { mode == .xAPIC ? base & ~0xFFF : nil }

  /// Whether the APIC takes fixed interrupts: enabled in IA32_APIC_BASE and in the spurious-interrupt vector register.
  public var isSoftwareEnabled: Bool {
    mode != .disabled && registers.spurious & APICRegisters.softwareEnable != 0
  }

  /// PPR (SDM volume 3, "Task and Processor Priorities").
  public var processorPriority: UInt8 {
    let service = registers.inService.highest ?? 0
    return registers.taskPriority >> 4 >= service >> 4 ? registers.taskPriority : service & 0xF0
  }

  func setTaskPriority(_ value: UInt8) {
    registers.taskPriority = value
    updatePriority()
  }

  /// Finds anew what is deliverable.
  func updatePriority() {
    guard let vector = registers.requested.highest, vector >> 4 > processorPriority >> 4 else {
      deliverable = nil
      return
    }
    deliverable = vector
  }
}

// MARK: What the bus brings

extension LocalAPIC {
  /// Whether a message is addressed to this APIC (SDM volume 3, "Determining IPI Destination").
  func matches(_ message: InterruptMessage) -> Bool {
    guard mode != .disabled else { return false }
    if message.destination == InterruptMessage.broadcast { return true }
    guard message.isLogical else {
      return message.destination == (mode == .x2APIC ? identifier : UInt32(xAPICIdentifier))
    }
    let own = registers.logicalDestination
    if mode == .x2APIC {
      return message.destination >> 16 == own >> 16 && message.destination & own & 0xFFFF != 0
    }
    let logical = own >> 24
    if registers.destinationFormat >> 28 == 0xF { return message.destination & logical != 0 }
    return message.destination >> 4 == logical >> 4 && message.destination & logical & 0xF != 0
  }

  /// Takes a message that is addressed to this APIC; false if the APIC is in no state to.
  @discardableResult
  func accept(_ message: InterruptMessage) -> Bool {
    guard mode != .disabled else { return false }
    switch message.mode {
    case .fixed, .lowestPriority:
      guard isSoftwareEnabled else { return false }
      request(message.vector, isLevelTriggered: message.isLevelTriggered)
    case .nonMaskable: signals.insert(.nonMaskable)
    case .initialize:
      // A start-up IPI is for a processor that this INIT has put to wait.
      signals.remove(.startUp)
      signals.insert(.initialize)
    case .startUp:
      startUpVector = message.vector
      signals.insert(.startUp)
    case .external: isExternalInterruptLatched = true
    case .systemManagement, .reserved: break
    }
    return true
  }

  /// Sets `vector` in the IRR, and in the TMR as it is triggered.
  func request(_ vector: UInt8, isLevelTriggered: Bool) {
    guard vector >= 16 else {
      detect(.receiveIllegalVector)
      return
    }
    registers.requested.insert(vector)
    if isLevelTriggered {
      registers.triggerMode.insert(vector)
    } else {
      registers.triggerMode.remove(vector)
    }
    updatePriority()
  }

  /// EOI: the interrupt in service that has the highest priority is done.
  public func endOfInterrupt() {
    guard let vector = registers.inService.highest else { return }
    registers.inService.remove(vector)
    updatePriority()
    guard registers.triggerMode.contains(vector) else { return }
    finishLocalInterrupt(vector)
    if registers.spurious & APICRegisters.suppressBroadcast == 0 { bus.endOfInterrupt(vector) }
  }
}
