/// How firmware hands the board over.
extension Board {
  /// Has the timer tick at its slowest rate, 18.2 times a second, and lets through the 8259s' inputs that firmware serves:
  /// the timer's, the keyboard's and the clock's. A Multiboot image finds them so; other kernels are started with
  /// every input masked, and do not care.
  ///
  /// Source: Multiboot Specification 0.6.96, "Machine state": the PIC is programmed with the normal BIOS values.
  public func leaveTimerRunning() {
    let squareWaveInTwoBytes: UInt32 = 0x36
    let timer = PlatformAddresses.intervalTimer.first
    ports.write(squareWaveInTwoBytes, to: timer + 3, size: 1)
    ports.write(0, to: timer, size: 1)
    ports.write(0, to: timer, size: 1)
    // Their initialization forgets the edge that this makes.
    initialize(
      PlatformAddresses.masterInterruptController, vectors: InterruptControllerPair.masterVectors,
      cascade: 1 << InterruptControllerPair.cascadeInput, inputs: 0b111)
    initialize(
      PlatformAddresses.slaveInterruptController, vectors: InterruptControllerPair.slaveVectors,
      cascade: InterruptControllerPair.cascadeInput, inputs: 0b1)
  }

  /// ICW1 to ICW4 of an 8259, edge-triggered and with EOI by software, and the inputs that it lets through.
  private func initialize(
    _ chip: PlatformAddresses.Ports, vectors: UInt8, cascade: UInt8, inputs: UInt8
  ) {
    ports.write(0x11, to: chip.first, size: 1)
    for word in [vectors, cascade, 1, ~inputs] {
      ports.write(UInt32(word), to: chip.first + 1, size: 1)
    }
  }
}
