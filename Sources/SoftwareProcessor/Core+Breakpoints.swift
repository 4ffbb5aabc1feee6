import X86

// What looks at every explicit access: alignment checking, and the breakpoints of DR0 to DR3.
extension Core {
  /// Whether accesses of several bytes have to be aligned: SDM volume 3, "Interrupt 17—Alignment Check Exception (#AC)".
  var checksAlignment: Bool { cpl == 3 && cr0.contains(.am) && systemFlags.contains(.ac) }

  /// Whether a data breakpoint is enabled.
  var hasDataBreakpoints: Bool { hasBreakpoint { $0 == Condition.write || $0 == Condition.access } }

  /// Whether any breakpoint is enabled.
  var hasBreakpoints: Bool { cpu.pointee.dr7 & 0xFF != 0 }

  /// The values of the R/W fields of DR7.
  private enum Condition {
    static let execution: UInt64 = 0
    static let write: UInt64 = 1
    static let port: UInt64 = 2
    static let access: UInt64 = 3
  }

  private func hasBreakpoint(where matches: (UInt64) -> Bool) -> Bool {
    guard hasBreakpoints else { return false }
    let control = DR7(rawValue: cpu.pointee.dr7)
    for number in UInt64(0)..<4 where control.enables(number) && matches(control.condition(of: number)) {
      return true
    }
    return false
  }

  /// Raises #AC(0) for a misaligned access, and makes the data breakpoints that it meets pending.
  @inline(never)
  func watch(_ linear: UInt64, count: Int, isWrite: Bool) throws(Interruption) {
    try checkAlignment(linear, count: count)
    guard hasBreakpoints else { return }
    notePending(
      breakpoints(at: linear, count: UInt64(truncatingIfNeeded: count)) { condition in
        condition == Condition.access || (isWrite && condition == Condition.write)
      })
  }

  func checkAlignment(_ linear: UInt64, count: Int) throws(Interruption) {
    let mask = UInt64(truncatingIfNeeded: count &- 1)
    if linear & mask != 0, checksAlignment { throw raise(.alignmentCheck) }
  }

  /// Makes the I/O breakpoints of an access to `size` ports from `port` pending.
  func watchPort(_ port: UInt16, size: UInt8) {
    guard hasBreakpoints, cr4.contains(.de) else { return }
    notePending(breakpoints(at: UInt64(port), count: UInt64(size)) { $0 == Condition.port })
  }

  /// The bits of DR6 of the breakpoints on the instruction at `rip`; they do nothing while RF is set or MOV SS blocks.
  var instructionBreakpoints: UInt64 {
    guard hasBreakpoints, !systemFlags.contains(.rf), !interruptibility.contains(.blockingByMOVSS) else {
      return 0
    }
    let linear = is64BitMode ? rip : (cpu.pointee.cs.base &+ rip) & 0xFFFF_FFFF
    return breakpoints(at: linear, count: 1) { $0 == Condition.execution }
  }

  /// The bits of DR6 of the enabled breakpoints of a condition that overlap `count` bytes (or ports) at `address`.
  ///
  /// Source: SDM volume 3, "Breakpoint Field Recognition": the length aligns the address.
  private func breakpoints(at address: UInt64, count: UInt64, where matches: (UInt64) -> Bool) -> UInt64 {
    let control = DR7(rawValue: cpu.pointee.dr7)
    var found: UInt64 = 0
    for number in UInt64(0)..<4 where control.enables(number) && matches(control.condition(of: number)) {
      let length = control.length(of: number)
      let start = breakpointAddress(number) & ~(length &- 1)
      // Neither distance wraps unless the two are apart.
      if address &- start < length || start &- address < count { found |= 1 << number }
    }
    return found
  }

  private func breakpointAddress(_ number: UInt64) -> UInt64 {
    switch number {
    case 0: cpu.pointee.registers.dr0
    case 1: cpu.pointee.registers.dr1
    case 2: cpu.pointee.registers.dr2
    default: cpu.pointee.registers.dr3
    }
  }

  private func notePending(_ bits: UInt64) {
    guard bits != 0 else { return }
    cpu.pointee.pendingDebug |= bits | Self.enabledBreakpoint
  }

  /// The bit of the pending debug exceptions that tells of an enabled breakpoint.
  private static var enabledBreakpoint: UInt64 { 1 << 12 }
}
