import Hypervisor

/// An ELF64 image that is nothing but code at 1 MByte, to be entered by its PVH note or in 64-bit mode.
package struct CodeImage {
  package static let address: UInt64 = 0x10_0000
  private static let codeOffset = 0x100
  private static let noteOffset = 0xC0

  private var bytes: [UInt8]

  package init(_ code: [UInt8]) {
    bytes = Array(repeating: 0, count: Self.codeOffset) + code
    bytes.replaceSubrange(0..<6, with: [0x7F, 0x45, 0x4C, 0x46, 2, 1])
    put(UInt16(2), at: 0x10)
    put(UInt16(62), at: 0x12)
    put(Self.address, at: 0x18)
    put(UInt64(64), at: 0x20)
    put(UInt16(56), at: 0x36)
    put(UInt16(2), at: 0x38)
    putNote()
    put(UInt32(1), at: 64)
    put(UInt64(Self.codeOffset), at: 64 + 8)
    put(Self.address, at: 64 + 24)
    put(UInt64(code.count), at: 64 + 32)
    put(UInt64(0x1_0000), at: 64 + 40)
  }

  package var image: GuestImage { GuestImage(name: "code", bytes: bytes) }

  /// The second program header, and the PVH note that it names.
  private mutating func putNote() {
    put(UInt32(4), at: 120)
    put(UInt64(Self.noteOffset), at: 120 + 8)
    put(UInt64(20), at: 120 + 32)
    put(UInt64(20), at: 120 + 40)
    put(UInt32(4), at: Self.noteOffset)
    put(UInt32(4), at: Self.noteOffset + 4)
    put(UInt32(18), at: Self.noteOffset + 8)
    bytes.replaceSubrange(Self.noteOffset + 12..<Self.noteOffset + 16, with: Array("Xen\0".utf8))
    put(UInt32(Self.address), at: Self.noteOffset + 16)
  }

  private mutating func put<T: FixedWidthInteger>(_ value: T, at offset: Int) {
    withUnsafeBytes(of: value.littleEndian) { bytes.replaceSubrange(offset..<offset + $0.count, with: $0) }
  }
}
