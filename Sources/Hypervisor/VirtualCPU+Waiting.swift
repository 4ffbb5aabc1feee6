import NestedVMX
import Platform
import Processor
import VMX
import X86

/// What a virtual CPU waits for, as L1.
enum Wait: Equatable {
  /// HLT at `rip`: an interrupt that is not masked, an NMI, an INIT.
  case halt(rip: UInt64)
  /// MWAIT at `rip`: the same, a store to the monitored line, and with `takesMasked` a masked interrupt; and
  /// virtual time `until`.
  case monitor(rip: UInt64, takesMasked: Bool, until: UInt64)
  /// A start-up IPI, after a reset or INIT.
  case startUp
}

/// The line that MONITOR armed: where it is, and what it held.
struct MonitoredLine: Equatable {
  static let size: UInt64 = 64

  var address: PhysicalAddress<L1>
  var content: SIMD8<UInt64>
  /// The latest time at which MWAIT ends without a reason, as it always may: what another processor stores and takes
  /// back is not seen in the line.
  static let patience: UInt64 = 1 << 24
}

/// HLT, MWAIT and PAUSE: how a virtual CPU lets time pass.
///
/// What the run loop asks at every exit has getters that are `mutating`, though they change nothing: from an `inout` self
/// the compiler reads the one field that it needs, where it would copy all of the nested core from a borrowed one.
extension VirtualCPU {
  /// Whether the guest executes nothing until an event comes.
  var isWaiting: Bool {
    mutating get {
      // No operator: the closure of its right side would copy all of this virtual CPU.
      if wait != nil { return true }
      guard vmx.isInL2 else { return false }
      return isL2Asleep
    }
  }

  /// Whether L2 is in an inactive state that only an event of L0's can end. If L1 asked for an exit that the processor
  /// itself times or finds, the processor has to go on.
  private var isL2Asleep: Bool {
    mutating get {
      let vmcs = vmx.vmcs02
      if isL2WaitingForSIPI { return true }
      guard vmcs[.guestActivityState] != UInt64(ActivityState.active.rawValue) else { return false }
      let windows: PrimaryProcessorBasedControls = [
        .interruptWindowExiting, .nmiWindowExiting, .monitorTrapFlag,
      ]
      let ofL1 = vmx.vmcs12?.primaryProcessorBasedControls ?? []
      guard !vmcs.entryInterruptionInformation.isValid, ofL1.isDisjoint(with: windows),
        !vmcs.pinBasedControls.contains(.activatePreemptionTimer), vmcs[.guestPendingDebugExceptions] == 0
      else { return false }
      return !vmx.virtualAPICEndsHLT
    }
  }

  /// Whether L2 is in the wait-for-SIPI state, in which only a start-up IPI does anything, and which the processor is
  /// never entered in.
  ///
  /// Source: SDM volume 3, "Guest Non-Register State"; "VMX-Preemption Timer" for the timer, which causes no VM exit.
  var isL2WaitingForSIPI: Bool {
    mutating get {
      guard vmx.isInL2 else { return false }
      return vmx.vmcs02[.guestActivityState] == UInt64(ActivityState.waitForSIPI.rawValue)
    }
  }

  /// Whether an event has come that ends the waiting. It may be asked while another virtual CPU has the processor.
  var canWake: Bool {
    mutating get {
      switch wait {
      case nil: return hasEventForL2
      case .startUp: return !apic.signals.isDisjoint(with: [.startUp, .initialize])
      case .halt: return hasWakingEvent(takesMasked: false)
      case .monitor(_, let takesMasked, let until):
        return hasWakingEvent(takesMasked: takesMasked) || hasLineChanged || clock.pointee.cycles >= until
      }
    }
  }

  private mutating func hasWakingEvent(takesMasked: Bool) -> Bool {
    let vmcs = vmx.vmcs01
    if vmcs[.guestPendingDebugExceptions] != 0 || vmcs.entryInterruptionInformation.isValid { return true }
    if apic.signals.contains(.initialize), !vmx.isInVMXOperation { return true }
    if apic.signals.contains(.nonMaskable), !vmcs.interruptibilityState.contains(.blockingByNMI) {
      return true
    }
    guard apic.hasPendingInterrupt else { return false }
    return takesMasked || RFLAGS(rawValue: vmcs[.guestRFLAGS]).contains(.if)
  }

  private var hasEventForL2: Bool {
    mutating get {
      let vmcs = vmx.vmcs02
      if isL2WaitingForSIPI { return apic.signals.contains(.startUp) }
      if apic.signals.contains(.initialize) { return true }
      if apic.signals.contains(.nonMaskable) {
        // With virtual NMIs L2's blocking is virtual, and does not hold back a real NMI.
        let isVirtual = vmx.wantsNMIs && vmcs.pinBasedControls.contains(.virtualNMIs)
        if isVirtual || !vmcs.interruptibilityState.contains(.blockingByNMI) { return true }
      }
      return apic.hasPendingInterrupt
        && (vmx.wantsExternalInterrupts || RFLAGS(rawValue: vmcs[.guestRFLAGS]).contains(.if))
    }
  }

