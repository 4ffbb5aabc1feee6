import Experiments
import Testing

@Suite struct NewcArchiveTests {
  /// Each entry: the magic; inode, mode, owner, group, links, time, size, device (two numbers), the device that it is (two
  /// numbers), the length of the name, checksum; the name and the data, each up to a multiple of four.
  @Test func entriesAreLaidOutAsTheKernelReadsThem() throws {
    var archive = NewcArchive()
    archive.add(directory: "dev")
    archive.add(characterDevice: "dev/console", major: 5, minor: 1)
    archive.add(file: "init", Array("#!x\n!".utf8))
    archive.add(file: "kvm.ko", permissions: 0o644, Array("ELF".utf8))
    let zero = "00000000"
    let none = String(repeating: zero, count: 4)
    let lines = [
      "070701" + "00000001" + "000041ED" + zero + zero + "00000002" + zero + zero + none + "00000004" + zero
        + "dev\0" + "\0\0",
      "070701" + "00000002" + "00002180" + zero + zero + "00000001" + zero + zero + zero + zero
        + "00000005" + "00000001" + "0000000C" + zero + "dev/console\0" + "\0\0",
      "070701" + "00000003" + "000081ED" + zero + zero + "00000001" + zero + "00000005" + none + "00000005"
        + zero + "init\0" + "\0" + "#!x\n!" + "\0\0\0",
      "070701" + "00000004" + "000081A4" + zero + zero + "00000001" + zero + "00000003" + none + "00000007"
        + zero + "kvm.ko\0" + "\0\0\0" + "ELF" + "\0",
      "070701" + "00000005" + zero + zero + zero + "00000001" + zero + zero + none + "0000000B" + zero
        + "TRAILER!!!\0" + "\0\0\0",
    ]
    #expect(String(decoding: archive.bytes, as: UTF8.self) == lines.joined())
  }

  @Test func equalEntriesMakeEqualArchives() {
    func made() -> [UInt8] {
      var archive = NewcArchive()
      archive.add(file: "a", [1, 2, 3])
      return archive.bytes
    }
    #expect(made() == made())
  }
}
