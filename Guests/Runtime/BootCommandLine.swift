/// The command line that the loader passed: words of the form `key=value`.
struct BootCommandLine {
  /// A NUL-terminated string, or nil.
  let text: UnsafePointer<UInt8>?

  /// One piece of the text.
  typealias Piece = UnsafeBufferPointer<UInt8>

  /// Calls `body` with the key and the value of each word. Words without "=", and words that are paths (some loaders
  /// put the image's own path first), are passed over.
  func forEachOption(_ body: (_ key: Piece, _ value: Piece) -> Void) {
    guard var next = text else { return }
    while true {
      while next.pointee == UInt8(ascii: " ") { next += 1 }
      if next.pointee == 0 { return }
      let start = next
      while next.pointee != UInt8(ascii: " ") && next.pointee != 0 { next += 1 }
      let word = Piece(start: start, count: next - start)
      if word.contains(UInt8(ascii: "/")) { continue }
      guard let equals = word.firstIndex(of: UInt8(ascii: "=")) else { continue }
      body(Piece(rebasing: word[..<equals]), Piece(rebasing: word[(equals + 1)...]))
    }
  }
}

extension UnsafeBufferPointer<UInt8> {
  /// Whether these bytes are those of `text`.
  static func == (bytes: Self, text: StaticString) -> Bool {
    guard bytes.count == text.utf8CodeUnitCount else { return false }
    for position in 0..<bytes.count where bytes[position] != text.utf8Start[position] { return false }
    return true
  }

  /// The number that these decimal digits denote, or nil if they are anything else or do not fit 64 bits.
  var decimal: UInt64? {
    guard !isEmpty else { return nil }
    var value: UInt64 = 0
    for byte in self {
      let digit = byte &- UInt8(ascii: "0")
      guard digit < 10 else { return nil }
      let (product, overflowed) = value.multipliedReportingOverflow(by: 10)
      let (sum, carried) = product.addingReportingOverflow(UInt64(digit))
      guard !overflowed && !carried else { return nil }
      value = sum
    }
    return value
  }
}