  /// Whether a maskable interrupt would end the waiting.
  var isInterruptible: Bool {
    switch wait {
    case .startUp: false
    case .halt: RFLAGS(rawValue: vmx.vmcs01[.guestRFLAGS]).contains(.if)
    case .monitor(_, let takesMasked, _):
      takesMasked || RFLAGS(rawValue: vmx.vmcs01[.guestRFLAGS]).contains(.if)
    case nil: vmx.wantsExternalInterrupts || RFLAGS(rawValue: vmx.vmcs02[.guestRFLAGS]).contains(.if)
    }
  }

  /// The RIP of the instruction that the guest waits in.
  var waitingRIP: UInt64 {
    switch wait {
    case .halt(let rip), .monitor(let rip, _, _): rip
    case .startUp, nil: vmx.running[.guestRIP]
    }
  }

  // MARK: HLT

  /// L1 waits in L0. L2 enters the HLT state, which events that L1 asked for may end: the VMX-preemption timer, an
  /// interrupt window, the monitor trap flag.
  mutating func emulateHLT() {
    let guest = guest
    let rip = guest[.guestRIP]
    guest.completeInstruction()
    if vmx.isInL2 {
      guest[.guestActivityState] = UInt64(ActivityState.hlt.rawValue)
    } else {
      wait = .halt(rip: rip)
    }
  }

  // MARK: MONITOR and MWAIT

  /// MONITOR: L0 remembers what the line holds. In L2 it only reads it, and MWAIT ends at once.
  ///
  /// Source: SDM volume 2, "MONITOR—Set Up Monitor Address".
  mutating func emulateMONITOR() {
    let guest = guest
    guard miscEnable.contains(.monitor) else { return guest.raise(.invalidOpcode) }
    guard guest[.rcx] & 0xFFFF_FFFF == 0 else { return guest.raise(.generalProtection) }
    do throws(GuestFault) {
      let space = addressSpace
      let instruction = try space.fetchInstruction()
      let linear = try space.linear(
        instruction.address.segment, guest[.rax] & space.mask(instruction.addressSize), size: 1, .read)
      let address = try space.physical(linear, .read)
      if !vmx.isInL2 { monitor = line(at: PhysicalAddress(address.rawValue & ~(MonitoredLine.size &- 1))) }
      guest.completeInstruction()
    } catch {
      take(error)
    }
  }

  /// MWAIT: L1 waits until the line changes or an event comes. Without a monitor it is no wait at all.
  ///
  /// Source: SDM volume 2, "MWAIT—Monitor Wait".
  mutating func emulateMWAIT() {
    let guest = guest
    guard miscEnable.contains(.monitor) else { return guest.raise(.invalidOpcode) }
    let rip = guest[.guestRIP]
    let extensions = guest[.rcx] & 0xFFFF_FFFF
    guard extensions & ~1 == 0 else { return guest.raise(.generalProtection) }
    guest.completeInstruction()
    guard !vmx.isInL2, monitor != nil else { return }
    let now = clock.pointee.cycles
    // A lone processor's line changes by nobody's hand but a device's, which takes nothing back.
    let until = devices.board.localAPICs.count > 1 ? now &+ MonitoredLine.patience : .max
    wait = .monitor(rip: rip, takesMasked: extensions & 1 != 0, until: until)
  }

  /// The time at which the waiting ends by itself, or `.max`.
  var wakeTime: UInt64 {
    if case .monitor(_, _, let until) = wait { return until }
    return .max
  }

  private var hasLineChanged: Bool {
    guard let monitor else { return true }
    return line(at: monitor.address) != monitor
  }

  /// The line at `address` as it is now; one that is not RAM holds ones.
  private func line(at address: PhysicalAddress<L1>) -> MonitoredLine {
    let bytes = ram.pointer(to: address, count: MonitoredLine.size)
    let content = bytes?.loadUnaligned(as: SIMD8<UInt64>.self) ?? SIMD8(repeating: .max)
    return MonitoredLine(address: address, content: content)
  }

  // MARK: PAUSE

  /// The PAUSEs after which a virtual CPU that spins lets another have its turn.
  private static var pauseLimit: Int { 8 }

  /// PAUSE exits only where there are several virtual CPUs.
  mutating func emulatePAUSE() {
    guest.completeInstruction()
    pauses += 1
    if pauses >= Self.pauseLimit { yields = true }
  }
}
