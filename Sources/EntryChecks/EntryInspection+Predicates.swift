import VMX
import X86

/// The questions that many checks ask.
extension EntryInspection {
  /// The value of a field.
  @inline(__always)
  subscript(field: VMCSField) -> UInt64 { vmcs[field] }

  /// Whether `field`, the address of a page, has one of bits 11:0 set.
  func isUnaligned(_ field: VMCSField) -> Bool { self[field] & 0xFFF != 0 }

  /// Whether `field`, a physical address, has a bit beyond the processor's physical-address width.
  func exceedsPhysicalWidth(_ field: VMCSField) -> Bool { exceedsPhysicalWidth(self[field]) }

  func exceedsPhysicalWidth(_ address: UInt64) -> Bool {
    let limit = environment.capabilities.basic.limitsAddressesTo32Bits ? 32 : environment.physicalWidth
    return address & AddressForm.bitsBeyond(physicalWidth: limit) != 0
  }

  /// Whether `field`, the value of CR3, has a bit beyond the physical-address width.
  func isInvalidCR3(_ field: VMCSField) -> Bool {
    self[field] & AddressForm.bitsBeyond(physicalWidth: environment.physicalWidth) != 0
  }

  /// Whether `field`, a linear address, is not canonical.
  func isNotCanonical(_ field: VMCSField) -> Bool {
    !AddressForm.isCanonical(self[field], width: environment.linearWidth)
  }

  /// Whether the bits of `field` from the linear-address width on are not identical. Unlike a canonical address, it may
  /// differ from them in the bit below: so RIP is saved when it has run past the end of the lower half.
  func exceedsLinearWidth(_ field: VMCSField) -> Bool {
    !AddressForm.isCanonical(self[field], width: environment.linearWidth &+ 1)
  }

  /// Whether the MSR area at `field` with the number of entries in `count` has its last byte beyond the width.
  func areaExceedsPhysicalWidth(_ field: VMCSField, count: VMCSField) -> Bool {
    let (last, overflows) = self[field].addingReportingOverflow(self[count] &* MSREntry.size &- 1)
    return self[count] != 0 && !exceedsPhysicalWidth(field) && (overflows || exceedsPhysicalWidth(last))
  }

  /// Whether a word of controls has a setting that the processor does not allow.
  func hasDisallowedSetting(_ kind: ControlWordKind) -> Bool {
    !environment.capabilities.capability(of: kind).permits(self[kind.field])
  }

  /// Whether `value`, IA32_S_CET, has reserved bits, both TRACKER and SUPPRESS, or a bitmap base not canonical.
  func isInvalidSCET(_ field: VMCSField) -> Bool {
    let value = self[field]
    return value & 0x3C0 != 0 || value & 0xC00 == 0xC00
      || !AddressForm.isCanonical(value & ~0xFFF, width: environment.linearWidth)
  }

  /// Whether `value`, a PDPTE that VM entry would load, is present and has reserved bits set.
  func isInvalidPDPTE(_ value: UInt64?) -> Bool {
    guard let value else { return false }
    let reserved = 0x1E6 | AddressForm.bitsBeyond(physicalWidth: environment.physicalWidth)
    return value & PagingEntry.present != 0 && value & reserved != 0
  }

  /// The VM-function controls.
  var vmFunctions: VMFunctionControls { vmcs.vmFunctionControls }

  /// Whether an event of `kind` is to be injected.
  func injects(_ kind: InterruptionInformation.Kind) -> Bool { event.isValid && event.kind == kind }
}

/// The guest, as the guest-state area describes it.
extension EntryInspection {
  var isIA32eModeGuest: Bool { entry.contains(.ia32eModeGuest) }
  var isUnrestrictedGuest: Bool { secondary.contains(.unrestrictedGuest) }
  var isVirtual8086: Bool { guestRFLAGS.contains(.vm) }
  var interruptibility: InterruptibilityState { vmcs.interruptibilityState }
  var activity: UInt64 { self[.guestActivityState] }

  func selector(_ segment: GuestSegment) -> SegmentSelector { vmcs.selector(of: segment) }
  func rights(_ segment: GuestSegment) -> SegmentAccessRights { vmcs.accessRights(of: segment) }

