/// The registers of the virtual-APIC page that the processor itself uses, by their offsets.
///
/// Source: SDM volume 3, "Virtualized APIC Registers".
public enum VirtualAPICRegister {
  @inlinable public static var taskPriority: UInt64 { 0x080 }
  @inlinable public static var processorPriority: UInt64 { 0x0A0 }
  @inlinable public static var endOfInterrupt: UInt64 { 0x0B0 }
  @inlinable public static var inService: UInt64 { 0x100 }
  @inlinable public static var request: UInt64 { 0x200 }
  @inlinable public static var interruptCommandLow: UInt64 { 0x300 }
  @inlinable public static var interruptCommandHigh: UInt64 { 0x310 }
  /// The self-IPI register of x2APIC mode.
  @inlinable public static var selfIPI: UInt64 { 0x3F0 }

  /// Where bit `vector` of a 256-bit register that begins at `first` lies: 32 bits in every 16 bytes.
  @inlinable
  public static func word(of vector: UInt8, from first: UInt64) -> UInt64 {
    first &+ UInt64(vector >> 5) &* 16
  }
}

/// Which accesses of a guest to the APIC-access page go to the virtual-APIC page; every other one causes a VM exit.
///
/// Source: SDM volume 3, "Virtualizing Reads from the APIC-Access Page" and "Virtualizing Writes to the APIC-Access Page".
public struct VirtualizedAPICAccesses: Sendable {
  public var usesTPRShadow: Bool
  public var virtualizesRegisters: Bool
  public var deliversInterrupts: Bool

  @inlinable
  public init(_ primary: PrimaryProcessorBasedControls, _ secondary: SecondaryProcessorBasedControls) {
    usesTPRShadow = primary.contains(.useTPRShadow)
    virtualizesRegisters = secondary.contains(.apicRegisterVirtualization)
    deliversInterrupts = secondary.contains(.virtualInterruptDelivery)
  }

  /// Whether a read of `count` bytes at `offset` is virtualized.
  public func includesRead(at offset: UInt64, count: UInt64) -> Bool {
    guard usesTPRShadow, Self.isInOneRegister(offset, count) else { return false }
    guard virtualizesRegisters else { return offset == VirtualAPICRegister.taskPriority }
    return Self.readable >> (offset >> 4) & 1 != 0
  }

  /// Whether a write of `count` bytes at `offset` is virtualized.
  public func includesWrite(at offset: UInt64, count: UInt64) -> Bool {
    guard usesTPRShadow, Self.isInOneRegister(offset, count) else { return false }
    if virtualizesRegisters { return Self.writable >> (offset >> 4) & 1 != 0 }
    switch offset {
    case VirtualAPICRegister.taskPriority: return true
    case VirtualAPICRegister.endOfInterrupt, VirtualAPICRegister.interruptCommandLow:
      return deliversInterrupts
    default: return false
    }
  }

  /// Whether the access lies within the low 4 of 16 bytes that are aligned.
  private static func isInOneRegister(_ offset: UInt64, _ count: UInt64) -> Bool {
    count > 0 && count <= 4 && offset & 0xF &+ count <= 4
  }

  /// The registers that "APIC-register virtualization" lets a guest read, by bits 9:4 of their offsets: all but the
  /// arbitration and processor priority, the remote read, the CMCI's and the timer's current count.
  private static let readable: UInt64 =
    writable | bits(0x030...0x030) | bits(0x100...0x170) | bits(0x180...0x1F0) | bits(0x200...0x270)

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

/// The interrupt-command value that a guest writes, as far as a self-IPI is recognised by it.
///
/// Source: SDM volume 3, "APIC-Write Emulation".
public enum VirtualInterruptCommand {
  /// Whether `low`, bits 31:0, is a fixed, edge-triggered IPI to the sender alone with a vector above 15, and has no
  /// reserved bit.
  @inlinable
  public static func isSelfIPI(_ low: UInt32) -> Bool {
    let reserved: UInt32 = 0xFFF3_3000
    let shorthand = low >> 18 & 3
    let isLevel = low & 1 << 15 != 0
    let deliveryMode = low >> 8 & 7
    return low & reserved == 0 && shorthand == 1 && !isLevel && deliveryMode == 0 && low & 0xF0 != 0
  }
}

/// The guest interrupt status: RVI, the vector requested for the guest, and SVI, the one in service.
///
/// Source: SDM volume 3, "Guest Non-Register State".
public struct GuestInterruptStatus: RawRepresentable, Hashable, Sendable {
  public var rawValue: UInt16

  @inlinable
  public init(rawValue: UInt16) { self.rawValue = rawValue }

  /// RVI.
  @inlinable
  public var requested: UInt8 {
    get { UInt8(truncatingIfNeeded: rawValue) }
    set { rawValue = rawValue & 0xFF00 | UInt16(newValue) }
  }

  /// SVI.
  @inlinable
  public var inService: UInt8 {
    get { UInt8(truncatingIfNeeded: rawValue >> 8) }
    set { rawValue = rawValue & 0x00FF | UInt16(newValue) << 8 }
  }

  /// VPPR of a guest with virtual TPR `taskPriority`.
  ///
  /// Source: SDM volume 3, "PPR Virtualization".
  @inlinable
  public func processorPriority(taskPriority: UInt8) -> UInt8 {
    taskPriority >> 4 >= inService >> 4 ? taskPriority : inService & 0xF0
  }
}

/// The posted-interrupt descriptor, 64 bytes: 256 bits of posted-interrupt requests, and the outstanding-notification bit.
///
/// Source: SDM volume 3, "Posted-Interrupt Processing".
public enum PostedInterruptDescriptor {
  /// The size in bytes, and the alignment.
  @inlinable public static var size: UInt64 { 64 }
  /// The 64-bit words of requests, from the first byte on.
  @inlinable public static var requestWords: UInt64 { 4 }
  /// The offset of the byte whose bit 0 says that a notification is outstanding.
  @inlinable public static var notificationOffset: UInt64 { 32 }
  /// That bit.
  @inlinable public static var outstandingNotification: UInt8 { 1 }
}

extension VMCS {
  @inlinable
  public var guestInterruptStatus: GuestInterruptStatus {
    get { GuestInterruptStatus(rawValue: UInt16(truncatingIfNeeded: self[.guestInterruptStatus])) }
    nonmutating set { self[.guestInterruptStatus] = UInt64(newValue.rawValue) }
  }

  /// Whether an EOI of `vector` causes a VM exit.
  ///
  /// Source: SDM volume 3, "Controls for APIC Virtualization".
  @inlinable
  public func exitsOnEOI(of vector: UInt8) -> Bool {
    let word =
      switch vector >> 6 {
      case 0: self[.eoiExitBitmap0]
      case 1: self[.eoiExitBitmap1]
      case 2: self[.eoiExitBitmap2]
      default: self[.eoiExitBitmap3]
      }
    return word >> UInt64(vector & 63) & 1 != 0
  }
}
