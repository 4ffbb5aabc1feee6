import CInstructions

/// The first serial port, COM1: where a guest says what it does.
///
/// Nothing here builds a `String`: a guest of a few KBytes has no use for Unicode.
enum Serial {
  private static var port: UInt16 { 0x3F8 }

  /// Bits of the line status register.
  private enum LineStatus {
    static var transmitHoldingEmpty: UInt8 { 1 << 5 }
    static var transmitterEmpty: UInt8 { 1 << 6 }
  }

  /// Sets 115200 baud, eight data bits, no parity, one stop bit, FIFOs on, interrupts off.
  static func initialise() {
    out8(port + 1, 0x00)
    out8(port + 3, 0x80)  // The divisor latch: ports + 0 and + 1 are now the divisor.
    out8(port + 0, 0x01)
    out8(port + 1, 0x00)
    out8(port + 3, 0x03)
    out8(port + 2, 0x07)
    out8(port + 4, 0x03)
  }

  static func write(byte: UInt8) {
    while in8(port + 5) & LineStatus.transmitHoldingEmpty == 0 {}
    out8(port, byte)
  }

  /// Waits until the last byte has left the port.
  static func drain() {
    while in8(port + 5) & LineStatus.transmitterEmpty == 0 {}
  }

  static func write(_ text: StaticString) {
    write(UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
  }

  static func write(_ bytes: UnsafeBufferPointer<UInt8>) {
    for byte in bytes { write(byte: byte) }
  }

  /// Writes `number` in decimal digits.
  static func write(_ number: UInt64) {
    if number >= 10 { write(number / 10) }
    write(byte: UInt8(truncatingIfNeeded: number % 10) &+ UInt8(ascii: "0"))
  }

  /// Writes `number` as `0x` and its hexadecimal digits, without leading zeros.
  static func write(hexadecimal number: UInt64) {
    write("0x")
    let digits: StaticString = "0123456789abcdef"
    var shift = number == 0 ? 0 : (63 &- UInt64(number.leadingZeroBitCount)) & ~3
    while true {
      write(byte: digits.utf8Start[Int(truncatingIfNeeded: number >> shift & 0xF)])
      if shift == 0 { return }
      shift &-= 4
    }
  }

  /// Ends the line.
  static func endLine() { write(byte: UInt8(ascii: "\n")) }

  static func writeLine(_ text: StaticString) {
    write(text)
    endLine()
  }
}
