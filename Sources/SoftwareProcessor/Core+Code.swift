import GuestMemory
import X86

// The coherence of decoded code: with stores, with translations, and with the code segment.
extension Core {
  @inline(always)
  var blocks: UnsafeMutablePointer<BlockCache> { cpu.pointee.machine.blocks }

  /// Forgets where jumps led: called when a translation that they relied on is dropped.
  func forgetJumps() {
    blocks.pointee.generation &+= 1
    stampJumps()
  }

  /// Recomputes what the jump cache's entries must carry, after a change of mode or context.
  func stampJumps() {
    if !is64BitMode {
      let (base, limit) = (cpu.pointee.cs.base, cpu.pointee.cs.limit)
      if base != blocks.pointee.codeBase || limit != blocks.pointee.codeLimit {
        blocks.pointee.codeBase = base
        blocks.pointee.codeLimit = limit
        blocks.pointee.generation &+= 1
      }
    }
    cpu.pointee.jumpStamp =
      cpu.pointee.contexts.fetch | UInt64(cpu.pointee.mode.rawValue) << 16 | blocks.pointee.generation << 24
  }

  /// Marks a page as holding decoded code: stores to it take the slow path from now on.
  func markCode(page: Int) {
    guard cpu.pointee.machine.codePages[page] == 0 else { return }
    cpu.pointee.machine.codePages[page] = 1
    blocks.pointee.noteFresh(page: page)
    let host = Int(bitPattern: cpu.pointee.machine.ram) &+ page << 12
    let writes = translations.pointee.writes
    for index in 0..<TranslationCache.count where writes[index].tag != 0 {
      let linearPage = Int(truncatingIfNeeded: writes[index].tag & ~0xFFF)
      if linearPage &+ writes[index].addend == host { writes[index].tag |= TranslationCache.holdsCode }
    }
  }

  /// Ends the mark of a page whose last block is gone, unless somebody else watches it.
  private func unmarkCode(page: Int) {
    if !cpu.pointee.machine.copies.watches(page) { cpu.pointee.machine.codePages[page] = 0 }
  }

  /// Drops the blocks decoded from `count` bytes at L0-physical `address`, which were written.
  func noteStore(_ address: UInt64, count: Int) {
    let last = address &+ UInt64(truncatingIfNeeded: count) &- 1
    noteStore(page: address >> 12, from: address & 0xFFF, through: min(last, address | 0xFFF) & 0xFFF)
    if last >> 12 != address >> 12 { noteStore(page: last >> 12, from: 0, through: last & 0xFFF) }
  }

  private func noteStore(page: UInt64, from first: UInt64, through last: UInt64) {
    let page = Int(truncatingIfNeeded: page)
    guard page < blocks.pointee.pageCount, cpu.pointee.machine.codePages[page] != 0 else { return }
    if cpu.pointee.machine.copies[page] == PageCopies.current { cpu.pointee.machine.copies.noteWrite(page) }
    let written = BlockCache.lines(from: first, count: last &- first &+ 1)
    guard blocks.pointee.codeLines[page] & written != 0 else { return }
    if !blocks.pointee.drop(page: page, from: first, through: last) {
      unmarkCode(page: page)
    }
    forgetJumps()
  }

  /// Drops the blocks decoded from L0-physical page number `page`, which something else has written.
  func forgetCode(page: UInt64) {
    noteStore(page: page, from: 0, through: 0xFFF)
  }

  /// Empties the block cache.
  func forgetAllCode() {
    let cache = blocks
    for bucket in 0..<BlockCache.bucketCount {
      var candidate = cache.pointee.buckets[bucket]
      while let block = candidate {
        let page = Int(truncatingIfNeeded: block.pointee.physical >> 12)
        cache.pointee.pageBlocks[page] = nil
        cache.pointee.codeLines[page] = 0
        unmarkCode(page: page)
        candidate = block.pointee.nextInBucket
      }
      cache.pointee.buckets[bucket] = nil
    }
    cache.pointee.used = 0
    cache.pointee.epoch &+= 1
    forgetJumps()
  }
}
