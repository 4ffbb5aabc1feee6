import NestedVMX
import Platform
import Processor
import Trace
import VMX
import X86

/// What a local APIC asks of its virtual CPU, and what L0 has asked of the processor for it.
struct InterruptRequests {
  /// The devices' generation when they were last looked at.
  var seen: UInt64 = 0
  /// Whether an NMI, an INIT or a start-up IPI is pending.
  var hasSignal = false
  /// Whether a maskable interrupt is.
  var hasInterrupt = false
  /// Whether the next VM entry must end at once, in an external-interrupt exit.
  var needsExit = false
  /// The windows that L0 waits for in L1 and in L2: interrupt-window exiting and NMI-window exiting.
  var windowsOfL1: PrimaryProcessorBasedControls = []
  var windowsOfL2: PrimaryProcessorBasedControls = []
}

/// Interrupts, NMIs, INIT and what the board has to say, between a VM exit and the next VM entry.
///
/// An interrupt for L1 is injected into L1; one that finds L2 running ends L2 by a VM exit, which L0 turns into the VM
/// exit that L1 asked for, or is injected into L2 if L1 asked for none.
extension VirtualCPU {
  /// Takes note of what the devices want.
  mutating func lookAtDevices() {
    requests.seen = attention.pointee.generation
    requests.hasSignal = !apic.signals.isEmpty
    requests.hasInterrupt = apic.hasPendingInterrupt
    if let event = devices.board.events.take() { outcome = outcome ?? RunOutcome(event) }
  }

  /// Has the next VM entry deliver what is pending, or end as soon as the guest can take it.
  mutating func deliverEvents() {
    requests.needsExit = false
    let windows = vmx.isInL2 ? requests.windowsOfL2 : requests.windowsOfL1
    guard requests.hasSignal || requests.hasInterrupt || windows != [] else { return }
    if requests.hasSignal { takeSignals() }
    var wanted: PrimaryProcessorBasedControls = []
    if apic.signals.contains(.nonMaskable) { wanted.formUnion(deliverNMI()) }
    if requests.hasInterrupt { wanted.formUnion(deliverInterrupt()) }
    requestWindows(wanted)
    lookAtDevices()
  }

  /// The NMI goes to the guest that runs; returns the window that L0 has to wait for.
  private mutating func deliverNMI() -> PrimaryProcessorBasedControls {
    if vmx.isInL2, vmx.wantsNMIs {
      // The processor exits with it when L2's blocking allows that.
      processor.isNMIPending = true
      return []
    }
    guard guest.canTakeNMI, !isTimerOfL1Over else { return .nmiWindowExiting }
    _ = apic.takeNMI()
    devices.noteAccess()
    guest.inject(.nmi)
    return []
  }

  private mutating func deliverInterrupt() -> PrimaryProcessorBasedControls {
    if vmx.isInL2, vmx.wantsExternalInterrupts {
      // The notification of posted interrupts takes no exit of its own; another interrupt may wait behind it.
      requests.needsExit = !takeNotification() || apic.hasPendingInterrupt
      return []
    }
    guard guest.canTakeInterrupt, !isTimerOfL1Over, !hasWindowOfL1 else { return .interruptWindowExiting }
    guard let vector = apic.acknowledge() else { return [] }
    devices.noteAccess()
    guest.inject(InterruptionInformation(vector: vector, kind: .externalInterrupt))
    // The next one waits until this one has been delivered.
    return apic.hasPendingInterrupt ? .interruptWindowExiting : []
  }

  /// Whether L1 gets a VM exit before L2 any interrupt or NMI: an event that L0 injected would come first.
  ///
  /// Source: SDM volume 3, "VMX-Preemption Timer".
  private var isTimerOfL1Over: Bool {
    guard vmx.isInL2 else { return false }
    let vmcs = vmx.vmcs02
    return vmcs.pinBasedControls.contains(.activatePreemptionTimer) && vmcs[.preemptionTimerValue] == 0
  }

  /// Whether L1 gets a VM exit before L2 any interrupt that can be masked.
  ///
  /// Source: SDM volume 3, "Other Causes of VM Exits", on interrupt windows.
  private var hasWindowOfL1: Bool {
    guard vmx.isInL2, let vmcs12 = vmx.vmcs12 else { return false }
    return vmcs12.primaryProcessorBasedControls.contains(.interruptWindowExiting)
  }

