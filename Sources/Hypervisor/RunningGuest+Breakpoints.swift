import Translation
import VMX
import X86

extension RunningGuest {
  /// Makes the I/O breakpoints that an emulated access to ports meets pending, as the processor does for one that it
  /// carries out itself.
  ///
  /// Source: SDM volume 3, "Breakpoint Field Recognition".
  func notePortBreakpoints(_ access: IOQualification) {
    let found = portBreakpoints(access)
    if found != [] { self[.guestPendingDebugExceptions] |= found.union(.enabledBreakpoint).rawValue }
  }

  /// The enabled I/O breakpoints that `access` meets.
  func portBreakpoints(_ access: IOQualification) -> DebugExceptionQualification {
    guard hasBreakpoints, visibleCR4.contains(.de) else { return [] }
    return breakpoints(UInt64(access.port), size: access.size) { $0 == 2 }
  }

  /// Takes note of the data breakpoints that an emulated access of memory meets.
  ///
  /// Source: SDM volume 3, "Data Breakpoint".
  func noteDataBreakpoints(_ linear: UInt64, size: UInt8, _ kind: AccessKind) {
    let found = breakpoints(linear, size: size) { $0 == 3 || $0 == 1 && kind == .write }
    work.pointee.breakpoints.formUnion(found)
  }

  /// Whether any breakpoint is enabled, of whatever condition.
  var hasBreakpoints: Bool { vmcs[.guestDR7] & 0xFF != 0 }

  /// The enabled breakpoints whose condition is one of those wanted, and which `size` bytes from `address` on meet.
  private func breakpoints(
    _ address: UInt64, size: UInt8, where isWanted: (UInt64) -> Bool
  ) -> DebugExceptionQualification {
    guard hasBreakpoints else { return [] }
    let control = DR7(rawValue: vmcs[.guestDR7])
    let addresses: [4 of UInt64] = [
      registers.pointee.dr0, registers.pointee.dr1, registers.pointee.dr2, registers.pointee.dr3,
    ]
    var found: DebugExceptionQualification = []
    for number in UInt64(0)..<4 where control.enables(number) && isWanted(control.condition(of: number)) {
      let length = control.length(of: number)
      let start = addresses[Int(number)] & ~(length &- 1)
      guard address &- start < length || start &- address < UInt64(size) else { continue }
      found.formUnion(DebugExceptionQualification(rawValue: 1 << number))
    }
    return found
  }
}
