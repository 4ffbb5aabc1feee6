import CInstructions
import VMX
import X86

/// The timer of L1's local APIC, in xAPIC mode: one interrupt each time that it is armed.
///
/// Source: SDM volume 3, "APIC Timer".
struct L1Timer {
  private static var vector: UInt8 { 0x40 }
  /// Ticks from arming to the interrupt: at first, more than L1 and Testudo need to have L2 wait for it.
  private var count: UInt32 = 4000

  private enum Register {
    static var endOfInterrupt: UInt64 { 0xB0 }
    static var spurious: UInt64 { 0xF0 }
    static var timerEntry: UInt64 { 0x320 }
    static var initialCount: UInt64 { 0x380 }
    static var divideConfiguration: UInt64 { 0x3E0 }
  }

  /// The physical address of the local APIC's page.
  private let base: UInt64

  /// Enables the local APIC and sets its timer up.
  init() {
    let value = rdmsr(ModelSpecificRegister.apicBase.rawValue)
    let enabled: UInt64 = 1 << 11
    let extended: UInt64 = 1 << 10
    guard value & (enabled | extended) == enabled else {
      Serial.writeLine("failed: the local APIC is not in xAPIC mode")
      finish(.failure)
    }
    base = value & 0x000F_FFFF_FFFF_F000
    let softwareEnable: UInt32 = 1 << 8
    let divideBy1: UInt32 = 0xB
    write(Register.spurious, softwareEnable | 0xFF)
    write(Register.timerEntry, UInt32(Self.vector))
    write(Register.divideConfiguration, divideBy1)
  }

  func arm() { write(Register.initialCount, count) }

  /// Doubles the time to the interrupt, up to what the timer can count.
  mutating func slowDown() { count = count > .max / 2 ? .max : count &* 2 }

  func finishInterrupt() { write(Register.endOfInterrupt, 0) }

  private func write(_ register: UInt64, _ value: UInt32) { store32(base &+ register, value) }

  /// Whether the VM-exit interruption information `value` is of this timer's interrupt.
  static func isItsInterrupt(_ value: UInt64) -> Bool {
    let information = InterruptionInformation(rawValue: UInt32(truncatingIfNeeded: value))
    return information.isValid && information.kind == .externalInterrupt && information.vector == vector
  }
}
