import VMX
import X86

// Recording a VM exit and saving the guest's state into the VMCS (SDM volume 3, "VM Exits").
extension Core {
  /// Writes the VM-exit information of the pending exit.
  func recordExit() {
    let pending = cpu.pointee.pending
    let vmcs = vmcs
    vmcs[.exitReason] = UInt64(pending.exitReason)
    vmcs[.exitQualification] = pending.qualification
    vmcs[.guestLinearAddress] = pending.guestLinearAddress
    vmcs[.guestPhysicalAddress] = pending.guestPhysicalAddress
    vmcs[.exitInterruptionInformation] = UInt64(pending.interruptionInformation)
    vmcs[.exitInterruptionErrorCode] = UInt64(pending.interruptionErrorCode)
    vmcs[.idtVectoringInformation] = UInt64(pending.idtVectoringInformation)
    vmcs[.idtVectoringErrorCode] = UInt64(pending.idtVectoringErrorCode)
    vmcs[.exitInstructionLength] = UInt64(pending.instructionLength)
    vmcs[.exitInstructionInformation] = UInt64(pending.instructionInformation)
    if pending.savesResumeFlag { cpu.pointee.rflagsSystem |= RFLAGS.rf.rawValue }
  }

  /// Saves the guest's state, and ends the injection of an event that has been delivered.
  func saveGuestState() {
    let vmcs = vmcs
    let exit = nonRoot.pointee.exitControls
    vmcs[.guestCR0] = cpu.pointee.cr0
    vmcs[.guestCR3] = cpu.pointee.cr3
    vmcs[.guestCR4] = cpu.pointee.cr4
    vmcs[.guestRSP] = self[.rsp]
    vmcs[.guestRIP] = rip
    vmcs[.guestRFLAGS] = rflags
    saveSegments(vmcs)
    saveMSRs(vmcs, exit)
    vmcs.interruptibilityState = interruptibility
    vmcs[.guestActivityState] = UInt64(cpu.pointee.activity)
    vmcs[.guestPendingDebugExceptions] = cpu.pointee.pendingDebug
    if nonRoot.pointee.eptPointer != 0, cr0.contains(.pg), cr4.contains(.pae), !isIA32e {
      vmcs[.guestPDPTE0] = cpu.pointee.pdptes.0
      vmcs[.guestPDPTE1] = cpu.pointee.pdptes.1
      vmcs[.guestPDPTE2] = cpu.pointee.pdptes.2
      vmcs[.guestPDPTE3] = cpu.pointee.pdptes.3
    }
    if nonRoot.pointee.secondary.contains(.unrestrictedGuest) {
      var entry = vmcs.entryControls
      if isIA32e { entry.insert(.ia32eModeGuest) } else { entry.remove(.ia32eModeGuest) }
      vmcs.entryControls = entry
    }
    vmcs[.entryInterruptionInformation] &= ~(1 << 31)
  }

  private func saveMSRs(_ vmcs: VMCS, _ exit: PrimaryExitControls) {
    if exit.contains(.saveDebugControls) {
      vmcs[.guestDR7] = cpu.pointee.dr7
      vmcs[.guestDebugCtl] = cpu.pointee.msrs.debugControl
    }
    vmcs[.guestSysenterCS] = cpu.pointee.msrs.sysenterCS
    vmcs[.guestSysenterESP] = cpu.pointee.msrs.sysenterESP
    vmcs[.guestSysenterEIP] = cpu.pointee.msrs.sysenterEIP
    if exit.contains(.savePAT) { vmcs[.guestPAT] = cpu.pointee.msrs.pat }
    if exit.contains(.saveEFER) { vmcs[.guestEFER] = cpu.pointee.efer }
    if exit.contains(.savePreemptionTimerValue), nonRoot.pointee.timerDeadline != .max {
      vmcs[.preemptionTimerValue] = preemptionTimerValue
    }
  }

  private func saveSegments(_ vmcs: VMCS) {
    func save(
      _ state: SegmentState, _ selector: VMCSField, _ base: VMCSField, _ limit: VMCSField,
      _ rights: VMCSField
    ) {
      vmcs[selector] = UInt64(state.selector)
      vmcs[base] = state.base
      vmcs[limit] = UInt64(state.limit)
      vmcs[rights] = UInt64(state.accessRights)
    }
    let all = segments
    save(all[0], .guestESSelector, .guestESBase, .guestESLimit, .guestESAccessRights)
    save(all[1], .guestCSSelector, .guestCSBase, .guestCSLimit, .guestCSAccessRights)
    save(all[2], .guestSSSelector, .guestSSBase, .guestSSLimit, .guestSSAccessRights)
    save(all[3], .guestDSSelector, .guestDSBase, .guestDSLimit, .guestDSAccessRights)
    save(all[4], .guestFSSelector, .guestFSBase, .guestFSLimit, .guestFSAccessRights)
    save(all[5], .guestGSSelector, .guestGSBase, .guestGSLimit, .guestGSAccessRights)
    save(all[6], .guestLDTRSelector, .guestLDTRBase, .guestLDTRLimit, .guestLDTRAccessRights)
    save(all[7], .guestTRSelector, .guestTRBase, .guestTRLimit, .guestTRAccessRights)
    vmcs[.guestGDTRBase] = cpu.pointee.gdtr.base
    vmcs[.guestGDTRLimit] = UInt64(cpu.pointee.gdtr.limit)
    vmcs[.guestIDTRBase] = cpu.pointee.idtr.base
    vmcs[.guestIDTRLimit] = UInt64(cpu.pointee.idtr.limit)
  }
}
