import VMX
import X86

extension VirtualVMX {
  /// Who handles the exit that the VMCS in ``running`` describes. For an EPT violation of L2, ept02 is filled here.
  public mutating func route(_ reason: ExitReasonField) -> Route {
    guard let basic = reason.basic else {
      return isInL2 ? reflected() : .keptByL0(.unexpected)
    }
    let row = ExitRoute.row(for: basic)
    guard isInL2 else { return .keptByL0(row.otherwise) }
    if row.l0First == .nonMaskableInterrupt, !isNMI { return routeToL1(row) }
    if let handler = row.l0First { return .keptByL0(handler) }
    return routeToL1(row)
  }

  /// Asks L1 for an exit of L2 that L0 does not claim.
  mutating func routeToL1(_ row: ExitRoute) -> Route {
    if case .details(.eptViolation) = row.l1 { return routeEPTViolation() }
    return wants(row.l1) ? reflected() : .keptByL0(row.otherwise)
  }

  func reflected() -> Route { .reflectedToL1(ExitInformation(lastExitOf: vmcs02)) }

  mutating func routeEPTViolation() -> Route {
    switch handleEPTViolation() {
    case .filled: return .keptByL0(.composedEPT)
    case .exhausted: return .keptByL0(.outOfPages)
    case .exception:
      if let exit = interceptedException() { return .reflectedToL1(exit) }
      return .keptByL0(.virtualizationException)
    case .forL0(let address):
      faultingAddress = address
      return .keptByL0(.memoryOfL1)
    case .forL1(let reason, let qualification):
      var exit = ExitInformation(lastExitOf: vmcs02)
      exit.reason = ExitReasonField(reason)
      exit.qualification = qualification
      return .reflectedToL1(exit)
    }
  }

  /// Whether L1 wants the exit of L2, by its row.
  mutating func wants(_ interest: L1Interest) -> Bool {
    let vmcs12 = vmcs12Region
    work.memoryReads &+= 1
    switch interest {
    case .always: return true
    case .never: return false
    case .pin(let controls): return !vmcs12.pinBasedControls.isDisjoint(with: controls)
    case .primary(let controls): return !vmcs12.primaryProcessorBasedControls.isDisjoint(with: controls)
    case .secondary(let controls): return !vmcs12.effectiveSecondaryControls.isDisjoint(with: controls)
    case .either(let primary, let secondary):
      return !vmcs12.primaryProcessorBasedControls.isDisjoint(with: primary)
        || !vmcs12.effectiveSecondaryControls.isDisjoint(with: secondary)
    case .both(let primary, let secondary):
      return vmcs12.primaryProcessorBasedControls.isSuperset(of: primary)
        && vmcs12.effectiveSecondaryControls.isSuperset(of: secondary)
    case .details(let details): return wants(details)
    }
  }

  mutating func wants(_ details: RoutingDetails) -> Bool {
    switch details {
    case .exception: wantsException()
    case .controlRegister: wantsControlRegisterAccess()
    case .io: wantsIO()
    case .msrRead: wantsMSR(isWrite: false)
    case .msrWrite: wantsMSR(isWrite: true)
    case .vmread: wantsFieldAccess(.vmreadBitmap)
    case .vmwrite: wantsFieldAccess(.vmwriteBitmap)
    case .pause: wantsPAUSE
    case .vmFunction: eptPointerToSwitchTo == nil
    case .eptViolation: false
    }
  }

  /// Whether the exit of L2 is a true NMI, and no exception.
  var isNMI: Bool { vmcs02.exitInterruptionInformation.kind == .nmi }
}

// MARK: Decisions on details

extension VirtualVMX {
  /// SDM volume 3, "Exception Bitmap" and "Page-Fault Error-Code Mask and Page-Fault Error-Code Match".
  mutating func wantsException() -> Bool {
    work.vmcsReads &+= 2
    let exception = vmcs02.exitInterruptionInformation
    let bit = vmcs12Region[.exceptionBitmap] >> UInt64(exception.vector & 31) & 1 != 0
    guard exception.vector == ExceptionVector.pageFault.rawValue else { return bit }
    let masked = vmcs02[.exitInterruptionErrorCode] & vmcs12Region[.pageFaultErrorCodeMask]
    return (masked == vmcs12Region[.pageFaultErrorCodeMatch]) == bit
  }

