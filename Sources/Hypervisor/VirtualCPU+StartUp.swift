import NestedVMX
import Platform
import Processor
import VMX
import X86

/// INIT and start-up IPIs.
///
/// Source: SDM volume 3, "Multiple-Processor (MP) Initialization"; "Processor State After Reset".
extension VirtualCPU {
  /// Obeys the INIT or start-up IPI that is pending, as far as it is not blocked.
  mutating func takeSignals() {
    takeINIT()
    guard let vector = apic.takeStartUp() else { return }
    devices.noteAccess()
    if isL2WaitingForSIPI {
      reflect(ExitInformation(.startupIPI, qualification: UInt64(vector)))
    } else if wait == .startUp {
      startUp(at: vector)
    }
  }

  /// INIT is blocked in VMX root operation, and a VM exit of L2. It makes the others wait for a start-up IPI; the
  /// bootstrap processor would execute firmware, and there is none.
  private mutating func takeINIT() {
    guard apic.signals.contains(.initialize), !isL2WaitingForSIPI else { return }
    if vmx.isInL2 {
      requests.needsExit = true
      return
    }
    guard !vmx.isInVMXOperation, apic.takeINIT() else { return }
    devices.noteAccess()
    guard number != 0 else {
      outcome = outcome ?? .reset(.initialization)
      return
    }
    apic.initialize()
    reset()
    wait = .startUp
  }

  /// The state that INIT leaves.
  mutating func reset() {
    VMCS01Builder(capabilities: processor.capabilities, vmcs: vmx.vmcs01).writeResetState()
    let dr6 = RegisterFile().dr6
    registers.pointee = RegisterFile()
    registers.pointee.dr6 = dr6
    registers.pointee.rdx = resetSignature
    requests.windowsOfL1 = []
    monitor = nil
    wait = nil
    processor.invalidateVPID(.singleContext(vpid: UInt16(truncatingIfNeeded: vmx.vmcs01[.vpid])))
  }

  /// Begins in real-address mode at `vector` × 4096.
  private mutating func startUp(at vector: UInt8) {
    let vmcs = vmx.vmcs01
    vmcs[.guestCSSelector] = UInt64(vector) << 8
    vmcs[.guestCSBase] = UInt64(vector) << 12
    vmcs[.guestRIP] = 0
    wait = nil
  }
}

extension VMCS01Builder {
  private enum RealModeRights {
    static let code: UInt64 = 0x9B
    static let data: UInt64 = 0x93
    static let localTable: UInt64 = 0x82
    static let taskState: UInt64 = 0x8B
  }

  /// L1's state after INIT (SDM volume 3, "Processor State After Reset").
  func writeResetState() {
    for segment in SegmentFields.all {
      vmcs[segment.selector] = 0
      vmcs[segment.base] = 0
      vmcs[segment.limit] = 0xFFFF
      vmcs[segment.accessRights] = RealModeRights.data
    }
    vmcs[.guestCSSelector] = 0xF000
    vmcs[.guestCSBase] = 0xFFFF_0000
    vmcs[.guestCSAccessRights] = RealModeRights.code
    vmcs[.guestLDTRAccessRights] = RealModeRights.localTable
    vmcs[.guestTRAccessRights] = RealModeRights.taskState
    vmcs[.guestGDTRBase] = 0
    vmcs[.guestGDTRLimit] = 0xFFFF
    vmcs[.guestIDTRBase] = 0
    vmcs[.guestIDTRLimit] = 0xFFFF
    writeResetControlRegisters()
    vmcs[.guestRIP] = 0xFFF0
    vmcs[.guestRSP] = 0
    vmcs[.guestRFLAGS] = RFLAGS.fixed1.rawValue
    vmcs[.guestDR7] = DR7.initial.rawValue
    vmcs[.guestDebugCtl] = 0
    vmcs[.guestPendingDebugExceptions] = 0
    vmcs[.guestActivityState] = 0
    vmcs.interruptibilityState = []
    vmcs.entryInterruptionInformation = .none
  }

  private func writeResetControlRegisters() {
    let cr0: CR0 = [.et, .cd, .nw]
    vmcs[.guestCR0] = cr0.subtracting([.cd, .nw]).rawValue | fixedCR0
    vmcs[.cr0ReadShadow] = cr0.rawValue
    vmcs[.guestCR3] = 0
    vmcs[.guestCR4] = fixedCR4
    vmcs[.cr4ReadShadow] = 0
    vmcs[.guestEFER] = 0
    vmcs.entryControls.remove(.ia32eModeGuest)
    let windows: PrimaryProcessorBasedControls = [.interruptWindowExiting, .nmiWindowExiting]
    vmcs.primaryProcessorBasedControls.subtract(windows)
  }
}
