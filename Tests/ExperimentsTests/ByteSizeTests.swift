import Experiments
import Testing

@Suite struct ByteSizeTests {
  @Test(
    arguments: [
      ("0", 0), ("4096", 4096), ("1K", 1024), ("256M", 268_435_456), ("256m", 268_435_456), ("1G", 1 << 30),
      ("2T", 2 << 40), ("64MiB", 64 << 20), ("64MB", 64 << 20), ("10b", 10),
    ] as [(String, UInt64)])
  func sizesAreRead(_ text: String, _ bytes: UInt64) {
    #expect(ByteSize.bytes(of: text) == bytes)
  }

  @Test(arguments: [
    "", "M", "-1", "+1", "1.5G", "1 G", "0x10", "1GG", "12Q", "١", "16777216T", "99999999999999999999",
  ])
  func otherTextIsRefused(_ text: String) {
    #expect(ByteSize.bytes(of: text) == nil)
  }
}