  /// The segment of a segment field; a row of the segment table has no other.
  func segment(_ field: VMCSField) -> GuestSegment { GuestSegment(field: field) ?? .ds }

  /// Whether the segment of `field` is checked outside virtual-8086 mode: CS always, others if usable.
  func isChecked(_ field: VMCSField) -> Bool {
    let segment = segment(field)
    return !isVirtual8086 && (segment == .cs || !rights(segment).isUnusable)
  }

  /// Whether G disagrees with the limit of the segment of `field`.
  func isGranularityWrong(_ field: VMCSField) -> Bool {
    let segment = segment(field)
    let limit = self[segment.limitField]
    return rights(segment).isGranular ? limit & 0xFFF != 0xFFF : limit & 0xFFF0_0000 != 0
  }

  func hasReservedRights(_ field: VMCSField) -> Bool {
    rights(segment(field)).rawValue & SegmentAccessRights.reservedBits != 0
  }
}

/// Questions on the controls.
extension EntryInspection {
  /// Without virtual-interrupt delivery and virtualized APIC accesses, a threshold above the virtual TPR would cause a
  /// VM exit at once.
  var isTPRThresholdAboveVirtualTPR: Bool {
    guard let virtualTPR = circumstances.virtualTPR,
      secondary.isDisjoint(with: [.virtualInterruptDelivery, .virtualizeAPICAccesses])
    else { return false }
    return self[.tprThreshold] & 0xF > virtualTPR >> 4
  }

  var isEPTMemoryTypeSupported: Bool {
    let capability = environment.capabilities.eptAndVPID
    return switch EPTPointer(rawValue: self[.eptPointer]).memoryType {
    case .uncacheable: capability.contains(.uncacheablePagingStructures)
    case .writeBack: capability.contains(.writeBackPagingStructures)
    default: false
    }
  }

  var isEPTWalkLengthSupported: Bool {
    let capability = environment.capabilities.eptAndVPID
    return switch EPTPointer(rawValue: self[.eptPointer]).walkLength {
    case 4: capability.contains(.pageWalkLength4)
    case 5: capability.contains(.pageWalkLength5)
    default: false
    }
  }

  var isPIDPointerTableBeyondWidth: Bool {
    let (last, overflows) =
      self[.pidPointerTableAddress].addingReportingOverflow(self[.lastPIDPointerIndex] &* 8 &+ 7)
    return overflows || exceedsPhysicalWidth(last)
  }
}

/// Questions on the event to be injected.
extension EntryInspection {
  var isEventKindUnsupported: Bool {
    switch event.kind {
    case .reserved: true
    case .otherEvent: !environment.capabilities.allows(PrimaryProcessorBasedControls.monitorTrapFlag)
    default: false
    }
  }

  var isVectorInconsistent: Bool {
    switch event.kind {
    case .nmi: event.vector != ExceptionVector.nmi.rawValue
    case .hardwareException: event.vector > 31
    case .otherEvent: event.vector != 0
    default: false
    }
  }

  /// Whether the event is one that an error code can go with.
  /// Only an unrestricted guest can be in real-address mode, in which exceptions have no error code.
  var mayDeliverErrorCode: Bool {
    event.kind == .hardwareException && (guestCR0.contains(.pe) || !secondary.contains(.unrestrictedGuest))
  }

  var isErrorCodeInconsistent: Bool {
    // IA32_VMX_BASIC bit 56 leaves the choice to software; #CP comes with it only.
    guard mayDeliverErrorCode, !environment.capabilities.basic.deliversErrorCodeForAnyException,
      event.vector < 32
    else { return false }
    let hasErrorCode = (ExceptionVector.errorCodeVectors & 0x2_7D00) >> UInt32(event.vector) & 1 != 0
    return event.hasErrorCode != hasErrorCode
  }

  var hasReservedEventBits: Bool {
    let nested: UInt32 = environment.capabilities.basic.hasNestedExceptions ? 1 << 13 : 0
    return event.rawValue & 0x7FFF_F000 & ~nested != 0
  }

  func isInstructionLengthInvalid(_ field: VMCSField) -> Bool {
    let length = self[field]
    return length > 15 || length == 0 && !environment.capabilities.miscellaneous.allowsInstructionLengthZero
  }

