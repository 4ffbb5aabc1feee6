/// The machine's interrupt lines: 0 to 15 are the ISA bus's and reach the 8259s and the I/O APIC, those from 16 on the
/// I/O APIC alone.
///
/// A line's number is its global system interrupt but for line 0, the timer's: it is at the I/O APIC's input 2, for
/// input 0 is where the 8259s' own interrupt arrives.
public final class InterruptRouter: InterruptController {
  private let legacy: InterruptControllerPair
  private let ioAPIC: IOAPIC

  public init(legacy: InterruptControllerPair, ioAPIC: IOAPIC) {
    self.legacy = legacy
    self.ioAPIC = ioAPIC
  }

  public func setLine(_ number: UInt8, isHigh: Bool) {
    switch number {
    case PlatformAddresses.timerInterrupt:
      legacy.setLine(number, isHigh: isHigh)
      ioAPIC.setLine(PlatformAddresses.timerGlobalInterrupt, isHigh: isHigh)
    // Line 2 is the cascade of the 8259s, and its input the timer's.
    case PlatformAddresses.timerGlobalInterrupt: break
    case ..<PlatformAddresses.firstPCIInterrupt:
      legacy.setLine(number, isHigh: isHigh)
      ioAPIC.setLine(number, isHigh: isHigh)
    default: ioAPIC.setLine(number, isHigh: isHigh)
    }
  }
}