  /// Sets the windows that L0 wants of the guest that runs; L1's own stay.
  private mutating func requestWindows(_ wanted: PrimaryProcessorBasedControls) {
    let windows: PrimaryProcessorBasedControls = [.interruptWindowExiting, .nmiWindowExiting]
    let current = vmx.isInL2 ? requests.windowsOfL2 : requests.windowsOfL1
    guard wanted != current else { return }
    let ofL1 = vmx.isInL2 ? vmx.vmcs12?.primaryProcessorBasedControls.intersection(windows) ?? [] : []
    let controls = guest.vmcs.primaryProcessorBasedControls.subtracting(windows)
    guest[.primaryProcessorBasedControls] = UInt64(controls.union(wanted).union(ofL1).rawValue)
    if vmx.isInL2 { requests.windowsOfL2 = wanted } else { requests.windowsOfL1 = wanted }
  }

  // MARK: Exits

  /// An interrupt of L0: a timer of a device, the end of a turn, or what L0 wanted L2 to be interrupted for. Returns the
  /// level that gets the exit.
  mutating func takeInterruptExit() -> ExitLevel {
    if clock.pointee.cycles >= attention.pointee.deadline { devices.advance(to: clock.pointee.cycles) }
    lookAtDevices()
    guard vmx.isInL2 else {
      vmx.prepareToResume()
      return .l0
    }
    if apic.takeINIT() {
      devices.noteAccess()
      reflect(ExitInformation(.initSignal))
      return .l1
    }
    guard requests.hasInterrupt, vmx.wantsExternalInterrupts, !takeNotification() else {
      vmx.prepareToResume()
      return .l0
    }
    var vector: UInt8 = 0
    if vmx.acknowledgesInterrupts {
      vector = apic.acknowledge() ?? 0
      devices.noteAccess()
    }
    reflect(vmx.externalInterrupt(vector: vector))
    return .l1
  }

  /// If the interrupt that is next notifies L2 of posted interrupts: dismisses it, and does what it asks for.
  ///
  /// Source: SDM volume 3, "Posted-Interrupt Processing".
  private mutating func takeNotification() -> Bool {
    guard let vector = apic.pendingInterrupt, vmx.isNotification(vector) else { return false }
    _ = apic.acknowledge()
    apic.endOfInterrupt()
    devices.noteAccess()
    vmx.processPostedInterrupts()
    return true
  }

  /// An NMI that the processor exited with: L0 lets it happen only in an L2 whose NMIs L1 wants.
  mutating func takeNMIExit() -> ExitLevel {
    guard vmx.isInL2, apic.takeNMI() else {
      vmx.prepareToResume()
      return .l0
    }
    devices.noteAccess()
    reflect(vmx.nonMaskableInterrupt())
    return .l1
  }
}

extension RunningGuest {
  private var hasEvent: Bool { vmcs.entryInterruptionInformation.isValid }

  /// Whether the guest can take a maskable interrupt now.
  ///
  /// Source: SDM volume 3, "Masking Maskable Hardware Interrupts"; "Guest Non-Register State".
  var canTakeInterrupt: Bool {
    RFLAGS(rawValue: self[.guestRFLAGS]).contains(.if) && !hasEvent
      && vmcs.interruptibilityState.isDisjoint(with: [.blockingBySTI, .blockingByMOVSS])
  }

  /// Whether the guest can take a nonmaskable interrupt now.
  var canTakeNMI: Bool {
    !hasEvent
      && vmcs.interruptibilityState.isDisjoint(with: [.blockingByNMI, .blockingByMOVSS, .blockingBySTI])
  }

  /// Has the next VM entry deliver `event`.
  func inject(_ event: InterruptionInformation) {
    self[.entryInterruptionInformation] = UInt64(event.rawValue)
  }
}

extension RunOutcome {
  init(_ event: MachineEvent) {
    switch event {
    case .guestExit(let code): self = .guestReported(code: code)
    case .powerOff: self = .poweredOff
    case .reset(let request): self = .reset(request)
    }
  }
}
