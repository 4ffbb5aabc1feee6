import CInstructions

/// The workload `none`: rounds of computing whose result is known beforehand.
///
/// Each round finds the primes below 2048 with the sieve of Eratosthenes, and sorts 64 pseudo-random words by
/// insertion: loads, stores, arithmetic and branches, those of the sort hard to predict. About 43,000 instructions.
struct Computation {
  private static var limit: Int { 2048 }
  private static var wordCount: Int { 64 }

  /// What every round gives: there are 309 primes below 2048, and 63 neighbours among 64 words.
  static var resultOfRound: UInt64 { 309 + 63 }

  /// For each number the last round that found it composite.
  private let marks: UnsafeMutablePointer<UInt32>
  private let words: UnsafeMutablePointer<UInt64>

  /// `scratch`: the address of 3 pages.
  init(scratch: UInt64) {
    marks = UnsafeMutablePointer(physical: scratch)
    words = UnsafeMutablePointer(physical: scratch &+ 2 * 4096)
  }

  func round(_ number: UInt64) -> UInt64 {
    // No round has the number 0, which fresh memory holds.
    primes(mark: UInt32(truncatingIfNeeded: number) | 0x8000_0000) &+ sortedNeighbours(seed: number &+ 1)
  }

  /// Counts the primes below the limit. A number is composite if it has this round's mark, so nothing has to be
  /// cleared between two rounds.
  private func primes(mark: UInt32) -> UInt64 {
    var count: UInt64 = 0
    var candidate = 2
    while candidate < Self.limit {
      if marks[candidate] != mark {
        count &+= 1
        var multiple = candidate &* candidate
        while multiple < Self.limit {
          marks[multiple] = mark
          multiple &+= candidate
        }
      }
      candidate &+= 1
    }
    return count
  }

  /// Fills the words, sorts them, and counts the neighbours that are in order.
  private func sortedNeighbours(seed: UInt64) -> UInt64 {
    var state = seed &* 0x9E37_79B9_7F4A_7C15
    for index in 0..<Self.wordCount {
      state ^= state << 13
      state ^= state >> 7
      state ^= state << 17
      insert(state, among: index)
    }
    var neighbours: UInt64 = 0
    for index in 1..<Self.wordCount where words[index &- 1] <= words[index] { neighbours &+= 1 }
    return neighbours
  }

  /// Puts `word` in its place among the first `count` words, which are in order.
  private func insert(_ word: UInt64, among count: Int) {
    var place = count
    while place > 0 && words[place &- 1] > word {
      words[place] = words[place &- 1]
      place &-= 1
    }
    words[place] = word
  }
}
