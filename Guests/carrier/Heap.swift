import CCarrier

/// The memory behind Swift's own allocations: blocks of powers of two, each kind with a list of those given back.
///
/// The word before a block says which kind it is.
enum Heap {
  private typealias Words = UnsafeMutablePointer<UInt64>

  private static var kindCount: Int { 64 }
  /// The first block of each kind's list, or 0; in the first page of the heap.
  private static var lists: Words { Words(physical: address_of_heap()) }
  /// Where what was never handed out begins, as an offset into the heap behind that page; 0 at first.
  private static var fresh: Words { lists + kindCount }

  /// The address of `size` bytes at a multiple of `alignment`, a power of two, or nil if none are left.
  static func allocate(_ size: UInt64, alignment: UInt64) -> UInt64? {
    guard size <= address_of_heap_end() &- address_of_heap() else { return nil }
    let kind = 64 &- (max(size, alignment, 16) &- 1).leadingZeroBitCount
    let block = lists[kind]
    if block != 0, block & (alignment &- 1) == 0 {
      lists[kind] = Words(physical: block)[0]
      return block
    }
    let length: UInt64 = 1 << UInt64(kind)
    let base = address_of_heap() &+ 4096
    // Behind the word that says the kind, at the next multiple.
    let step = max(alignment, 16)
    let aligned = (base &+ fresh[0] &+ 8 &+ step &- 1) & ~(step &- 1)
    guard aligned &+ length <= address_of_heap_end() else { return nil }
    fresh[0] = aligned &+ length &- base
    Words(physical: aligned &- 8)[0] = UInt64(kind)
    return aligned
  }

  static func free(_ block: UInt64) {
    let kind = Int(truncatingIfNeeded: Words(physical: block &- 8)[0])
    Words(physical: block)[0] = lists[kind]
    lists[kind] = block
  }
}

/// What Embedded Swift asks for memory: `posix_memalign` in Heap.S leads here.
///
/// Source: POSIX, "posix_memalign".
@c(heap_allocate)
func heapAllocate(
  _ block: UnsafeMutablePointer<UnsafeMutableRawPointer?>, _ alignment: UInt, _ size: UInt
) -> CInt {
  let outOfMemory: CInt = 12
  guard let address = Heap.allocate(UInt64(size), alignment: UInt64(alignment)) else { return outOfMemory }
  block.pointee = UnsafeMutableRawPointer(bitPattern: UInt(address))
  return 0
}

/// `free` in Heap.S leads here.
@c(heap_free)
func heapFree(_ block: UnsafeMutableRawPointer?) {
  guard let block else { return }
  Heap.free(UInt64(UInt(bitPattern: block)))
}