  /// Whether the activity state blocks the event.
  var isEventBlockedByActivity: Bool {
    switch ActivityState(rawValue: UInt32(truncatingIfNeeded: activity)) {
    case .active: false
    case .hlt: !isEventDeliveredInHLT
    case .shutdown: event.kind != .nmi && !isMachineCheck
    case .waitForSIPI: true
    case nil: false
    }
  }

  private var isMachineCheck: Bool {
    event.kind == .hardwareException && event.vector == ExceptionVector.machineCheck.rawValue
  }

  private var isEventDeliveredInHLT: Bool {
    switch event.kind {
    case .externalInterrupt, .nmi: true
    case .hardwareException: event.vector == ExceptionVector.debug.rawValue || isMachineCheck
    case .otherEvent: event.vector == 0
    default: false
    }
  }
}

/// Questions on the guest-state area.
extension EntryInspection {
  /// Whether guest CR0 has a setting that VMX operation does not allow. CD and NW are not checked, nor are PE and PG of
  /// an unrestricted guest.
  func isGuestCR0Unsupported(_ field: VMCSField) -> Bool {
    var allowed = environment.capabilities.cr0
    let unchecked: CR0 = [.nw, .cd]
    allowed.allowed1 |= unchecked.rawValue
    if isUnrestrictedGuest {
      let free: CR0 = [.pe, .pg]
      allowed.allowed0 &= ~free.rawValue
    }
    return !allowed.permits(self[field])
  }

  var isCSTypeInvalid: Bool {
    switch rights(.cs).type {
    case 9, 11, 13, 15: false
    case 3: !isUnrestrictedGuest
    default: true
    }
  }

  var isCSDPLInvalid: Bool {
    let dpl = rights(.cs).dpl
    return switch rights(.cs).type {
    case 3: dpl != 0
    case 9, 11: dpl != rights(.ss).dpl
    case 13, 15: dpl > rights(.ss).dpl
    default: false
    }
  }

  func isDataSegmentTypeInvalid(_ field: VMCSField) -> Bool {
    let type = rights(segment(field)).type
    return type & 1 == 0 || type & 8 != 0 && type & 2 == 0
  }

  func isDataSegmentDPLInvalid(_ field: VMCSField) -> Bool {
    let segment = segment(field)
    guard !isUnrestrictedGuest, rights(segment).type <= 11 else { return false }
    return rights(segment).dpl < selector(segment).rpl
  }

  var isActivityUnsupported: Bool {
    let miscellaneous = environment.capabilities.miscellaneous
    return switch ActivityState(rawValue: UInt32(truncatingIfNeeded: activity)) {
    case .active: false
    case .hlt: !miscellaneous.supportsHLTState
    case .shutdown: !miscellaneous.supportsShutdownState
    case .waitForSIPI: !miscellaneous.supportsWaitForSIPIState
    case nil: true
    }
  }

  var isPendingSingleStepWrong: Bool {
    let isBlocked =
      !interruptibility.isDisjoint(with: [.blockingBySTI, .blockingByMOVSS])
      || activity == UInt64(ActivityState.hlt.rawValue)
    guard isBlocked else { return false }
    let isBranchStepping = self[.guestDebugCtl] & 2 != 0
    let expectsStep = guestRFLAGS.contains(.tf) && !isBranchStepping
    let pending = DebugExceptionQualification(rawValue: self[.guestPendingDebugExceptions])
    return pending.contains(.bs) != expectsStep
  }

  /// Whether the link pointer names an address that can be read.
  var isLinked: Bool {
    let link = self[.vmcsLinkPointer]
    return link != .max && !isUnaligned(.vmcsLinkPointer) && !exceedsPhysicalWidth(link)
  }

  var isLinkedRevisionWrong: Bool {
    guard isLinked else { return false }
    guard let linkedVMCS = circumstances.linkedVMCS else { return true }
    return UInt32(truncatingIfNeeded: linkedVMCS) & 0x7FFF_FFFF != environment.capabilities.basic.revision
  }

  var isLinkedShadowIndicatorWrong: Bool {
    guard isLinked, let linkedVMCS = circumstances.linkedVMCS else { return false }
    return (linkedVMCS >> 31 & 1 != 0) != secondary.contains(.vmcsShadowing)
  }
}
