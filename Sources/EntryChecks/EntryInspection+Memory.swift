import VMX

/// What can be said of a VMCS without the memory that it points to, as of one in a file.
extension EntryInspection {
  /// Calls `body` with each violated check that reads the VMCS alone, in the SDM's order.
  public func forEachViolationWithoutMemory(_ body: (EntryViolation) -> Void) {
    forEachViolation { violation in
      if !readsMemory(violation.check) { body(violation) }
    }
  }

  /// Calls `body` with each check that reads memory for this VMCS, in the SDM's order.
  public func forEachCheckOfMemory(_ body: (EntryCheck) -> Void) {
    EntryCheck.forEach { check in
      if readsMemory(check) { body(check) }
    }
  }

  /// Whether `check` reads memory for this VMCS.
  private func readsMemory(_ check: EntryCheck) -> Bool {
    switch check.memory {
    case .none: false
    case .linkedVMCS: isLinked
    case .virtualTPR:
      primary.contains(.useTPRShadow)
        && secondary.isDisjoint(with: [.virtualInterruptDelivery, .virtualizeAPICAccesses])
    case .pdptes: pdptes != nil && !secondary.contains(.enableEPT)
    }
  }
}

extension EntryCheck {
  /// Calls `body` with every check, in the SDM's order.
  public static func forEach(_ body: (EntryCheck) -> Void) {
    for position in 0..<executionControls.count { body(executionControls[position]) }
    for position in 0..<exitAndEntryControls.count { body(exitAndEntryControls[position]) }
    for position in 0..<hostState.count { body(hostState[position]) }
    for position in 0..<guestRegisters.count { body(guestRegisters[position]) }
    for position in 0..<guestSegments.count { body(guestSegments[position]) }
    for position in 0..<guestOtherState.count { body(guestOtherState[position]) }
  }
}
