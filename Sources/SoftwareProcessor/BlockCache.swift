/// The decoded blocks.
struct BlockCache {
}

extension Core {
  /// Forgets where jumps led: called when a translation that they relied on is dropped.
  func forgetJumps() {}

  /// Drops the blocks decoded from `count` bytes at L0-physical `address`, which were written.
  func noteStore(_ address: UInt64, count: Int) {}

  /// Drops the blocks decoded from L0-physical page number `page`, which something else has written.
  func forgetCode(page: UInt64) {}
}