  /// SDM volume 3, "I/O-Bitmap Addresses": any port of the access, and one that wraps around always.
  mutating func wantsIO() -> Bool {
    let controls = vmcs12Region.primaryProcessorBasedControls
    guard controls.contains(.useIOBitmaps) else { return controls.contains(.unconditionalIOExiting) }
    work.vmcsReads &+= 1
    let io = IOQualification(rawValue: vmcs02[.exitQualification])
    for offset in 0..<UInt32(io.size) {
      let number = UInt32(io.port) &+ offset
      guard number <= 0xFFFF else { return true }
      let port = UInt16(truncatingIfNeeded: number)
      let position = IOBitmap.position(of: port)
      if bit(position, ofBitmapAt: vmcs12Region[IOBitmap.field(for: port)]) { return true }
    }
    return false
  }

  /// SDM volume 3, "Instructions That Cause VM Exits Conditionally". With PAUSE exiting the processor looks for no loops,
  /// and a loop that none has found is no loss.
  var wantsPAUSE: Bool {
    let controls = vmcs12Region.primaryProcessorBasedControls
    if controls.contains(.pauseExiting) { return true }
    return vmcs12Region.effectiveSecondaryControls.contains(.pauseLoopExiting)
      && !vmcs01.primaryProcessorBasedControls.contains(.pauseExiting)
  }

  /// SDM volume 3, "MSR-Bitmap Address".
  mutating func wantsMSR(isWrite: Bool) -> Bool {
    guard vmcs12Region.primaryProcessorBasedControls.contains(.useMSRBitmaps) else { return true }
    let index = UInt32(truncatingIfNeeded: registers[.rcx])
    guard let position = MSRBitmap.position(of: index, isWrite: isWrite) else { return true }
    return bit(position, ofBitmapAt: vmcs12Region[.msrBitmap])
  }

  mutating func bit(_ position: BitmapPosition, ofBitmapAt address: UInt64) -> Bool {
    work.memoryReads &+= 1
    return memory.byte(at: PhysicalAddress(address) + position.offset) & position.mask != 0
  }

  /// SDM volume 3, "Guest/Host Masks and Read Shadows for CR0 and CR4" and "CR3-Target Controls".
  mutating func wantsControlRegisterAccess() -> Bool {
    work.vmcsReads &+= 1
    let access = ControlRegisterQualification(rawValue: vmcs02[.exitQualification])
    let controls = vmcs12Region.primaryProcessorBasedControls
    switch access.access {
    case .movToCR: return wantsMOVToCR(access, controls)
    case .movFromCR:
      return controls.contains(access.number == 8 ? .cr8StoreExiting : .cr3StoreExiting)
    case .clts:
      return vmcs12Region[.cr0GuestHostMask] & vmcs12Region[.cr0ReadShadow] & CR0.ts.rawValue != 0
    case .lmsw: return wantsLMSW(UInt64(access.lmswSource))
    }
  }

  func wantsMOVToCR(
    _ access: ControlRegisterQualification, _ controls: PrimaryProcessorBasedControls
  ) -> Bool {
    let operand = register(access.register, of: vmcs02)
    let value = Self.isIn64BitMode(vmcs02) ? operand : operand & 0xFFFF_FFFF
    switch access.number {
    case 0: return (value ^ vmcs12Region[.cr0ReadShadow]) & vmcs12Region[.cr0GuestHostMask] != 0
    case 4: return (value ^ vmcs12Region[.cr4ReadShadow]) & vmcs12Region[.cr4GuestHostMask] != 0
    case 3: return controls.contains(.cr3LoadExiting) && !isCR3Target(value)
    case 8: return controls.contains(.cr8LoadExiting)
    default: return false
    }
  }

  func isCR3Target(_ value: UInt64) -> Bool {
    let count = vmcs12Region[.cr3TargetCount]
    return count > 0 && value == vmcs12Region[.cr3Target0] || count > 1 && value == vmcs12Region[.cr3Target1]
      || count > 2 && value == vmcs12Region[.cr3Target2] || count > 3 && value == vmcs12Region[.cr3Target3]
  }

  /// LMSW writes bits 3:0 and can set PE, but not clear it.
  func wantsLMSW(_ source: UInt64) -> Bool {
    let mask = vmcs12Region[.cr0GuestHostMask]
    let shadow = vmcs12Region[.cr0ReadShadow]
    let upper = CR0.mp.rawValue | CR0.em.rawValue | CR0.ts.rawValue
    return mask & upper & (source ^ shadow) != 0 || mask & CR0.pe.rawValue & source & ~shadow != 0
  }

  /// The value of a general-purpose register; RSP is in the VMCS of the guest that ran.
  func register(_ register: GeneralRegister, of vmcs: VMCS) -> UInt64 {
    register == .rsp ? vmcs[.guestRSP] : registers[register]
  }
}
