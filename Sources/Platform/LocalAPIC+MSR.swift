import X86

/// The bits of IA32_APIC_BASE (SDM volume 3, "Local APIC Status and Location").
enum APICBase {
  static let bootstrap: UInt64 = 1 << 8
  static let extended: UInt64 = 1 << 10
  static let enabled: UInt64 = 1 << 11
}

/// The MSRs of a local APIC: IA32_APIC_BASE, IA32_TSC_DEADLINE, and 800H to 8FFH.
extension LocalAPIC {
  private static let x2APIC =
    ModelSpecificRegister.x2APICFirst.rawValue...ModelSpecificRegister.x2APICLast.rawValue

  /// Whether `index` is an MSR of the local APIC.
  public static func has(msr index: UInt32) -> Bool {
    index == ModelSpecificRegister.apicBase.rawValue || index == ModelSpecificRegister.tscDeadline.rawValue
      || x2APIC.contains(index)
  }

  /// RDMSR: the value, or nil for #GP(0).
  public func readMSR(_ index: UInt32) -> UInt64? {
    switch index {
    case ModelSpecificRegister.apicBase.rawValue: base
    case ModelSpecificRegister.tscDeadline.rawValue: hasDeadlineTimer ? timeStampCounterDeadline() : nil
    case Self.x2APIC: mode == .x2APIC ? x2APICValue(at: UInt8(truncatingIfNeeded: index)) : nil
    default: nil
    }
  }

  /// WRMSR; false, and nothing written, for #GP(0).
  public func writeMSR(_ index: UInt32, _ value: UInt64) -> Bool {
    switch index {
    case ModelSpecificRegister.apicBase.rawValue: return setBase(value)
    case ModelSpecificRegister.tscDeadline.rawValue:
      guard hasDeadlineTimer else { return false }
      setTimeStampCounterDeadline(value)
      return true
    case Self.x2APIC:
      return mode == .x2APIC && setX2APICValue(value, at: UInt8(truncatingIfNeeded: index))
    default: return false
    }
  }
}

// MARK: x2APIC

extension LocalAPIC {
  /// The logical x2APIC ID: the cluster of 16 in the upper half, one bit for the processor in the lower.
  var x2APICLogicalDestination: UInt32 { (identifier >> 4) << 16 | 1 << (identifier & 0xF) }

  private func x2APICValue(at index: UInt8) -> UInt64? {
    switch index {
    case Index.identifier: UInt64(identifier)
    case Index.interruptCommand: registers.interruptCommand
    default: value(at: index).map(UInt64.init)
    }
  }

  private func setX2APICValue(_ value: UInt64, at index: UInt8) -> Bool {
    guard value & Self.x2APICReserved(at: index) == 0 else { return false }
    switch index {
    case Index.interruptCommand: setInterruptCommand(value)
    case Index.selfInterrupt: sendSelfInterrupt(UInt8(truncatingIfNeeded: value))
    default: return setValue(UInt32(truncatingIfNeeded: value), at: index)
    }
    return true
  }

  /// The bits of a register that WRMSR must leave 0.
  private static func x2APICReserved(at index: UInt8) -> UInt64 {
    switch index {
    case Index.taskPriority, Index.selfInterrupt: ~0xFF
    case Index.endOfInterrupt, Index.errorStatus: ~0
    case Index.spurious: ~UInt64(APICRegisters.spuriousDefined)
    case Index.interruptCommand: 0xFFF3_2000
    case Index.localVectors: localVector(index).map { ~UInt64($0.defined) } ?? ~0
    case Index.divideConfiguration: ~0xB
    default: 0xFFFF_FFFF_0000_0000
    }
  }
}

// MARK: IA32_APIC_BASE

extension LocalAPIC {
  /// Writes IA32_APIC_BASE; false for reserved bits and for the transitions that do not exist: to x2APIC mode of a
  /// disabled APIC, and from x2APIC to xAPIC mode.
  ///
  /// Source: SDM volume 3, "x2APIC State Transitions".
  private func setBase(_ value: UInt64) -> Bool {
    let flags = APICBase.bootstrap | APICBase.extended | APICBase.enabled
    let addresses: UInt64 = (1 << UInt64(bus.physicalAddressWidth)) &- 0x1000
    guard value & ~(addresses | flags) == 0, let next = Self.mode(of: value), hasX2APIC || next != .x2APIC
    else { return false }
    switch (mode, next) {
    case (.disabled, .x2APIC), (.x2APIC, .xAPIC): return false
    default: break
    }
    base = value
    if next != mode { enter(next) }
    return true
  }

  private static func mode(of base: UInt64) -> Mode? {
    switch (base & APICBase.enabled != 0, base & APICBase.extended != 0) {
    case (false, false): .disabled
    case (true, false): .xAPIC
    case (true, true): .x2APIC
    case (false, true): nil
    }
  }

  private func enter(_ next: Mode) {
    let previous = mode
    mode = next
    // A disabled APIC loses its state; but CR8 goes on to work, so that it is lost again on the way back.
    if next == .disabled || previous == .disabled {
      xAPICIdentifier = UInt8(truncatingIfNeeded: identifier)
      initialize()
    }
    if next == .x2APIC {
      registers.logicalDestination = x2APICLogicalDestination
      registers.interruptCommand &= 0xFFFF_FFFF
    }
    bus.localAPICChanged()
  }
}
