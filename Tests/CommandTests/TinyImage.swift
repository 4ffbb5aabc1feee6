import Foundation

/// Smallest images: an ELF64 file with one loaded segment that begins with the code to run in 64-bit mode.
enum TinyImage {
  static let loadAddress: UInt64 = 0x10_0000
  private static let headerSize: UInt64 = 64 + 56

  static func elf(code: [UInt8]) -> Data {
    var data = Data([0x7F, 0x45, 0x4C, 0x46, 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    func append<T: FixedWidthInteger>(_ values: T...) {
      for value in values { withUnsafeBytes(of: value.littleEndian) { data.append(contentsOf: $0) } }
    }
    append(UInt16(2), UInt16(62))
    append(UInt32(1))
    append(loadAddress, UInt64(64), UInt64(0))
    append(UInt32(0))
    append(UInt16(64), UInt16(56), UInt16(1), UInt16(0), UInt16(0), UInt16(0))
    append(UInt32(1), UInt32(7))
    append(headerSize, loadAddress, loadAddress, UInt64(code.count), UInt64(code.count), UInt64(4096))
    data.append(contentsOf: code)
    return data
  }

  /// JMP to itself.
  static let spin = elf(code: [0xEB, 0xFE])
  /// LIDT of an empty table, then UD2: nothing can deliver the exception.
  static let tripleFault = elf(code: [
    0x6A, 0x00, 0x6A, 0x00, 0x0F, 0x01, 0x1C, 0x24, 0x0F, 0x0B,
  ])
  /// CLI; HLT.
  static let halt = elf(code: [0xFA, 0xF4])
  /// Bytes that are no program.
  static let garbage = elf(code: (0..<4096).map { UInt8(truncatingIfNeeded: $0 &* 167 &+ 0x6F) })
  /// MOV EAX, 7; OUT F4H, EAX: reports failure.
  static let failure = elf(code: [0xB8, 7, 0, 0, 0, 0xE7, 0xF4, 0xF4])
  /// XOR EAX, EAX; OUT F4H, EAX: reports success.
  static let success = elf(code: [0x31, 0xC0, 0xE7, 0xF4, 0xF4])
  /// MOV EDX, 3F8H; MOV AL, 'x'; OUT DX, AL; JMP to the OUT: writes to the serial port for ever.
  static let chatter = elf(code: [0xBA, 0xF8, 0x03, 0, 0, 0xB0, 0x78, 0xEE, 0xEB, 0xFD])
  /// Echoes what it polls from the serial port, and reports success at '!'.
  static let echo = elf(code: [
    0xBA, 0xFD, 0x03, 0, 0,  // MOV EDX, 3FDH
    0xEC, 0xA8, 1, 0x74, 0xFB,  // IN AL, DX; TEST AL, 1; JZ to the IN
    0xBA, 0xF8, 0x03, 0, 0,  // MOV EDX, 3F8H
    0xEC, 0xEE, 0x3C, 0x21, 0x75, 0xEB,  // IN AL, DX; OUT DX, AL; CMP AL, '!'; JNE to the begin
    0x31, 0xC0, 0xE7, 0xF4, 0xF4,  // XOR EAX, EAX; OUT F4H, EAX
  ])
}
