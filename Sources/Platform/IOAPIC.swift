/// An I/O APIC with 24 inputs.
///
/// A wire of this machine carries whether its device asserts it, not a voltage, so the polarity of an entry is kept but
/// has no effect. An entry that nobody accepts is sent again when a local APIC changes.
/// Source: Intel, 82093AA I/O APIC data sheet, and (version, EOI register) the I/O controller hubs' data sheets.
public final class IOAPIC {
  /// The number of inputs.
  public static let inputCount: UInt8 = 24
  /// Version 20H has the EOI register; bits 23:16 are the number of the last entry.
  static let version: UInt32 = 0x20 | UInt32(inputCount - 1) << 16

  private unowned let bus: APICBus
  private var identifier = PlatformAddresses.ioAPICIdentifier
  private var selected: UInt8 = 0
  private var entries = [RedirectionEntry](repeating: RedirectionEntry(), count: Int(inputCount))
  private var levels: UInt32 = 0
  /// Edges that nobody has accepted yet.
  private var unacceptedEdges: UInt32 = 0

  public init(on bus: APICBus) {
    self.bus = bus
    bus.add(self)
  }
}

/// One entry of the redirection table.
struct RedirectionEntry {
  static let remoteIRR: UInt64 = 1 << 14
  static let levelTriggered: UInt64 = 1 << 15
  static let mask: UInt64 = 1 << 16
  /// Vector, delivery mode, destination mode, polarity, trigger mode, mask, destination.
  static let writable: UInt64 = 0xFF00_0000_0001_AFFF

  private(set) var rawValue = Self.mask

  var vector: UInt8 { UInt8(truncatingIfNeeded: rawValue) }
  var isLevelTriggered: Bool { rawValue & Self.levelTriggered != 0 }
  var isMasked: Bool { rawValue & Self.mask != 0 }
  var isInService: Bool {
    get { rawValue & Self.remoteIRR != 0 }
    set { rawValue = newValue ? rawValue | Self.remoteIRR : rawValue & ~Self.remoteIRR }
  }

  /// The message that the entry sends.
  var message: InterruptMessage {
    let low = UInt32(truncatingIfNeeded: rawValue)
    return InterruptMessage(
      vector: vector, mode: InterruptMessage.mode(in: low),
      destination: InterruptMessage.destination(UInt8(truncatingIfNeeded: rawValue >> 56)),
      isLogical: low & 1 << 11 != 0, isLevelTriggered: isLevelTriggered)
  }

  /// Software writes the entry. Made edge-triggered, it forgets that an interrupt is in service.
  mutating func write(_ value: UInt64) {
    rawValue = value & Self.writable | rawValue & Self.remoteIRR
    if !isLevelTriggered { isInService = false }
  }
}

// MARK: Inputs

extension IOAPIC: InterruptController {
  public func setLine(_ number: UInt8, isHigh: Bool) {
    guard number < Self.inputCount else { return }
    let bit: UInt32 = 1 << UInt32(number)
    let rises = isHigh && levels & bit == 0
    levels = isHigh ? levels | bit : levels & ~bit
    guard rises else { return }
    // The data sheet: an edge on a masked pin is ignored.
    if entries[Int(number)].isLevelTriggered {
      sendLevel(Int(number))
    } else if !entries[Int(number)].isMasked {
      sendEdge(Int(number))
    }
  }

  private func sendEdge(_ number: Int) {
    let bit: UInt32 = 1 << UInt32(number)
    unacceptedEdges &= ~bit
    if !bus.deliver(entries[number].message) { unacceptedEdges |= bit }
  }

  /// Sends a level-triggered interrupt if its input is asserted and the last one was finished.
  private func sendLevel(_ number: Int) {
    let entry = entries[number]
    guard entry.isLevelTriggered, !entry.isMasked, !entry.isInService, levels & 1 << UInt32(number) != 0
    else { return }
    guard bus.deliver(entry.message) else { return }
    // Only fixed interrupts are ever finished by an EOI.
    switch entry.message.mode {
    case .fixed, .lowestPriority: entries[number].isInService = true
    default: break
    }
  }

  /// A local APIC has finished the level-triggered interrupt `vector`.
  func endOfInterrupt(_ vector: UInt8) {
    for number in entries.indices
    where entries[number].isInService && entries[number].vector == vector {
      entries[number].isInService = false
      sendLevel(number)
    }
  }

  /// Sends what was not accepted.
  func resend() {
    for number in entries.indices {
      if unacceptedEdges & 1 << UInt32(number) != 0, !entries[number].isMasked { sendEdge(number) }
      sendLevel(number)
    }
  }
}

// MARK: Registers

extension IOAPIC: MemoryDevice {
  private enum Offset {
    static let select: UInt64 = 0x00
    static let window: UInt64 = 0x10
    static let endOfInterrupt: UInt64 = 0x40
  }

  private enum Register {
    static let identifier: UInt8 = 0
    static let version: UInt8 = 1
    static let arbitration: UInt8 = 2
    static let firstEntry: UInt8 = 0x10
  }

  public func read(offset: UInt64, size: UInt8) -> UInt64 {
    switch offset {
    case Offset.select: UInt64(selected)
    case Offset.window: UInt64(value(of: selected))
    default: 0
    }
  }

  public func write(_ value: UInt64, offset: UInt64, size: UInt8) {
    switch offset {
    case Offset.select: selected = UInt8(truncatingIfNeeded: value)
    case Offset.window: setValue(UInt32(truncatingIfNeeded: value), of: selected)
    case Offset.endOfInterrupt: endOfInterrupt(UInt8(truncatingIfNeeded: value))
    default: break
    }
  }

  private func value(of register: UInt8) -> UInt32 {
    switch register {
    case Register.identifier, Register.arbitration: return UInt32(identifier) << 24
    case Register.version: return Self.version
    default:
      guard let (number, isHigh) = Self.entry(of: register) else { return 0 }
      let raw = entries[number].rawValue
      return UInt32(truncatingIfNeeded: isHigh ? raw >> 32 : raw)
    }
  }

  private func setValue(_ value: UInt32, of register: UInt8) {
    if register == Register.identifier { identifier = UInt8(truncatingIfNeeded: value >> 24 & 0xF) }
    guard let (number, isHigh) = Self.entry(of: register) else { return }
    let raw = entries[number].rawValue
    entries[number].write(
      isHigh ? raw & 0xFFFF_FFFF | UInt64(value) << 32 : raw & ~0xFFFF_FFFF | UInt64(value))
    if entries[number].isMasked { unacceptedEdges &= ~(1 << UInt32(number)) }
    sendLevel(number)
  }

  /// The entry, and which half of it, that a register holds.
  private static func entry(of register: UInt8) -> (number: Int, isHigh: Bool)? {
    guard register >= Register.firstEntry else { return nil }
    let position = register - Register.firstEntry
    guard position < inputCount * 2 else { return nil }
    return (Int(position / 2), position & 1 != 0)
  }
}
