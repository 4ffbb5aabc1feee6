/// A set of interrupt vectors: one of the local APIC's 256-bit registers.
struct VectorSet: Equatable, Sendable {
  private var words = InlineArray<8, UInt32>(repeating: 0)

  static func == (first: Self, second: Self) -> Bool {
    (0..<8).allSatisfy { first.words[$0] == second.words[$0] }
  }

  /// The 32 vectors from 32 × `index`, as a register holds them.
  func word(_ index: UInt8) -> UInt32 { words[Int(index & 7)] }

  func contains(_ vector: UInt8) -> Bool {
    words[Int(vector >> 5)] & 1 << UInt32(vector & 31) != 0
  }

  mutating func insert(_ vector: UInt8) { words[Int(vector >> 5)] |= 1 << UInt32(vector & 31) }

  mutating func remove(_ vector: UInt8) { words[Int(vector >> 5)] &= ~(1 << UInt32(vector & 31)) }

  /// The vector of highest priority.
  var highest: UInt8? {
    for index in stride(from: 7, through: 0, by: -1) where words[index] != 0 {
      return UInt8(index &* 32 &+ 31 &- words[index].leadingZeroBitCount)
    }
    return nil
  }
}
