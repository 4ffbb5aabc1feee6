import Foundation
import Testing

@Suite struct CPIOArchiveTests {
  @Test func entriesAreLaidOutAsTheKernelReadsThem() throws {
    var archive = CPIOArchive()
    archive.add(directory: "dev")
    archive.add(characterDevice: "dev/console", major: 5, minor: 1)
    archive.add(file: "init", Data("#!x\n!".utf8))
    let lines = [
      "070701" + "00000001" + "000041ED" + "00000000" + "00000000" + "00000002" + "00000000" + "00000000"
        + "00000000" + "00000000" + "00000000" + "00000000" + "00000004" + "00000000" + "dev\0" + "\0\0",
      "070701" + "00000002" + "00002180" + "00000000" + "00000000" + "00000001" + "00000000" + "00000000"
        + "00000000" + "00000000" + "00000005" + "00000001" + "0000000C" + "00000000" + "dev/console\0"
        + "\0\0",
      "070701" + "00000003" + "000081ED" + "00000000" + "00000000" + "00000001" + "00000000" + "00000005"
        + "00000000" + "00000000" + "00000000" + "00000000" + "00000005" + "00000000" + "init\0" + "\0"
        + "#!x\n!" + "\0\0\0",
      "070701" + "00000004" + "00000000" + "00000000" + "00000000" + "00000001" + "00000000" + "00000000"
        + "00000000" + "00000000" + "00000000" + "00000000" + "0000000B" + "00000000" + "TRAILER!!!\0"
        + "\0\0\0",
    ]
    #expect(String(decoding: archive.finished(), as: UTF8.self) == lines.joined())
  }
}
