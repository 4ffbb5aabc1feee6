import Hypervisor

/// An ELF64 file made field by field, so that a test can spoil any one of them.
struct TestImage {
  var bytes: [UInt8]

  static let segmentAddress: UInt64 = 0x10_0000
  static let segmentOffset = 0x200
  static let segmentSize = 0x100
  static let entry: UInt64 = 0x10_0040
  static let pvhEntry: UInt32 = 0x10_0010
  static let noteOffset = 0x180
  /// Where the Multiboot header lies in the file; in memory it is at the segment's begin.
  static let multibootOffset = segmentOffset

  /// One PT_LOAD segment of 100H bytes in the file and 200H in memory, with what `parts` says.
  init(pvh: Bool = false, multiboot: Bool = false, multibootAddresses: Bool = false) {
    bytes = Array(repeating: 0, count: Self.segmentOffset + Self.segmentSize)
    bytes.replaceSubrange(0..<6, with: [0x7F, 0x45, 0x4C, 0x46, 2, 1])
    put(UInt16(2), at: 0x10)
    put(UInt16(62), at: 0x12)
    put(Self.entry, at: 0x18)
    put(UInt64(64), at: 0x20)
    put(UInt16(56), at: 0x36)
    put(UInt16(pvh ? 2 : 1), at: 0x38)
    putProgramHeader(
      0, type: 1, offset: UInt64(Self.segmentOffset), address: Self.segmentAddress,
      fileSize: UInt64(Self.segmentSize), memorySize: 0x200)
    if pvh { putNote() }
    if multiboot { putMultiboot(withAddresses: multibootAddresses) }
  }

  var image: GuestImage { GuestImage(name: "test.elf", bytes: bytes) }

  mutating func put<T: FixedWidthInteger>(_ value: T, at offset: Int) {
    withUnsafeBytes(of: value.littleEndian) { bytes.replaceSubrange(offset..<offset + $0.count, with: $0) }
  }

  mutating func putProgramHeader(
    _ index: Int, type: UInt32, offset: UInt64, address: UInt64, fileSize: UInt64, memorySize: UInt64
  ) {
    let header = 64 + index * 56
    put(type, at: header)
    put(offset, at: header + 8)
    put(address, at: header + 24)
    put(fileSize, at: header + 32)
    put(memorySize, at: header + 40)
  }

  /// Adds a PT_LOAD segment at a physical address, with the same bytes; it takes the third place of the table.
  mutating func addSegment(at address: UInt64) {
    put(UInt16(3), at: 0x38)
    putProgramHeader(
      2, type: 1, offset: UInt64(Self.segmentOffset), address: address, fileSize: UInt64(Self.segmentSize),
      memorySize: 0x100)
  }

  private mutating func putNote() {
    putProgramHeader(
      1, type: 4, offset: UInt64(Self.noteOffset), address: 0, fileSize: 20, memorySize: 20)
    put(UInt32(4), at: Self.noteOffset)
    put(UInt32(4), at: Self.noteOffset + 4)
    put(UInt32(18), at: Self.noteOffset + 8)
    bytes.replaceSubrange(Self.noteOffset + 12..<Self.noteOffset + 16, with: Array("Xen\0".utf8))
    put(Self.pvhEntry, at: Self.noteOffset + 16)
  }

  private mutating func putMultiboot(withAddresses: Bool) {
    let flags: UInt32 = withAddresses ? 0x1_0003 : 3
    put(UInt32(0x1BAD_B002), at: Self.multibootOffset)
    put(flags, at: Self.multibootOffset + 4)
    put(0 &- (0x1BAD_B002 &+ flags), at: Self.multibootOffset + 8)
    guard withAddresses else { return }
    put(UInt32(0x30_0000), at: Self.multibootOffset + 12)
    put(UInt32(0x30_0000), at: Self.multibootOffset + 16)
    put(UInt32(0x30_0080), at: Self.multibootOffset + 20)
    put(UInt32(0x30_1000), at: Self.multibootOffset + 24)
    put(UInt32(0x30_0020), at: Self.multibootOffset + 28)
  }
}
