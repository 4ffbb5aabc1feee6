/// The register file of a local APIC. A register has one index in both modes: the offset in the page divided by 16, and
/// the MSR's index less 800H.
///
/// Source: SDM volume 3, "Local APIC Register Address Map" and "x2APIC Register Address Space".
extension LocalAPIC {
  enum Index {
    static let identifier: UInt8 = 0x02
    static let version: UInt8 = 0x03
    static let taskPriority: UInt8 = 0x08
    static let arbitrationPriority: UInt8 = 0x09
    static let processorPriority: UInt8 = 0x0A
    static let endOfInterrupt: UInt8 = 0x0B
    static let remoteRead: UInt8 = 0x0C
    static let logicalDestination: UInt8 = 0x0D
    static let destinationFormat: UInt8 = 0x0E
    static let spurious: UInt8 = 0x0F
    static let inService: ClosedRange<UInt8> = 0x10...0x17
    static let triggerMode: ClosedRange<UInt8> = 0x18...0x1F
    static let requested: ClosedRange<UInt8> = 0x20...0x27
    static let errorStatus: UInt8 = 0x28
    static let interruptCommand: UInt8 = 0x30
    static let interruptCommandHigh: UInt8 = 0x31
    static let localVectors: ClosedRange<UInt8> = 0x32...0x37
    static let initialCount: UInt8 = 0x38
    static let currentCount: UInt8 = 0x39
    static let divideConfiguration: UInt8 = 0x3E
    static let selfInterrupt: UInt8 = 0x3F
  }

  /// The LVT entry whose register has this index.
  static func localVector(_ index: UInt8) -> LocalVector? {
    LocalVector(rawValue: index &- Index.localVectors.lowerBound)
  }

  /// What the register with `index` reads, or nil if it is reserved or cannot be read. Those that only one mode has, or
  /// that differ, are up to the caller.
  func value(at index: UInt8) -> UInt32? {
    switch index {
    case Index.version: APICRegisters.version
    case Index.taskPriority: UInt32(registers.taskPriority)
    case Index.processorPriority: UInt32(processorPriority)
    case Index.logicalDestination: registers.logicalDestination
    case Index.spurious: registers.spurious
    case Index.inService: registers.inService.word(index)
    case Index.triggerMode: registers.triggerMode.word(index)
    case Index.requested: registers.requested.word(index)
    case Index.errorStatus: errors.status.rawValue
    case Index.interruptCommand: UInt32(truncatingIfNeeded: registers.interruptCommand)
    case Index.localVectors: Self.localVector(index).map(registers.localVector)
    case Index.initialCount: timer.initialCount
    case Index.currentCount: currentCount()
    case Index.divideConfiguration: timer.divideConfiguration
    default: nil
    }
  }

  /// Writes the register with `index`; false if it is reserved or cannot be written.
  func setValue(_ value: UInt32, at index: UInt8) -> Bool {
    switch index {
    case Index.taskPriority: setTaskPriority(UInt8(truncatingIfNeeded: value))
    case Index.endOfInterrupt: endOfInterrupt()
    case Index.spurious: setSpurious(value)
    case Index.errorStatus: errors.latch()
    case Index.localVectors:
      guard let entry = Self.localVector(index) else { return false }
      setLocalVector(entry, value)
    case Index.initialCount: setInitialCount(value)
    case Index.divideConfiguration: setDivideConfiguration(value)
    default: return false
    }
    return true
  }

  /// Writes the spurious-interrupt vector register. An APIC disabled by software masks its local interrupts.
  private func setSpurious(_ value: UInt32) {
    let wasEnabled = isSoftwareEnabled
    registers.spurious = value & APICRegisters.spuriousDefined
    if !isSoftwareEnabled {
      for entry in LocalVector.allCases {
        registers.setLocalVector(entry, registers.localVector(entry) | LocalVector.mask)
      }
    } else if !wasEnabled {
      bus.localAPICChanged()
    }
  }
}

// MARK: xAPIC

extension LocalAPIC: MemoryDevice {
  /// A load from the page: any bytes of the first four of a register; the other twelve read as 0.
  public func read(offset: UInt64, size: UInt8) -> UInt64 {
    guard offset <= 0xFFF else { return 0 }
    let index = UInt8(truncatingIfNeeded: offset >> 4)
    let shift = (offset & 0xF) &* 8
    return shift < 32 ? UInt64(xAPICValue(at: index)) >> shift : 0
  }

  /// A store to the page. Only aligned 32-bit stores have an effect: what others do is not defined by the architecture.
  public func write(_ value: UInt64, offset: UInt64, size: UInt8) {
    guard size == 4, offset & 0xF == 0, offset <= 0xFFF else { return }
    setXAPICValue(UInt32(truncatingIfNeeded: value), at: UInt8(truncatingIfNeeded: offset >> 4))
  }

  private func xAPICValue(at index: UInt8) -> UInt32 {
    switch index {
    case Index.identifier: return UInt32(xAPICIdentifier) << 24
    case Index.arbitrationPriority: return UInt32(registers.arbitrationPriority)
    case Index.endOfInterrupt, Index.remoteRead: return 0
    case Index.destinationFormat: return registers.destinationFormat
    case Index.interruptCommandHigh: return UInt32(truncatingIfNeeded: registers.interruptCommand >> 32)
    default: break
    }
    if let value = value(at: index) { return value }
    detect(.illegalRegisterAddress)
    return 0
  }

  private func setXAPICValue(_ value: UInt32, at index: UInt8) {
    switch index {
    case Index.logicalDestination: registers.logicalDestination = value & 0xFF00_0000
    case Index.destinationFormat: registers.destinationFormat = value | 0x0FFF_FFFF
    case Index.interruptCommandHigh:
      registers.interruptCommand =
        registers.interruptCommand & 0xFFFF_FFFF | UInt64(value & 0xFF00_0000) << 32
    case Index.interruptCommand:
      setInterruptCommand(registers.interruptCommand & ~0xFFFF_FFFF | UInt64(value))
    case Index.identifier: xAPICIdentifier = UInt8(truncatingIfNeeded: value >> 24)
    case Index.arbitrationPriority, Index.remoteRead: break
    default:
      guard !setValue(value, at: index), self.value(at: index) == nil else { return }
      detect(.illegalRegisterAddress)
    }
  }
}
