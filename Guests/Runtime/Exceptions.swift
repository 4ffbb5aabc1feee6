import CInstructions

/// The interrupt-descriptor table: an exception in a guest ends the run with a line about it, and not with a
/// triple fault that says nothing.
enum Exceptions {
  private static var vectorCount: UInt64 { 32 }
  private static var entrySize: UInt64 { 16 }

  /// Fills the table at `idt`, 32 gates of 16 bytes, and makes the processor use it.
  static func install() {
    let table = UnsafeMutablePointer<UInt64>(physical: idtAddress)
    for vector in 0..<vectorCount {
      let (low, high) = interruptGate(to: address_of_exception_entries() &+ vector &* entrySize)
      table[Int(2 &* vector)] = low
      table[Int(2 &* vector &+ 1)] = high
    }
    load_idt(idtAddress, UInt16(vectorCount &* 16 &- 1))
  }

  static var idtAddress: UInt64 { address_of_idt() }

  /// A present 64-bit interrupt gate of privilege level 0.
  private static func interruptGate(to handler: UInt64) -> (low: UInt64, high: UInt64) {
    let codeSelector: UInt64 = 0x08
    let presentInterruptGate: UInt64 = 0x8E00
    return (
      handler & 0xFFFF | codeSelector << 16 | presentInterruptGate << 32 | (handler >> 16 & 0xFFFF) << 48,
      handler >> 32
    )
  }
}

/// What every entry of Exceptions.S leads to.
@c(exception_raised)
func exceptionRaised(vector: UInt64, errorCode: UInt64, rip: UInt64) -> Never {
  Serial.write("failed: exception ")
  Serial.write(vector)
  Serial.write(", error code ")
  Serial.write(hexadecimal: errorCode)
  Serial.write(", at RIP ")
  Serial.write(hexadecimal: rip)
  Serial.endLine()
  finish(.failure)
}
