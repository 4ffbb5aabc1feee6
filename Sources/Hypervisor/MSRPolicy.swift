import Platform
import VMX
import X86

/// Where the value of an MSR that a guest names lives.
enum MSRSource {
  /// In a field of the guest's VMCS.
  case field(VMCSField)
  /// In the processor, shared by all guests.
  case processor
  /// Nowhere: it reads as this value and ignores writes.
  case constant(UInt64)
  /// In L0, which only keeps it: the number of its place in the virtual CPU's storage.
  case stored(UInt8)
  /// In the virtual clock.
  case timeStampCounter
  /// IA32_TSC_ADJUST: what was added to the time-stamp counter.
  case timeStampAdjustment
  /// In the local APIC: IA32_APIC_BASE, IA32_TSC_DEADLINE and the x2APIC's.
  case localAPIC
  /// In the nested core: IA32_FEATURE_CONTROL and the VMX capability MSRs.
  case nested
}

/// What may be written to an MSR; anything else is #GP(0).
enum MSRWriteRule {
  case any
  case canonical
  case low32Bits
  case pat
  case efer
  case debugCtl
  case miscEnable
  case memoryTypes
  case defaultMemoryType
  case variableRangeBase
  case variableRangeMask
  case never
}

/// One row of the MSR table.
struct MSRRow {
  var index: UInt32
  var source: MSRSource
  var writes: MSRWriteRule
  /// Whether L1 reads and writes it without a VM exit.
  var passesThrough: Bool

  init(
    _ msr: ModelSpecificRegister, _ source: MSRSource, writes: MSRWriteRule, passesThrough: Bool = false
  ) {
    self.init(index: msr.rawValue, source, writes: writes, passesThrough: passesThrough)
  }

  init(index: UInt32, _ source: MSRSource, writes: MSRWriteRule, passesThrough: Bool = false) {
    self.index = index
    self.source = source
    self.writes = writes
    self.passesThrough = passesThrough
  }
}

/// The MSRs of the virtual machine: an MSR that is not in the table is #GP(0), as on a processor.
enum MSRPolicy {
  /// IA32_PAT after a reset.
  static let resetPAT: UInt64 = 0x0007_0406_0007_0406
  /// MSR_PLATFORM_INFO: a maximum non-turbo ratio of 30 (3 GHz of 100 MHz), which nothing else is derived from.
  static let platformInformation: UInt64 = 30 << 8

  static let rows: InlineArray<34, MSRRow> = [
    MSRRow(.timeStampCounter, .timeStampCounter, writes: .any),
    MSRRow(.tscDeadline, .localAPIC, writes: .any),
    MSRRow(.tscAdjust, .timeStampAdjustment, writes: .any),
    MSRRow(.platformID, .constant(0), writes: .never),
    MSRRow(.apicBase, .localAPIC, writes: .any),
    MSRRow(.platformInformation, .constant(platformInformation), writes: .never),
    MSRRow(.miscFeatureEnables, .constant(0), writes: .any),
    MSRRow(.biosUpdateTrigger, .constant(0), writes: .any),
    MSRRow(.mcgCapability, .constant(0), writes: .never),
    MSRRow(.mcgStatus, .stored(0), writes: .any),
    MSRRow(.archCapabilities, .constant(CPUIDPolicy.archCapabilities), writes: .never),
    MSRRow(.mtrrCapability, .constant(mtrrCapability), writes: .never),
    MSRRow(.mtrrDefaultType, .stored(1), writes: .defaultMemoryType),
    MSRRow(.smiCount, .constant(0), writes: .never),
    MSRRow(.performanceStatus, .constant(0), writes: .any),
    MSRRow(.featureControl, .nested, writes: .never),
    MSRRow(.biosSignature, .constant(0), writes: .any),
    MSRRow(.sysenterCS, .field(.guestSysenterCS), writes: .low32Bits, passesThrough: true),
    MSRRow(.sysenterESP, .field(.guestSysenterESP), writes: .canonical, passesThrough: true),
    MSRRow(.sysenterEIP, .field(.guestSysenterEIP), writes: .canonical, passesThrough: true),
    MSRRow(.miscEnable, .stored(UInt8(miscEnablePlace)), writes: .miscEnable),
    MSRRow(.debugCtl, .field(.guestDebugCtl), writes: .debugCtl),
    MSRRow(.pat, .field(.guestPAT), writes: .pat),
    MSRRow(.xss, .processor, writes: .any),
    MSRRow(.umwaitControl, .processor, writes: .any),
    MSRRow(.efer, .field(.guestEFER), writes: .efer),
    MSRRow(.star, .processor, writes: .any, passesThrough: true),
    MSRRow(.lstar, .processor, writes: .canonical, passesThrough: true),
    MSRRow(.cstar, .processor, writes: .canonical, passesThrough: true),
    MSRRow(.fmask, .processor, writes: .low32Bits, passesThrough: true),
    MSRRow(.fsBase, .field(.guestFSBase), writes: .canonical, passesThrough: true),
    MSRRow(.gsBase, .field(.guestGSBase), writes: .canonical, passesThrough: true),
    MSRRow(.kernelGSBase, .processor, writes: .canonical, passesThrough: true),
    MSRRow(.tscAux, .processor, writes: .low32Bits, passesThrough: true),
  ]

