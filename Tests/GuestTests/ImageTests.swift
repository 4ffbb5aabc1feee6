import Foundation
import Testing

/// The committed images keep the contract of Guests/README.md: one ELF64 file with three ways in.
@Suite("Guest images")
struct ImageTests {
  @Test("An ELF64 executable for x86-64 that enters in its code", arguments: Repository.imageNames)
  func elf(name: String) throws {
    let image = Bytes(try Repository.image(name))
    #expect(image.bytes.prefix(5) == [0x7F, 0x45, 0x4C, 0x46, 2])
    #expect(image[18, UInt16.self] == 62)
    #expect(image.codeSegment.contains(image[24, UInt64.self]))
    // The carrier has the whole nested core in it.
    #expect(image.bytes.count < (name == "carrier.elf" ? 256 : 64) * 1024)
  }

  @Test("The Multiboot header describes one contiguous piece of the file", arguments: Repository.imageNames)
  func multiboot(name: String) throws {
    let image = Bytes(try Repository.image(name))
    let header = try #require(
      stride(from: 0, to: 8192, by: 4).first { image[$0, UInt32.self] == 0x1BAD_B002 })
    let words = (0..<8).map { image[header + 4 * $0, UInt32.self] }
    #expect(words[0] &+ words[1] &+ words[2] == 0)
    #expect(words[1] & 1 << 16 != 0, "the address fields are valid")
    let (headerAddress, loadAddress, loadEnd, bssEnd) = (words[3], words[4], words[5], words[6])
    #expect(image.codeSegment.contains(UInt64(words[7])))
    #expect(loadAddress <= headerAddress && loadEnd <= bssEnd)

    // Where the header's arithmetic puts each byte, the program headers put it as well.
    let loadOffset = UInt64(header) - UInt64(headerAddress - loadAddress)
    let segments = image.segments(ofType: 1)
    #expect(segments.map(\.address).min() == UInt64(loadAddress))
    for segment in segments {
      #expect(segment.offset - loadOffset == segment.address - UInt64(loadAddress))
    }
    #expect(segments.map { $0.address + $0.fileSize }.max() == UInt64(loadEnd))
    #expect(segments.map { $0.address + $0.memorySize }.max()! <= UInt64(bssEnd))
  }

  @Test("The PVH note names an entry in the code", arguments: Repository.imageNames)
  func pvh(name: String) throws {
    let image = Bytes(try Repository.image(name))
    let note = try #require(image.segments(ofType: 4).first)
    let offset = Int(note.offset)
    #expect(image[offset, UInt32.self] == 4)
    #expect(image[offset + 4, UInt32.self] == 4)
    #expect(image[offset + 8, UInt32.self] == 18)
    #expect(image.bytes[offset + 12..<offset + 16].elementsEqual("Xen\0".utf8))
    #expect(image.codeSegment.contains(UInt64(image[offset + 16, UInt32.self])))
  }

  @Test(
    "The README of minimal names every workload and every mistake",
    arguments: [("Workload", 8), ("Mistake", 7)])
  func readme(enumeration: String, count: Int) throws {
    let folder = Repository.guests.appendingPathComponent("minimal")
    let source = try String(
      contentsOf: folder.appendingPathComponent("\(enumeration).swift"), encoding: .utf8)
    let text = try String(contentsOf: folder.appendingPathComponent("README.md"), encoding: .utf8)
    let names = source.matches(of: /case \.\w+: "(.+)"/).map { String($0.1) }
    #expect(names.count == count)
    for name in names { #expect(text.contains("\n| `\(name)` |"), "\(name)") }
  }
}

/// The bytes of an image, read as little-endian integers.
struct Bytes {
  struct Segment {
    var flags: UInt32
    var offset, address, fileSize, memorySize: UInt64
  }

  var bytes: [UInt8]

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  subscript<T: FixedWidthInteger & BitwiseCopyable>(offset: Int, type: T.Type) -> T {
    bytes.withUnsafeBytes { T(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: T.self)) }
  }

  /// The program headers of `type`: 1 to load, 4 a note.
  func segments(ofType type: UInt32) -> [Segment] {
    let table = Int(self[32, UInt64.self])
    return (0..<Int(self[56, UInt16.self])).map { table + 56 * $0 }
      .filter { self[$0, UInt32.self] == type }
      .map {
        Segment(
          flags: self[$0 + 4, UInt32.self], offset: self[$0 + 8, UInt64.self],
          address: self[$0 + 16, UInt64.self],
          fileSize: self[$0 + 32, UInt64.self], memorySize: self[$0 + 40, UInt64.self])
      }
  }

  /// The addresses of the segment that can be executed.
  var codeSegment: Range<UInt64> {
    guard let code = segments(ofType: 1).first(where: { $0.flags & 1 != 0 }) else { return 0..<0 }
    return code.address..<code.address + code.fileSize
  }
}
