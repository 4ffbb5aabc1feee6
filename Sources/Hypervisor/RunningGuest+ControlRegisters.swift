import VMX
import X86

/// How an emulated instruction ended.
enum EmulationResult: Equatable {
  /// It is complete.
  case completed
  /// It is complete, and what the processor remembers of the guest's linear addresses no longer holds.
  case completedWithFlush
  /// It raises this exception instead, with error code 0.
  case fault(ExceptionVector)
}

/// What the writes of CR0 and CR4 depend on beside the guest's state.
struct ControlRegisterRules {
  /// The settings of CR0 and CR4 that VMX operation allows the guest, if it is in VMX operation itself.
  var cr0InVMX: ControlCapability?
  var cr4InVMX: ControlCapability?
  /// The bits of CR4 that the machine has.
  var cr4Supported: UInt64
  /// The bits that the processor needs set while any guest runs.
  var cr0Fixed: UInt64
  var cr4Fixed: UInt64
  /// The bits that the guest's own hypervisor owns: the guest's writes leave them as they are.
  var cr0Preserved: UInt64 = 0
  var cr4Preserved: UInt64 = 0
  /// The bits of CR0 that stay clear whatever the guest writes.
  var cr0Suppressed: CR0 { [.nw, .cd] }

  /// Preserves the bits that the guest's own hypervisor owns: these, and the bits `cr0Free` of CR0, are not checked.
  ///
  /// Source: SDM volume 3, "Changes to Instruction Behavior in VMX Non-Root Operation".
  mutating func preserve(cr0: UInt64, cr4: UInt64, cr0Free: UInt64) {
    cr0Preserved = cr0
    cr4Preserved = cr4
    cr0InVMX?.allowed0 &= ~(cr0 | cr0Free)
    cr0InVMX?.allowed1 |= cr0
    cr4InVMX?.allowed0 &= ~cr4
    cr4InVMX?.allowed1 |= cr4
  }
}

/// What a write of a control register changes, for the case that it faults after all.
struct PagingRegisters {
  private static let fields: [7 of VMCSField] = [
    .guestCR0, .cr0ReadShadow, .guestCR3, .guestCR4, .cr4ReadShadow, .guestEFER, .entryControls,
  ]
  private var values: [7 of UInt64] = .init(repeating: 0)

  init(of guest: RunningGuest) {
    for index in 0..<Self.fields.count { values[index] = guest.vmcs[Self.fields[index]] }
  }

  func restore(to guest: RunningGuest) {
    for index in 0..<Self.fields.count { guest.vmcs[Self.fields[index]] = values[index] }
  }
}

/// Writes of CR0 and CR4 that exit because they change a bit that L0 owns.
///
/// Source: SDM volume 2, "MOV—Move to/from Control Registers"; volume 3, "Control Registers".
extension RunningGuest {
  /// CR0 as the guest reads it: its own bits from CR0, those that L0 owns from the read shadow.
  var visibleCR0: CR0 {
    let mask = self[.cr0GuestHostMask]
    return CR0(rawValue: self[.guestCR0] & ~mask | self[.cr0ReadShadow] & mask)
  }

  /// CR4 as the guest reads it.
  var visibleCR4: CR4 {
    let mask = self[.cr4GuestHostMask]
    return CR4(rawValue: self[.guestCR4] & ~mask | self[.cr4ReadShadow] & mask)
  }

  func writeCR0(_ value: UInt64, _ rules: ControlRegisterRules) -> EmulationResult {
    let defined: CR0 = [.pe, .mp, .em, .ts, .et, .ne, .wp, .am, .nw, .cd, .pg]
    let old = visibleCR0
    let new = CR0(rawValue: value & defined.rawValue).union(.et)
    guard value >> 32 == 0, isConsistent(new), rules.cr0InVMX?.permits(new.rawValue) ?? true else {
      return .fault(.generalProtection)
    }
    if new.contains(.pg) != old.contains(.pg) {
      guard changePaging(to: new.contains(.pg)) else { return .fault(.generalProtection) }
    }
    self[.cr0ReadShadow] = new.rawValue
    let kept = self[.guestCR0] & rules.cr0Preserved
    let own = new.subtracting(rules.cr0Suppressed).rawValue & ~rules.cr0Preserved
    self[.guestCR0] = own | kept | rules.cr0Fixed
    return new.symmetricDifference(old).isDisjoint(with: [.pg, .wp, .pe, .cd, .nw])
      ? .completed : .completedWithFlush
  }

