/// Decisions by a generator with a fixed seed (SplitMix64), or by the bytes of a fuzzer's input, of which there may be
/// too few: then all that is left to decide is 0.
package struct Choices {
  private var state: UInt64 = 0
  private let bytes: UnsafeRawBufferPointer?
  private var position = 0

  package init(seed: UInt64) {
    state = seed
    bytes = nil
  }

  /// The bytes must outlive the choices.
  package init(bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  /// Whether there is something left to decide by.
  package var isExhausted: Bool { bytes.map { position >= $0.count } ?? false }

  private mutating func nextByte() -> UInt8 {
    guard let bytes, position < bytes.count else { return 0 }
    position += 1
    return bytes[position - 1]
  }

  /// 64 bits.
  package mutating func word() -> UInt64 {
    guard bytes == nil else { return (0..<8).reduce(0) { word, _ in word << 8 | UInt64(nextByte()) } }
    state &+= 0x9E37_79B9_7F4A_7C15
    var value = state
    value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
    value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
    return value ^ value >> 31
  }

  /// A number from 0 up to `bound` - 1; `bound` is at most 65536.
  package mutating func below(_ bound: Int) -> Int {
    guard bytes == nil else {
      let number = bound > 256 ? Int(nextByte()) << 8 | Int(nextByte()) : Int(nextByte())
      return number % bound
    }
    return Int(word() % UInt64(bound))
  }

  /// Whether something happens that happens once in `rarity` times.
  package mutating func oneIn(_ rarity: Int) -> Bool { below(rarity) == rarity - 1 }

  package mutating func element<Element>(of list: [Element]) -> Element { list[below(list.count)] }

  /// A value that is more often interesting than random.
  package mutating func value() -> UInt64 {
    switch below(8) {
    case 0: 0
    case 1: .max
    case 2: word() & 0x3F_F000
    case 3: UInt64(1) << UInt64(below(64))
    case 4: word() & 0xFFFF
    case 5: 0x20_0000 + word() & 0x6_FFFF
    case 6: word() & 0xFFFF_FFFF
    default: word()
    }
  }
}
