import Foundation
import Platform
import Testing

@Suite struct DiskFileTests {
  /// A file of `count` bytes that is gone when the test is over.
  private final class Image {
    let path: String

    init(count: Int) throws {
      path = NSTemporaryDirectory() + "testudo-disk-\(UUID().uuidString)"
      try Data((0..<count).map { UInt8(truncatingIfNeeded: $0 / 512 + 1) }).write(
        to: URL(fileURLWithPath: path))
    }

    deinit { unlink(path) }
  }

  private func read(_ disk: DiskFile, _ sector: UInt64, _ count: Int) -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: count)
    return bytes.withUnsafeMutableBytes { disk.read(sector, into: $0) } ? bytes : nil
  }

  private func write(_ disk: DiskFile, _ sector: UInt64, _ bytes: [UInt8]) -> Bool {
    bytes.withUnsafeBytes { disk.write($0, to: sector) }
  }

  @Test func sectorsAreThoseOfTheFile() throws {
    let image = try Image(count: 5 * 512 + 100)
    let disk = try DiskFile(path: image.path)
    #expect(disk.sectorCount == 5)
    #expect(read(disk, 4, 512) == Array(repeating: 5, count: 512))
    #expect(read(disk, 4, 1024) == nil)
    #expect(read(disk, .max, 512) == nil)
    #expect(write(disk, 2, Array(repeating: 0xEE, count: 512)))
    #expect(!write(disk, 5, Array(repeating: 0xEE, count: 512)))
    #expect(disk.flush())
    let data = try Data(contentsOf: URL(fileURLWithPath: image.path))
    #expect(Array(data[1024..<1536]) == Array(repeating: 0xEE, count: 512))
    #expect(data.count == 5 * 512 + 100)
    #expect(disk.failure == nil)
  }

  @Test func aReadOnlyDiskIsNotWritten() throws {
    let image = try Image(count: 1024)
    let before = try Data(contentsOf: URL(fileURLWithPath: image.path))
    let disk = try DiskFile(path: image.path, isReadOnly: true)
    #expect(!write(disk, 0, Array(repeating: 9, count: 512)))
    #expect(disk.flush())
    #expect(try Data(contentsOf: URL(fileURLWithPath: image.path)) == before)
    #expect(disk.failure == nil)
  }

  @Test func aDeletedImageIsAnErrorAndASentence() throws {
    let image = try Image(count: 1024)
    let disk = try DiskFile(path: image.path)
    unlink(image.path)
    #expect(!write(disk, 0, Array(repeating: 9, count: 512)))
    #expect(!disk.flush())
    #expect(
      disk.failure
        == "disk image \(image.path): it was deleted during the run; the guest saw input/output errors from then on"
    )
  }

  @Test func aCutImageIsAnErrorAndASentence() throws {
    let image = try Image(count: 4096)
    let disk = try DiskFile(path: image.path)
    #expect(truncate(image.path, 1024) == 0)
    #expect(read(disk, 0, 512) != nil)
    #expect(read(disk, 1, 1024) == nil)
    #expect(!write(disk, 7, Array(repeating: 9, count: 512)))
    #expect(disk.failure?.contains("it became shorter during the run") == true)
  }

  @Test func twoMachinesCannotWriteToOneImage() throws {
    let image = try Image(count: 1024)
    let path = image.path
    do {
      let first = try DiskFile(path: path)
      #expect(throws: DiskError.inUse(path: path)) { try DiskFile(path: path, isReadOnly: true) }
      #expect(first.sectorCount == 2)
    }
    let readers = try [DiskFile(path: path, isReadOnly: true), DiskFile(path: path, isReadOnly: true)]
    #expect(throws: DiskError.inUse(path: path)) { try DiskFile(path: path) }
    #expect(readers.count == 2)
  }

  @Test func whatIsNoDiskIsRefused() throws {
    let small = try Image(count: 511)
    #expect(throws: DiskError.tooSmall(path: small.path, bytes: 511)) { try DiskFile(path: small.path) }
    #expect(throws: DiskError.notADisk(path: "/dev/null")) { try DiskFile(path: "/dev/null") }
    #expect(throws: DiskError.refused(path: "/nonexistent/disk", errno: ENOENT)) {
      try DiskFile(path: "/nonexistent/disk")
    }
    #expect(
      DiskError.refused(path: "/x", errno: ENOENT).description == "disk image /x: No such file or directory")
  }
}
