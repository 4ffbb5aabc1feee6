/// The interrupt vectors that firmware leaves for real-address mode, and their handlers: those of the 8259s' lines end
/// the interrupt, that of the timer counts it in the BIOS data area, and all others return at once. There are no BIOS
/// services.
enum RealModeVectors {
  /// A handler in segment F000H.
  private struct Handler {
    var offset: UInt16
    var code: [UInt8]
  }

  private static let segment: UInt16 = 0xF000
  private static let vectorCount: UInt16 = 256

  /// Where PCs have their timer's handler: `push ds; push ax; mov ax, 40h; mov ds, ax; inc dword [6Ch];
  /// mov al, 20h; out 20h, al; pop ax; pop ds; iret`.
  private static let timer = Handler(
    offset: 0xFEA5,
    code: [
      0x1E, 0x50, 0xB8, 0x40, 0x00, 0x8E, 0xD8, 0x66, 0xFF, 0x06, 0x6C, 0x00, 0xB0, 0x20, 0xE6, 0x20, 0x58,
      0x1F,
      0xCF,
    ])
  /// `push ax; mov al, 20h; out 20h, al; pop ax; iret`
  private static let master = Handler(offset: 0xFF30, code: [0x50, 0xB0, 0x20, 0xE6, 0x20, 0x58, 0xCF])
  /// `push ax; mov al, 20h; out A0h, al; out 20h, al; pop ax; iret`
  private static let slave = Handler(
    offset: 0xFF40, code: [0x50, 0xB0, 0x20, 0xE6, 0xA0, 0xE6, 0x20, 0x58, 0xCF])
  /// Where PCs have it: `iret`.
  private static let other = Handler(offset: 0xFF53, code: [0xCF])

  private static func handler(of vector: UInt16) -> Handler {
    switch vector {
    case UInt16(InterruptControllerPair.masterVectors): timer
    case UInt16(InterruptControllerPair.masterVectors) + 1..<UInt16(InterruptControllerPair.masterVectors) + 8:
      master
    case UInt16(InterruptControllerPair.slaveVectors)..<UInt16(InterruptControllerPair.slaveVectors) + 8:
      slave
    default: other
    }
  }

  static var regions: [FirmwareTables.Region] {
    var vectors = LittleEndianBytes()
    for vector in 0..<vectorCount {
      vectors.append(handler(of: vector).offset)
      vectors.append(segment)
    }
    return [FirmwareTables.Region(address: 0, bytes: vectors.bytes)]
      + [timer, master, slave, other].map {
        FirmwareTables.Region(address: UInt64(segment) << 4 + UInt64($0.offset), bytes: $0.code)
      }
  }
}
