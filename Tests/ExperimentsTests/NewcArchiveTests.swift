import Experiments
import Testing

@Suite struct NewcArchiveTests {
  /// Header of 110 bytes, name and data, each up to a multiple of four; then the end.
  @Test func aFileHasItsPlace() {
    var archive = NewcArchive()
    archive.add("init", permissions: 0o755, Array("hello".utf8))
    let bytes = archive.bytes
    let text = String(decoding: bytes.prefix(110), as: UTF8.self)
    #expect(text.hasPrefix("07070100000001000081ED"))
    #expect(text.dropFirst(6 + 6 * 8).prefix(8) == "00000005")
    #expect(text.dropFirst(6 + 11 * 8).prefix(8) == "00000005")
    #expect(Array(bytes[110..<116]) == Array("init".utf8) + [0, 0])
    #expect(Array(bytes[116..<124]) == Array("hello".utf8) + [0, 0, 0])
    #expect(String(decoding: bytes[124..<130], as: UTF8.self) == "070701")
    #expect(bytes.count % 4 == 0)
    #expect(String(decoding: bytes, as: UTF8.self).contains("TRAILER!!!"))
  }
}
