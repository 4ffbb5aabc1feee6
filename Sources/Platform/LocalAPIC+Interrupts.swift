/// What a local APIC sends, and the interrupts of its own: the ICR, the local vector table, the pins, errors.
extension LocalAPIC {
  // MARK: Interprocessor interrupts

  /// Writes the ICR, which sends the IPI that it describes.
  ///
  /// The level and trigger mode matter only for the level de-assert of INIT, which reaches nobody: there are no
  /// arbitration identifiers to synchronise (SDM volume 3, "Interrupt Command Register (ICR)").
  func setInterruptCommand(_ value: UInt64) {
    let sent = UInt64(LocalVector.deliveryStatus)
    registers.interruptCommand = value & ~sent
    let low = UInt32(truncatingIfNeeded: value)
    let isAssert = low & 1 << 14 != 0
    let isLevel = low & 1 << 15 != 0
    let field = UInt32(truncatingIfNeeded: value >> 32)
    let message = InterruptMessage(
      vector: UInt8(truncatingIfNeeded: low), mode: InterruptMessage.mode(in: low),
      destination: mode == .x2APIC
        ? field : InterruptMessage.destination(UInt8(truncatingIfNeeded: field >> 24)),
      isLogical: low & 1 << 11 != 0)
    if message.mode == .initialize, isLevel, !isAssert { return }
    guard canSend(message) else { return }
    let shorthand = APICBus.Shorthand(rawValue: UInt8(truncatingIfNeeded: low >> 18 & 3)) ?? .none
    bus.deliver(message, shorthand, from: self)
  }

  /// Writes the x2APIC's self-IPI register.
  func sendSelfInterrupt(_ vector: UInt8) {
    let message = InterruptMessage(vector: vector, destination: identifier)
    guard canSend(message) else { return }
    bus.deliver(message, .onlySelf, from: self)
  }

  private func canSend(_ message: InterruptMessage) -> Bool {
    let hasVector = message.mode == .fixed || message.mode == .lowestPriority
    guard hasVector, message.vector < 16 else { return true }
    detect(.sendIllegalVector)
    return false
  }

  // MARK: Local interrupts

  /// Writes an LVT entry. While the APIC is disabled by software, entries stay masked.
  func setLocalVector(_ entry: LocalVector, _ value: UInt32) {
    let old = registers.localVector(entry)
    let forced = isSoftwareEnabled ? 0 : LocalVector.mask
    let deadlineMode: UInt32 = 2 << 17
    let missing = entry == .timer && !hasDeadlineTimer ? deadlineMode : 0
    var new = value & entry.writable & ~missing | forced
    // The remote IRR belongs to a level-triggered fixed interrupt and to no other.
    if new & LocalVector.levelTriggered != 0, InterruptMessage.mode(in: new) == .fixed {
      new |= old & LocalVector.remoteIRR
    }
    registers.setLocalVector(entry, new)
    if entry == .timer { timerEntryChanged(from: old) }
    if entry == .lint0, pinLevels.lint0 { raiseLevel(.lint0) }
  }

  /// An interrupt of the APIC's own or of the processor's sensors and counters: delivered as its LVT entry says.
  public func raise(_ entry: LocalVector) {
    let value = registers.localVector(entry)
    guard mode != .disabled, value & LocalVector.mask == 0 else { return }
    deliver(entry, value, isLevelTriggered: false)
    // SDM volume 3, "Local Vector Table": the counter's entry masks itself.
    if entry == .performance { registers.setLocalVector(entry, value | LocalVector.mask) }
  }

  private func deliver(_ entry: LocalVector, _ value: UInt32, isLevelTriggered: Bool) {
    // The timer's and the error's entries have no delivery mode: those bits are 0 in them, which is fixed.
    let message = InterruptMessage(
      vector: UInt8(truncatingIfNeeded: value),
      mode: entry == .timer ? .fixed : InterruptMessage.mode(in: value), destination: identifier)
    switch message.mode {
    case .fixed: request(message.vector, isLevelTriggered: isLevelTriggered)
    case .nonMaskable, .initialize: accept(message)
    case .external, .lowestPriority, .startUp, .systemManagement, .reserved: break
    }
  }

  // MARK: Pins

  /// Drives a pin. With the APIC disabled, LINT0 is the processor's INTR pin and LINT1 its NMI pin.
  public func setPin(_ pin: Pin, isHigh: Bool) {
    switch pin {
    case .lint0:
      let rises = isHigh && !pinLevels.lint0
      pinLevels.lint0 = isHigh
      if rises { pinRose(.lint0) }
    case .lint1:
      let rises = isHigh && !pinLevels.lint1
      pinLevels.lint1 = isHigh
      if rises { pinRose(.lint1) }
    }
  }

  private func pinRose(_ entry: LocalVector) {
    guard mode != .disabled else {
      if entry == .lint1 { signals.insert(.nonMaskable) }
      return
    }
    let isLevel = registers.localVector(entry) & LocalVector.levelTriggered != 0
    // LINT1 is edge-triggered whatever its entry says.
    if entry == .lint0, isLevel { raiseLevel(entry) } else { raise(entry) }
  }

  /// Delivers LINT0 as long as it is level-triggered and high, once between one EOI and the next.
  private func raiseLevel(_ entry: LocalVector) {
    let value = registers.localVector(entry)
    let blocked = LocalVector.mask | LocalVector.remoteIRR
    guard mode != .disabled, value & LocalVector.levelTriggered != 0, value & blocked == 0,
      InterruptMessage.mode(in: value) == .fixed
    else { return }
    registers.setLocalVector(entry, value | LocalVector.remoteIRR)
    deliver(entry, value, isLevelTriggered: true)
  }

  /// EOI of a level-triggered interrupt: if it was LINT0's, the pin counts again.
  func finishLocalInterrupt(_ vector: UInt8) {
    let value = registers.localVector(.lint0)
    guard value & LocalVector.remoteIRR != 0, UInt8(truncatingIfNeeded: value) == vector else { return }
    registers.setLocalVector(.lint0, value & ~LocalVector.remoteIRR)
    if pinLevels.lint0 { raiseLevel(.lint0) }
  }

  /// Whether the 8259s ask for an interrupt-acknowledge cycle, through LINT0 or by an ExtINT message.
  var isExternalInterruptPending: Bool {
    if isExternalInterruptLatched { return true }
    guard pinLevels.lint0 else { return false }
    guard mode != .disabled else { return true }
    let value = registers.localVector(.lint0)
    return value & LocalVector.mask == 0 && InterruptMessage.mode(in: value) == .external
  }

  // MARK: Errors

  /// Records an error and raises the error interrupt, once after each write of the ESR.
  func detect(_ error: APICErrors.Kind) {
    guard errors.detect(error), registers.localVector(.error) & LocalVector.mask == 0 else { return }
    errors.interruptWasRaised()
    raise(.error)
  }
}
