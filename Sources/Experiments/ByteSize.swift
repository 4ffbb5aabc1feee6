/// A size in bytes as people write it.
public enum ByteSize {
  /// The bytes of a number with an optional suffix K, M, G or T (powers of 1024, either case; a final `B` or `iB` is
  /// accepted), or nil if the text is not such a size or exceeds 64 bits.
  public static func bytes(of text: String) -> UInt64? {
    var text = text.lowercased()
    for ending in ["ib", "b"] where text.hasSuffix(ending) {
      text.removeLast(ending.count)
      break
    }
    let shifts: [Character: UInt64] = ["k": 10, "m": 20, "g": 30, "t": 40]
    var shift: UInt64 = 0
    if let last = text.last, let found = shifts[last] {
      shift = found
      text.removeLast()
    }
    guard !text.isEmpty, text.allSatisfy({ ("0"..."9").contains($0) }), let number = UInt64(text) else {
      return nil
    }
    let (bytes, overflow) = number.multipliedReportingOverflow(by: 1 << shift)
    return overflow ? nil : bytes
  }
}
