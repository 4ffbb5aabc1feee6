import VMX
import X86

// PAUSE in VMX non-root operation.
extension Core {
  func executePAUSE() throws(Interruption) {
    if nonRoot.pointee.primary.contains(.pauseExiting) { throw vmExit(.pause) }
    if nonRoot.pointee.secondary.contains(.pauseLoopExiting), cpl == 0, endsPAUSELoop() {
      throw vmExit(.pause)
    }
  }

  /// Whether this PAUSE is one of a loop that has lasted longer than PLE_Window. A PAUSE that comes more than PLE_Gap
  /// after the last one begins a loop.
  ///
  /// Source: SDM volume 3, "Instructions That Cause VM Exits Conditionally".
  private func endsPAUSELoop() -> Bool {
    let now = cpu.pointee.machine.clock.pointee.cycles
    let sinceLast = now &- nonRoot.pointee.lastPAUSE
    nonRoot.pointee.lastPAUSE = now
    guard sinceLast <= vmcs[.pleGap] else {
      nonRoot.pointee.firstPAUSE = now
      return false
    }
    return now &- nonRoot.pointee.firstPAUSE > vmcs[.pleWindow]
  }
}
