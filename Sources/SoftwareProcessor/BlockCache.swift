import InstructionDecoder

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Where a jump to an instruction pointer led.
struct JumpEntry {
  var rip: UInt64
  var stamp: UInt64
  var block: UnsafeMutablePointer<Block>?
}

/// The decoded blocks: found by physical address, instruction pointer and mode; by page, to drop them when their bytes
/// are written; and by instruction pointer alone in a jump cache, good for one translation context.
struct BlockCache {
  var buckets: UnsafeMutablePointer<UnsafeMutablePointer<Block>?>
  var jumps: UnsafeMutablePointer<JumpEntry>
  /// For each page of RAM, the blocks decoded from it.
  var pageBlocks: UnsafeMutablePointer<UnsafeMutablePointer<Block>?>
  /// For each page of RAM, which of its 64 lines of 64 bytes hold decoded code.
  var codeLines: UnsafeMutablePointer<UInt64>
  var pageCount: Int
  /// Where blocks and the instructions that their records carry are allocated, from the start; emptied as a whole.
  var arena: UnsafeMutableRawPointer
  var used = 0
  /// Grows with every emptying of the arena: a block found before is gone after.
  var epoch: UInt64 = 0
  /// Grows with everything that outdates the jump cache.
  var generation: UInt64 = 1
  /// The code segment that the jump cache was filled under, outside 64-bit mode.
  var codeBase: UInt64 = 0
  var codeLimit: UInt32 = 0
  /// The pages that have been marked as code since somebody asked, if somebody asks; more than there is room for are all.
  var freshPages: UnsafeMutablePointer<UInt32>?
  var freshCount = 0

  /// How many blocks of a page outlive a store to others of them.
  static let keptBlocks = 256
  static let bucketCount = 1 << 15
  static let jumpCount = 1 << 12
  static let arenaSize = 32 << 20
  /// The most that one block takes, with the instructions that it carries.
  static let largestBlock =
    MemoryLayout<Block>.stride + (Block.capacity + 2)
    * (MemoryLayout<Record>.stride + MemoryLayout<Instruction>.stride)

  /// An empty cache for `ramSize` bytes of RAM. The tables are of zero pages, which the host backs as they are touched.
  static func allocate(ramSize: UInt64) -> BlockCache? {
    let pages = Int(truncatingIfNeeded: ramSize >> 12)
    func table<T>(of type: T.Type, _ count: Int) -> UnsafeMutablePointer<T>? {
      calloc(count, MemoryLayout<T>.stride)?.bindMemory(to: T.self, capacity: count)
    }
    guard let buckets = table(of: UnsafeMutablePointer<Block>?.self, bucketCount),
      let jumps = table(of: JumpEntry.self, jumpCount),
      let pageBlocks = table(of: UnsafeMutablePointer<Block>?.self, pages),
      let codeLines = table(of: UInt64.self, pages),
      let arena = calloc(1, arenaSize)
    else { return nil }
    return BlockCache(
      buckets: buckets, jumps: jumps, pageBlocks: pageBlocks, codeLines: codeLines, pageCount: pages,
      arena: arena)
  }

  func deallocate() {
    free(buckets)
    free(jumps)
    free(pageBlocks)
    free(codeLines)
    free(arena)
    free(freshPages)
  }

  /// Keeps a list of the pages that are marked as code from now on.
  mutating func listFreshPages() {
    guard freshPages == nil else { return }
    freshPages = calloc(pageCount, MemoryLayout<UInt32>.stride)?.bindMemory(
      to: UInt32.self, capacity: pageCount)
  }

  mutating func noteFresh(page: Int) {
    guard let freshPages, freshCount <= pageCount else { return }
    if freshCount < pageCount { freshPages[freshCount] = UInt32(truncatingIfNeeded: page) }
    freshCount &+= 1
  }

  @inline(always)
  static func jumpIndex(_ rip: UInt64) -> Int {
    Int(truncatingIfNeeded: (rip ^ rip &>> 12) & UInt64(truncatingIfNeeded: jumpCount &- 1))
  }