  /// The row of the MSR `index`, or nil if the machine has no such MSR.
  static func row(_ index: UInt32) -> MSRRow? {
    for position in 0..<rows.count where rows[position].index == index { return rows[position] }
    if LocalAPIC.has(msr: index) { return MSRRow(index: index, .localAPIC, writes: .any) }
    if let row = memoryTypeRow(index) { return row }
    guard VMXCapabilities.firstMSR <= index, index <= VMXCapabilities.lastMSR else { return nil }
    var row = MSRRow(.vmxBasic, .nested, writes: .never)
    row.index = index
    return row
  }

  /// Fills the MSR bitmap of vmcs01: all MSRs exit but those that pass through.
  static func fillBitmap(_ bitmap: UnsafeMutableRawPointer) {
    bitmap.initializeMemory(as: UInt8.self, repeating: 0xFF, count: 4096)
    for position in 0..<rows.count where rows[position].passesThrough {
      for isWrite in [false, true] {
        guard let place = MSRBitmap.position(of: rows[position].index, isWrite: isWrite) else { continue }
        let byte = bitmap + Int(place.offset)
        byte.storeBytes(of: byte.load(as: UInt8.self) & ~place.mask, as: UInt8.self)
      }
    }
  }

  /// Whether `value` may be written to an MSR whose rule is `rule`; `current` is the MSR's value and `isPaging`
  /// whether CR0.PG is 1.
  static func allows(_ value: UInt64, by rule: MSRWriteRule, current: UInt64, isPaging: Bool) -> Bool {
    switch rule {
    case .any: true
    case .canonical: isCanonical(value)
    case .low32Bits: value >> 32 == 0
    case .pat: isValidPAT(value)
    case .efer: isValidEFER(EFER(rawValue: value), current: EFER(rawValue: current), isPaging: isPaging)
    case .debugCtl: value & ~DebugCtl.supported == 0
    case .miscEnable: MiscEnable(rawValue: value).isSubset(of: MiscEnable.writable.union(.readOnly))
    case .memoryTypes: areMTRRTypes(value)
    case .defaultMemoryType: value & ~0xCFF == 0 && isMTRRType(value & 0xFF)
    case .variableRangeBase: value & ~(rangeAddresses | 0xFF) == 0 && isMTRRType(value & 0xFF)
    case .variableRangeMask: value & ~(rangeAddresses | 1 << 11) == 0
    case .never: false
    }
  }

  /// IA32_DEBUGCTL's BTF, and LBR, which is only kept: the machine has no last-branch MSRs to record into.
  enum DebugCtl {
    static let branchTrapFlag: UInt64 = 1 << 1
    static let supported: UInt64 = branchTrapFlag | 1 << 0
  }

  /// Whether bits 63:47 are all alike.
  static func isCanonical(_ address: UInt64) -> Bool {
    let upper = Int64(bitPattern: address) >> 47
    return upper == 0 || upper == -1
  }

  /// Whether each byte is a memory type that the PAT can hold (SDM volume 3, "IA32_PAT MSR").
  static func isValidPAT(_ value: UInt64) -> Bool {
    for byte in 0..<UInt64(8) {
      switch value >> (byte * 8) & 0xFF {
      case 0, 1, 4, 5, 6, 7: continue
      default: return false
      }
    }
    return true
  }

  /// No reserved bit, and LME unchanged while paging (SDM volume 3, "Extended Feature Enable Register").
  static func isValidEFER(_ value: EFER, current: EFER, isPaging: Bool) -> Bool {
    guard value.isSubset(of: .defined) else { return false }
    return !isPaging || value.contains(.lme) == current.contains(.lme)
  }
}