  func writeCR4(_ value: UInt64, _ rules: ControlRegisterRules) -> EmulationResult {
    let old = visibleCR4
    let new = CR4(rawValue: value)
    let isLongMode = EFER(rawValue: self[.guestEFER]).contains(.lma)
    guard value & ~rules.cr4Supported == 0, rules.cr4InVMX?.permits(value) ?? true else {
      return .fault(.generalProtection)
    }
    if isLongMode, !new.contains(.pae) || new.contains(.la57) != old.contains(.la57) {
      return .fault(.generalProtection)
    }
    if new.contains(.pcide), !old.contains(.pcide), !isLongMode || self[.guestCR3] & 0xFFF != 0 {
      return .fault(.generalProtection)
    }
    self[.cr4ReadShadow] = value
    self[.guestCR4] = value & ~rules.cr4Preserved | self[.guestCR4] & rules.cr4Preserved | rules.cr4Fixed
    let translating: CR4 = [.pse, .pae, .pge, .pcide, .smep, .smap, .la57]
    return new.symmetricDifference(old).isDisjoint(with: translating) ? .completed : .completedWithFlush
  }

  /// CR3 as MOV writes it: bit 63 only asks not to flush.
  func writeCR3(_ value: UInt64) -> EmulationResult {
    let pcids = visibleCR4.contains(.pcide)
    let address = pcids ? value & ~(1 << 63) : value
    guard address >> 52 == 0 else { return .fault(.generalProtection) }
    self[.guestCR3] = address
    return pcids && value >> 63 != 0 ? .completed : .completedWithFlush
  }

  private func isConsistent(_ value: CR0) -> Bool {
    if value.contains(.pg) && !value.contains(.pe) { return false }
    return !value.contains(.nw) || value.contains(.cd)
  }

  /// Enters or leaves IA-32e mode with paging, if EFER.LME asks for it; false if the guest may not.
  private func changePaging(to isPaging: Bool) -> Bool {
    let efer = EFER(rawValue: self[.guestEFER])
    let cr4 = CR4(rawValue: self[.guestCR4])
    let codeIsLong = self[.guestCSAccessRights] & 1 << 13 != 0
    guard isPaging else {
      guard !is64Bit, !cr4.contains(.pcide) else { return false }
      self[.guestEFER] = efer.subtracting(.lma).rawValue
      vmcs.entryControls.remove(.ia32eModeGuest)
      return true
    }
    guard efer.contains(.lme) else { return true }
    guard cr4.contains(.pae), !codeIsLong else { return false }
    self[.guestEFER] = efer.union(.lma).rawValue
    vmcs.entryControls.insert(.ia32eModeGuest)
    return true
  }
}

// MARK: PDPTEs

extension RunningGuest {
  /// Whether a load of CR3 or a change of mode loads the four PDPTEs (SDM volume 3, "PDPTE Registers").
  var usesPDPTEs: Bool {
    let cr0 = CR0(rawValue: vmcs[.guestCR0])
    let efer = EFER(rawValue: vmcs[.guestEFER])
    return cr0.contains(.pg) && CR4(rawValue: vmcs[.guestCR4]).contains(.pae) && !efer.contains(.lma)
  }

  /// The guest-physical address of the table that they are loaded from.
  var pageDirectoryPointers: UInt64 { vmcs[.guestCR3] & 0xFFFF_FFE0 }

  /// Loads them from `table`; false if one of them has a reserved bit set.
  func loadPDPTEs(from ram: L1RAM, at table: PhysicalAddress<L1>) -> Bool {
    let fields: [4 of VMCSField] = [.guestPDPTE0, .guestPDPTE1, .guestPDPTE2, .guestPDPTE3]
    for index in 0..<4 {
      guard let place = ram.translate(table + UInt64(index) * 8, count: 8),
        let entry = ram.memory.load(place, as: UInt64.self)
      else { return false }
      work.pointee.memoryAccesses &+= 1
      let reserved = 0x1E6 | AddressForm.bitsBeyond(physicalWidth: L1RAM.physicalAddressWidth)
      if entry & 1 != 0, entry & reserved != 0 { return false }
      self[fields[index]] = entry
    }
    return true
  }
}
