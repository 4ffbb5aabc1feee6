/// The entries of the local vector table, in the order of their registers.
public enum LocalVector: UInt8, CaseIterable, Sendable {
  case timer
  case thermal
  case performance
  case lint0
  case lint1
  case error

  static let mask: UInt32 = 1 << 16
  static let remoteIRR: UInt32 = 1 << 14
  static let levelTriggered: UInt32 = 1 << 15
  /// The delivery status, which always reads as idle here.
  static let deliveryStatus: UInt32 = 1 << 12

  /// The bits that software writes (SDM volume 3, "Local Vector Table").
  var writable: UInt32 {
    switch self {
    case .timer: 0x7_00FF
    case .thermal, .performance: 0x1_07FF
    case .lint0, .lint1: 0x1_A7FF
    case .error: 0x1_00FF
    }
  }

  /// The bits that are not reserved.
  var defined: UInt32 {
    let readOnly = Self.deliveryStatus
    return self == .lint0 || self == .lint1 ? writable | readOnly | Self.remoteIRR : writable | readOnly
  }
}

/// The registers of a local APIC that only hold values. They begin as a power-up or INIT leaves them.
struct APICRegisters {
  static let softwareEnable: UInt32 = 1 << 8
  static let suppressBroadcast: UInt32 = 1 << 12
  /// The bits of the spurious-interrupt vector register that are not reserved.
  static let spuriousDefined: UInt32 = 0x11FF
  /// An integrated APIC with six LVT entries that can suppress EOI broadcasts.
  static let version: UInt32 = 0x15 | 5 << 16 | 1 << 24

  var taskPriority: UInt8 = 0
  var inService = VectorSet()
  var triggerMode = VectorSet()
  var requested = VectorSet()
  var logicalDestination: UInt32 = 0
  var destinationFormat: UInt32 = 0xFFFF_FFFF
  var spurious: UInt32 = 0xFF
  /// The ICR; in xAPIC mode its destination is in bits 63:56.
  var interruptCommand: UInt64 = 0
  private var localVectors = InlineArray<6, UInt32>(repeating: LocalVector.mask)

  func localVector(_ entry: LocalVector) -> UInt32 { localVectors[Int(entry.rawValue)] }

  mutating func setLocalVector(_ entry: LocalVector, _ value: UInt32) {
    localVectors[Int(entry.rawValue)] = value
  }

  /// Arbitration priority (SDM volume 3, "Determining IPI Destination", "Lowest Priority Delivery Mode").
  var arbitrationPriority: UInt8 {
    let pending = requested.highest ?? 0
    let service = inService.highest ?? 0
    if taskPriority >> 4 >= pending >> 4, taskPriority >> 4 > service >> 4 { return taskPriority }
    return max(taskPriority & service & 0xF0, pending & 0xF0)
  }
}

/// The error status register (SDM volume 3, "Error Handling").
struct APICErrors {
  struct Kind: OptionSet {
    let rawValue: UInt32

    static let sendIllegalVector = Self(rawValue: 1 << 5)
    static let receiveIllegalVector = Self(rawValue: 1 << 6)
    static let illegalRegisterAddress = Self(rawValue: 1 << 7)
  }

  /// What the register reads.
  private(set) var status: Kind = []
  /// What was detected since it was last written.
  private var detected: Kind = []
  /// Whether the next error raises the error interrupt: once after each write of the register.
  private var isArmed = true

  /// Records an error; true if its interrupt is due.
  mutating func detect(_ kind: Kind) -> Bool {
    detected.insert(kind)
    return isArmed
  }

  mutating func interruptWasRaised() { isArmed = false }

  /// A write of the register: what was detected becomes visible.
  mutating func latch() {
    status = detected
    detected = []
    isArmed = true
  }
}
