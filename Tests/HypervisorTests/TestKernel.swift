import Hypervisor

/// A Linux bzImage made field by field, so that a test can spoil any one of them.
struct TestKernel {
  var bytes: [UInt8]

  static let setupSectors = 2
  static let kernelOffset = (setupSectors + 1) * 512
  static let kernelSize = 0x400
  static let preferredAddress: UInt64 = 0x100_0000
  static let initialSize: UInt32 = 0x10_0000
  static let commandLineLimit = 255
  static let payloadOffset = 0x210
  /// The memory that the kernel needs to start.
  static let neededMemory = preferredAddress + UInt64(initialSize)

  /// Where the fields of the setup header are.
  enum Field {
    static let setupSectors = 0x1F1
    static let paragraphs = 0x1F4
    static let bootFlag = 0x1FE
    static let jumpDistance = 0x201
    static let magic = 0x202
    static let version = 0x206
    static let loadFlags = 0x211
    static let initrdLimit = 0x22C
    static let alignment = 0x230
    static let extendedLoadFlags = 0x236
    static let commandLineSize = 0x238
    static let payloadOffset = 0x248
    static let payloadSize = 0x24C
    static let preferredAddress = 0x258
    static let initialSize = 0x260
    static let end = 0x268
  }

  init() {
    bytes = Array(repeating: 0, count: Self.kernelOffset + Self.kernelSize)
    put(UInt8(Self.setupSectors), at: Field.setupSectors)
    put(UInt32(Self.kernelSize / 16), at: Field.paragraphs)
    put(UInt16(0xAA55), at: Field.bootFlag)
    put(UInt8(0xEB), at: Field.jumpDistance - 1)
    put(UInt8(Field.end - Field.jumpDistance - 1), at: Field.jumpDistance)
    bytes.replaceSubrange(Field.magic..<Field.magic + 4, with: Array("HdrS".utf8))
    put(UInt16(0x020F), at: Field.version)
    put(UInt8(1), at: Field.loadFlags)
    put(UInt32(0x7FFF_FFFF), at: Field.initrdLimit)
    put(UInt32(0x20_0000), at: Field.alignment)
    put(UInt16(1), at: Field.extendedLoadFlags)
    put(UInt32(Self.commandLineLimit), at: Field.commandLineSize)
    put(UInt32(Self.payloadOffset), at: Field.payloadOffset)
    put(UInt32(0x100), at: Field.payloadSize)
    put(Self.preferredAddress, at: Field.preferredAddress)
    put(Self.initialSize, at: Field.initialSize)
    let payload = Self.kernelOffset + Self.payloadOffset
    bytes.replaceSubrange(payload..<payload + 6, with: [0xFD, 0x37, 0x7A, 0x58, 0x5A, 0])
  }

  var image: GuestImage { GuestImage(name: "bzImage", bytes: bytes) }

  mutating func put<T: FixedWidthInteger>(_ value: T, at offset: Int) {
    withUnsafeBytes(of: value.littleEndian) { bytes.replaceSubrange(offset..<offset + $0.count, with: $0) }
  }
}