  /// The instruction pointer counts too: one page can be mapped at many.
  static func bucketIndex(physical: UInt64, rip: UInt64) -> Int {
    let hash = physical ^ (rip &>> 12) &* 0x9E37_79B9
    return Int(truncatingIfNeeded: (hash ^ hash &>> 15) & UInt64(truncatingIfNeeded: bucketCount &- 1))
  }

  func find(physical: UInt64, rip: UInt64, mode: ExecutionMode) -> UnsafeMutablePointer<Block>? {
    var candidate = buckets[Self.bucketIndex(physical: physical, rip: rip)]
    while let block = candidate {
      if block.pointee.physical == physical, block.pointee.rip == rip, block.pointee.mode == mode {
        return block
      }
      candidate = block.pointee.nextInBucket
    }
    return nil
  }

  /// Makes `block` findable.
  func insert(_ block: UnsafeMutablePointer<Block>) {
    let bucket = Self.bucketIndex(physical: block.pointee.physical, rip: block.pointee.rip)
    block.pointee.nextInBucket = buckets[bucket]
    buckets[bucket] = block
    let page = Int(truncatingIfNeeded: block.pointee.physical >> 12)
    block.pointee.nextOnPage = pageBlocks[page]
    pageBlocks[page] = block
    codeLines[page] |= block.lines
    block.pointee.isLive = true
  }

  /// Drops `block`: nothing finds it any more, and if it is running, it ends before its next record.
  func drop(_ block: UnsafeMutablePointer<Block>) {
    block.pointee.isLive = false
    for index in 0..<Int(block.pointee.recordCount) { block.records[index].operation = .stale }
    let bucket = Self.bucketIndex(physical: block.pointee.physical, rip: block.pointee.rip)
    if buckets[bucket] == block {
      buckets[bucket] = block.pointee.nextInBucket
      return
    }
    var previous = buckets[bucket]
    while let candidate = previous, candidate.pointee.nextInBucket != block {
      previous = candidate.pointee.nextInBucket
    }
    previous?.pointee.nextInBucket = block.pointee.nextInBucket
  }

  /// Drops the blocks of `page` that overlap the bytes from `first` to `last`, offsets in the page. Returns whether
  /// any of the page's blocks are left.
  ///
  /// Of a page with very many blocks all are dropped, so that no store costs more than decoding them did.
  func drop(page: Int, from first: UInt64, through last: UInt64) -> Bool {
    var kept: UnsafeMutablePointer<Block>?
    var keptCount = 0
    var lines: UInt64 = 0
    var candidate = pageBlocks[page]
    while let block = candidate {
      candidate = block.pointee.nextOnPage
      let start = block.pointee.physical & 0xFFF
      let overlaps = start <= last && first < start &+ UInt64(block.pointee.length)
      if overlaps || keptCount >= Self.keptBlocks {
        drop(block)
      } else {
        keptCount += 1
        block.forgetTargets()
        block.pointee.nextOnPage = kept
        kept = block
        lines |= block.lines
      }
    }
    pageBlocks[page] = kept
    codeLines[page] = lines
    return kept != nil
  }
}

extension UnsafeMutablePointer where Pointee == Block {
  /// The lines of the page that the block's bytes are in.
  var lines: UInt64 {
    BlockCache.lines(from: pointee.physical & 0xFFF, count: UInt64(pointee.length))
  }

  /// Forgets the blocks that its jumps lead to.
  func forgetTargets() {
    for index in 0..<Int(pointee.recordCount) where records[index].operation.hasTarget {
      records[index].displacement = 0
    }
  }
}

extension BlockCache {
  /// The lines of 64 bytes that `count` bytes at `offset` in a page touch.
  static func lines(from offset: UInt64, count: UInt64) -> UInt64 {
    let first = offset &>> 6
    let last = min((offset &+ max(count, 1) &- 1) &>> 6, 63)
    return (~0 &<< first) & (~0 &>> (63 &- last))
  }
}
