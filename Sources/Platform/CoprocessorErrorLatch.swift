/// The PC's answer to x87 errors of a processor with CR0.NE = 0: interrupt 13, from the error until the handler writes
/// port F0H.
///
/// IGNNE#, by which the write also lets x87 instructions go on in spite of the error, is not there: a handler that does
/// not clear the error is interrupted again.
///
/// Source: SDM volume 1, "MS-DOS* Compatibility Sub-mode", "Guidelines for Writing x87 FPU Exception Handlers".
public final class CoprocessorErrorLatch: PortDevice {
  private let line: InterruptLine

  init(line: InterruptLine) { self.line = line }

  /// An x87 instruction met a pending error: FERR#.
  public func raise() { line.set(true) }

  public func read(offset: UInt16, size: UInt8) -> UInt32 { PortBus.allOnes(size) }

  /// Port F0H clears the latch; F1H resets the coprocessor of a 80287, and does nothing here.
  public func write(_ value: UInt32, offset: UInt16, size: UInt8) {
    if offset == 0 { line.set(false) }
  }
}
