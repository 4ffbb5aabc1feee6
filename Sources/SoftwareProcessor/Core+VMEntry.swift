import VMX
import X86

// Loading the guest's state from the VMCS (SDM volume 3, "Loading Guest State").
extension Core {
  /// Takes the controls of `vmcs`, for the intercepts.
  func loadControls(_ vmcs: VMCS) {
    nonRoot.pointee.vmcs = vmcs
    nonRoot.pointee.pinBased = vmcs.pinBasedControls
    nonRoot.pointee.primary = vmcs.primaryProcessorBasedControls
    nonRoot.pointee.secondary = vmcs.effectiveSecondaryControls
    nonRoot.pointee.exitControls = vmcs.exitControls
    let secondary = nonRoot.pointee.secondary
    nonRoot.pointee.eptPointer = secondary.contains(.enableEPT) ? vmcs[.eptPointer] : 0
    nonRoot.pointee.vpid =
      secondary.contains(.enableVPID) ? UInt16(truncatingIfNeeded: vmcs[.vpid]) : 0
    nonRoot.pointee.isMTFPending = false
    nonRoot.pointee.virtualAPIC = VirtualAPICState(vmcs, secondary)
    // The first PAUSE after a VM entry begins a loop.
    nonRoot.pointee.lastPAUSE = 0
    nonRoot.pointee.isMonitorArmed = false
    let offsets = nonRoot.pointee.primary.contains(.useTSCOffsetting)
    cpu.pointee.msrs.tscOffset = offsets ? vmcs[.tscOffset] : 0
    cpu.pointee.msrs.tscMultiplier =
      offsets && secondary.contains(.useTSCScaling) ? vmcs[.tscMultiplier] : TSCScaling.one
  }

  /// Loads the guest's registers and non-register state.
  func loadGuestState(_ vmcs: VMCS) {
    let entry = vmcs.entryControls
    cpu.pointee.cr0 = vmcs[.guestCR0] & CR0.implemented.rawValue | CR0.et.rawValue
    cpu.pointee.cr3 = vmcs[.guestCR3]
    cpu.pointee.cr4 = vmcs[.guestCR4]
    loadMSRs(vmcs, entry)
    loadSegments(vmcs)
    self[.rsp] = vmcs[.guestRSP]
    rip = vmcs[.guestRIP]
    rflags = vmcs[.guestRFLAGS] & RFLAGS.defined.rawValue | 2
    if !cr0.contains(.pe) {
      cpu.pointee.cpl = 0
    } else {
      cpu.pointee.cpl = isVirtual8086 ? 3 : cpu.pointee.ss.rights.dpl
    }
    interruptibility = vmcs.interruptibilityState.intersection(.defined)
    cpu.pointee.activity = UInt32(truncatingIfNeeded: vmcs[.guestActivityState])
    cpu.pointee.pendingDebug =
      vmcs[.guestPendingDebugExceptions] & DebugExceptionQualification.pendingDefined.rawValue
    cpu.pointee.freshBlocking = false
    cpu.pointee.freshResumeFlag = false
    cpu.pointee.isMidRepetition = false
    loadPagingState(vmcs)
  }

  private func loadMSRs(_ vmcs: VMCS, _ entry: EntryControls) {
    if entry.contains(.loadDebugControls) {
      cpu.pointee.dr7 = vmcs[.guestDR7] & 0xFFFF_23FF | DR7.fixed1.rawValue
      cpu.pointee.msrs.debugControl = vmcs[.guestDebugCtl]
    }
    cpu.pointee.msrs.sysenterCS = vmcs[.guestSysenterCS]
    cpu.pointee.msrs.sysenterESP = vmcs[.guestSysenterESP]
    cpu.pointee.msrs.sysenterEIP = vmcs[.guestSysenterEIP]
    if entry.contains(.loadPAT) { cpu.pointee.msrs.pat = vmcs[.guestPAT] }
    if entry.contains(.loadEFER) {
      cpu.pointee.efer = vmcs[.guestEFER] & EFER.defined.rawValue
    } else {
      let long = EFER.lma.rawValue | (cr0.contains(.pg) ? EFER.lme.rawValue : 0)
      cpu.pointee.efer =
        cpu.pointee.efer & ~long | (entry.contains(.ia32eModeGuest) ? long : 0)
    }
  }

