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
    let control = DR7(rawValue: vmcs[.guestDR7])
    guard control.rawValue & 0xFF != 0, visibleCR4.contains(.de) else { return [] }
    let addresses: [4 of UInt64] = [
      registers.pointee.dr0, registers.pointee.dr1, registers.pointee.dr2, registers.pointee.dr3,
    ]
    var found: DebugExceptionQualification = []
    for number in UInt64(0)..<4 where control.enables(number) && control.condition(of: number) == 2 {
      let length = control.length(of: number)
      let start = addresses[Int(number)] & ~(length &- 1)
      let port = UInt64(access.port)
      guard port &- start < length || start &- port < UInt64(access.size) else { continue }
      found.formUnion(DebugExceptionQualification(rawValue: 1 << number))
    }
    return found
  }
}
