import NestedVMX
import Processor
import VMX
import X86

/// RDMSR and WRMSR, by the table of ``MSRPolicy``.
extension VirtualCPU {
  func emulateRDMSR() {
    let guest = guest
    guard let value = readMSR(UInt32(truncatingIfNeeded: guest[.rcx]), of: guest) else {
      guest.raise(.generalProtection)
      return
    }
    guest[.rax] = value & 0xFFFF_FFFF
    guest[.rdx] = value >> 32
    guest.completeInstruction()
  }

  func emulateWRMSR() {
    let guest = guest
    let value = guest[.rdx] << 32 | guest[.rax] & 0xFFFF_FFFF
    guard writeMSR(UInt32(truncatingIfNeeded: guest[.rcx]), value, of: guest) else {
      guest.raise(.generalProtection)
      return
    }
    guest.completeInstruction()
  }

  /// The value of the MSR `index` for `guest`, or nil if the machine has no such MSR.
  func readMSR(_ index: UInt32, of guest: RunningGuest) -> UInt64? {
    guard let row = MSRPolicy.row(index) else { return nil }
    switch row.source {
    case .field(let field): return guest[field]
    case .processor: return processor.readMSR(index)
    case .constant(let value): return value
    case .timeStampCounter: return guest.timeStampCounter(at: clock.pointee.cycles)
    case .timeStampAdjustment: return storedMSRs[MSRPolicy.timeStampAdjustmentPlace]
    case .stored(let place): return storedMSRs[Int(place)]
    case .localAPIC:
      // The timer of the local APIC goes on while it is asked.
      devices.noteAccess()
      return apic.readMSR(index)
    case .nested:
      return index == ModelSpecificRegister.featureControl.rawValue
        ? vmx.featureControl : vmx.capabilities.value(ofMSR: index)
    }
  }

  /// Writes the MSR `index` for `guest`; false, and nothing written, if that is #GP(0).
  func writeMSR(_ index: UInt32, _ value: UInt64, of guest: RunningGuest) -> Bool {
    guard let row = MSRPolicy.row(index) else { return false }
    if case .localAPIC = row.source {
      // Some of its registers can be written and not read.
      let isAllowed = apic.writeMSR(index, value)
      devices.noteAccess()
      return isAllowed
    }
    guard let current = readMSR(index, of: guest) else { return false }
    let isPaging = CR0(rawValue: guest.vmcs[.guestCR0]).contains(.pg)
    guard MSRPolicy.allows(value, by: row.writes, current: current, isPaging: isPaging) else { return false }
    if row.writes == .efer, miscEnable.contains(.executeDisableOff),
      EFER(rawValue: value & ~current).contains(.nxe)
    {
      return false
    }
    switch row.source {
    case .field(.guestEFER):
      // LMA is the processor's own.
      let lma = EFER.lma.rawValue
      guest[.guestEFER] = value & ~lma | current & lma
    case .field(let field): guest[field] = value
    case .processor: return processor.writeMSR(index, value)
    case .timeStampCounter:
      // A write changes the counter itself, whatever of it the guest would read (SDM volume 3, "Changes to Instruction
      // Behavior in VMX Non-Root Operation").
      let counter = clock.pointee.cycles &+ vmx.vmcs01[.tscOffset]
      moveTimeStampCounter(by: value &- counter)
    case .timeStampAdjustment: moveTimeStampCounter(by: value &- current)
    case .stored(let place) where row.writes == .miscEnable:
      let kept = MiscEnable.readOnly.rawValue
      storedMSRs[Int(place)] = value & ~kept | current & kept
    case .stored(let place): storedMSRs[Int(place)] = value
    case .constant, .nested, .localAPIC: break
    }
    return true
  }

  /// IA32_MISC_ENABLE.
  var miscEnable: MiscEnable { MiscEnable(rawValue: storedMSRs[MSRPolicy.miscEnablePlace]) }

  /// Adds `difference` to the time-stamp counter of L1, and so to what L2 sees of it.
  ///
  /// Source: SDM volume 3, "IA32_TSC_ADJUST Register".
  private func moveTimeStampCounter(by difference: UInt64) {
    storedMSRs[MSRPolicy.timeStampAdjustmentPlace] &+= difference
    if vmx.isInL2 { guest[.tscOffset] = guest[.tscOffset] &+ guest.scaledOffset(difference) }
    vmx.vmcs01[.tscOffset] &+= difference
    work.pointee.vmcsWrites &+= 1
    apic.timeStampCounterOffset = vmx.vmcs01[.tscOffset]
    devices.noteAccess()
  }
}

extension RunningGuest {
  private var scalesTSC: Bool { vmcs.effectiveSecondaryControls.contains(.useTSCScaling) }

  /// The time-stamp counter that the guest reads when the clock is at `cycles`.
  func timeStampCounter(at cycles: UInt64) -> UInt64 {
    let counter = scalesTSC ? TSCScaling.scaled(cycles, by: self[.tscMultiplier]) : cycles
    return counter &+ self[.tscOffset]
  }

  /// What the guest sees of a change of its hypervisor's counter by `difference`.
  func scaledOffset(_ difference: UInt64) -> UInt64 {
    scalesTSC ? TSCScaling.scaled(offset: difference, by: self[.tscMultiplier]) : difference
  }
}