  private func loadSegments(_ vmcs: VMCS) {
    func segment(
      _ selector: VMCSField, _ base: VMCSField, _ limit: VMCSField, _ rights: VMCSField
    ) -> SegmentState {
      SegmentState(
        selector: UInt16(truncatingIfNeeded: vmcs[selector]),
        accessRights: UInt32(truncatingIfNeeded: vmcs[rights]),
        limit: UInt32(truncatingIfNeeded: vmcs[limit]), base: vmcs[base])
    }
    let all = segments
    all[0] = segment(.guestESSelector, .guestESBase, .guestESLimit, .guestESAccessRights)
    all[1] = segment(.guestCSSelector, .guestCSBase, .guestCSLimit, .guestCSAccessRights)
    all[2] = segment(.guestSSSelector, .guestSSBase, .guestSSLimit, .guestSSAccessRights)
    all[3] = segment(.guestDSSelector, .guestDSBase, .guestDSLimit, .guestDSAccessRights)
    all[4] = segment(.guestFSSelector, .guestFSBase, .guestFSLimit, .guestFSAccessRights)
    all[5] = segment(.guestGSSelector, .guestGSBase, .guestGSLimit, .guestGSAccessRights)
    all[6] = segment(.guestLDTRSelector, .guestLDTRBase, .guestLDTRLimit, .guestLDTRAccessRights)
    all[7] = segment(.guestTRSelector, .guestTRBase, .guestTRLimit, .guestTRAccessRights)
    cpu.pointee.gdtr = DescriptorTableState(
      base: vmcs[.guestGDTRBase], limit: UInt32(truncatingIfNeeded: vmcs[.guestGDTRLimit]))
    cpu.pointee.idtr = DescriptorTableState(
      base: vmcs[.guestIDTRBase], limit: UInt32(truncatingIfNeeded: vmcs[.guestIDTRLimit]))
  }

  private func loadPagingState(_ vmcs: VMCS) {
    if cr0.contains(.pg), cr4.contains(.pae), !isIA32e {
      if nonRoot.pointee.eptPointer != 0 {
        cpu.pointee.pdptes = (
          vmcs[.guestPDPTE0], vmcs[.guestPDPTE1], vmcs[.guestPDPTE2], vmcs[.guestPDPTE3]
        )
      } else {
        // The entry checks have read them; if they changed since, the old ones stay.
        try? loadPDPTEs(cr3: cpu.pointee.cr3)
      }
    }
    if nonRoot.pointee.vpid == 0 {
      // Without VPIDs every VM entry invalidates the linear and combined mappings of VPID 0.
      forgetTranslations(vpid: 0)
    }
    updateMode()
  }

  /// Starts the VMX-preemption timer, if it is active.
  func startPreemptionTimer() {
    guard nonRoot.pointee.pinBased.contains(.activatePreemptionTimer) else {
      nonRoot.pointee.timerDeadline = .max
      return
    }
    let now = cpu.pointee.machine.clock.pointee.cycles >> SoftwareCPU.preemptionTimerShift
    nonRoot.pointee.timerDeadline =
      (now &+ vmcs[.preemptionTimerValue]) << SoftwareCPU.preemptionTimerShift
  }

  /// The VMX-preemption timer's value now.
  var preemptionTimerValue: UInt64 {
    let shift = SoftwareCPU.preemptionTimerShift
    let now = cpu.pointee.machine.clock.pointee.cycles >> shift
    let end = nonRoot.pointee.timerDeadline >> shift
    return end > now ? end &- now : 0
  }

  // MARK: MSR lists

  /// Loads the MSRs of the VM-entry MSR-load list.
  /// - Returns: the number of the first entry, from 1, that cannot be loaded; nil if all were.
  func loadEntryMSRs(_ vmcs: VMCS) -> UInt64? {
    let count = vmcs[.entryMSRLoadCount]
    guard count != 0 else { return nil }
    defer { updateMode() }
    return loadMSRList(address: vmcs[.entryMSRLoadAddress], count: count)
  }

  func loadMSRList(address: UInt64, count: UInt64) -> UInt64? {
    var position: UInt64 = 0
    while position < count {
      let place = address &+ position &* MSREntry.size
      position &+= 1
      // A list longer than what IA32_VMX_MISC recommends fails where the recommendation ends.
      guard position <= SoftwareCPU.greatestMSRListCount else { return position }
      let entry = MSREntry(
        low: loadPhysical(place, as: UInt64.self), value: loadPhysical(place &+ 8, as: UInt64.self))
      guard !entry.hasReservedBits, Self.isLoadable(entry.index), writeMSR(entry.index, entry.value) else {
        return position
      }
    }
    return nil
  }

  /// Stores the MSRs of the VM-exit MSR-store list; false if one cannot be read.
  func storeExitMSRs(_ vmcs: VMCS) -> Bool {
    let count = vmcs[.exitMSRStoreCount]
    guard count <= SoftwareCPU.greatestMSRListCount else { return false }
    for position in 0..<count {
      let place = vmcs[.exitMSRStoreAddress] &+ position &* MSREntry.size
      let entry = MSREntry(low: loadPhysical(place, as: UInt64.self), value: 0)
      guard !entry.hasReservedBits, let value = readMSR(entry.index) else { return false }
      storePhysical(value, at: place &+ 8)
    }
    return true
  }

  /// Whether an MSR list may name the MSR at all (SDM volume 3, "Loading MSRs").
  private static func isLoadable(_ index: UInt32) -> Bool {
    switch index {
    case ModelSpecificRegister.fsBase.rawValue, ModelSpecificRegister.gsBase.rawValue: false
    case ModelSpecificRegister.x2APICFirst.rawValue...ModelSpecificRegister.x2APICLast.rawValue: false
    default: true
    }
  }
}
