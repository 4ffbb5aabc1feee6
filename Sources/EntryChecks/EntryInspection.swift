import VMX
import X86

/// A VMCS about to be entered, with everything that the checks read of it and of memory.
public struct EntryInspection {
  public let vmcs: VMCS
  public let environment: EntryEnvironment
  let pinBased: PinBasedControls
  let primary: PrimaryProcessorBasedControls
  /// The controls as the processor takes them: none if the primary ones do not activate them.
  let secondary: SecondaryProcessorBasedControls
  let tertiary: TertiaryProcessorBasedControls
  let exit: PrimaryExitControls
  let secondaryExit: SecondaryExitControls
  let entry: EntryControls
  let event: InterruptionInformation
  let guestCR0: CR0
  let guestCR4: CR4
  let guestRFLAGS: RFLAGS
  let circumstances: EntryCircumstances
  /// The PDPTEs that VM entry would load, if it loads any.
  let pdptes: PDPTEs?

  struct PDPTEs {
    var pdpte0: UInt64
    var pdpte1: UInt64
    var pdpte2: UInt64
    var pdpte3: UInt64
  }

  /// Reads what the checks need. `load` gives the eight bytes at an 8-byte aligned physical address of the VMCS's own
  /// level, or nil where there is no memory.
  public init(vmcs: VMCS, environment: EntryEnvironment, load: (UInt64) -> UInt64?) {
    self.vmcs = vmcs
    self.environment = environment
    pinBased = vmcs.pinBasedControls
    primary = vmcs.primaryProcessorBasedControls
    secondary = vmcs.effectiveSecondaryControls
    tertiary = vmcs.effectiveTertiaryControls
    exit = vmcs.exitControls
    secondaryExit = vmcs.effectiveSecondaryExitControls
    entry = vmcs.entryControls
    event = vmcs.entryInterruptionInformation
    guestCR0 = CR0(rawValue: vmcs[.guestCR0])
    guestCR4 = CR4(rawValue: vmcs[.guestCR4])
    guestRFLAGS = RFLAGS(rawValue: vmcs[.guestRFLAGS])
    circumstances = EntryCircumstances(
      of: vmcs, isInIA32eMode: environment.isInIA32eMode, currentVMCSPointer: environment.currentVMCSPointer,
      load: load)
    let usesPDPTEs = guestCR0.contains(.pg) && guestCR4.contains(.pae) && !entry.contains(.ia32eModeGuest)
    pdptes = usesPDPTEs ? Self.pdptes(of: vmcs, isEPT: secondary.contains(.enableEPT), load: load) : nil
  }

  private static func pdptes(of vmcs: VMCS, isEPT: Bool, load: (UInt64) -> UInt64?) -> PDPTEs {
    if isEPT {
      return PDPTEs(
        pdpte0: vmcs[.guestPDPTE0], pdpte1: vmcs[.guestPDPTE1], pdpte2: vmcs[.guestPDPTE2],
        pdpte3: vmcs[.guestPDPTE3])
    }
    // A PDPTE where there is no memory reads as ones, and so as one with reserved bits.
    let table = vmcs[.guestCR3] & 0xFFFF_FFE0
    return PDPTEs(
      pdpte0: load(table) ?? .max, pdpte1: load(table &+ 8) ?? .max, pdpte2: load(table &+ 16) ?? .max,
      pdpte3: load(table &+ 24) ?? .max)
  }

  /// Calls `body` with each violated check, in the SDM's order.
  public func forEachViolation(_ body: (EntryViolation) -> Void) {
    visit { violation in
      body(violation)
      return true
    }
  }

  /// The first violated check in the SDM's order, which decides the outcome of the VM entry.
  public var firstViolation: EntryViolation? {
    var first: EntryViolation?
    visit { violation in
      first = violation
      return false
    }
    return first
  }

  /// Calls `body` with each violated check until it returns false.
  private func visit(_ body: (EntryViolation) -> Bool) {
    for position in 0..<EntryCheck.executionControls.count {
      if !report(EntryCheck.executionControls[position], body) { return }
    }
    for position in 0..<EntryCheck.exitAndEntryControls.count {
      if !report(EntryCheck.exitAndEntryControls[position], body) { return }
    }
    for position in 0..<EntryCheck.hostState.count {
      if !report(EntryCheck.hostState[position], body) { return }
    }
    for position in 0..<EntryCheck.guestRegisters.count {
      if !report(EntryCheck.guestRegisters[position], body) { return }
    }
    for position in 0..<EntryCheck.guestSegments.count {
      if !report(EntryCheck.guestSegments[position], body) { return }
    }
    for position in 0..<EntryCheck.guestOtherState.count {
      if !report(EntryCheck.guestOtherState[position], body) { return }
    }
  }

  /// Reports `check` if it is violated; false if `body` wants no more.
  @inline(__always)
  private func report(_ check: EntryCheck, _ body: (EntryViolation) -> Bool) -> Bool {
    guard check.isViolated(self, check.field) else { return true }
    return body(EntryViolation(check: check, value: vmcs[check.field]))
  }
}
