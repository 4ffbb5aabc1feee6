import CostModel
import Trace

/// What a trace's virtual time is made of, by the items of a cost table: how much each price moves the result.
public struct WorkByItem: Sendable {
  private var counts: [CostItem: UInt64] = [:]
  private let areMemoryAccesses: Bool

  /// `areMemoryAccesses`: whether L1's accesses of its VMCS that do not exit are memory accesses.
  public init(areMemoryAccesses: Bool) { self.areMemoryAccesses = areMemoryAccesses }

  public mutating func add(_ event: ExitEvent) {
    let work = event.work
    add(.vmExit, 1)
    add(.vmEntry, 1)
    add(.handlerBase, 1)
    add(.vmread, UInt64(work.vmcsReads))
    add(.vmwrite, UInt64(work.vmcsWrites))
    add(.memoryAccess, UInt64(work.memoryAccesses))
    add(.vmptrld, UInt64(work.vmptrlds))
    add(.invept, UInt64(work.invepts))
    add(.invvpid, UInt64(work.invvpids))
    add(areMemoryAccesses ? .memoryAccess : .vmread, UInt64(work.guestReads))
    add(areMemoryAccesses ? .memoryAccess : .vmwrite, UInt64(work.guestWrites))
  }

  private mutating func add(_ item: CostItem, _ count: UInt64) { counts[item, default: 0] &+= count }

  /// How often the item was paid for. One more cycle of its price is so many cycles more of virtual time.
  public subscript(item: CostItem) -> UInt64 { counts[item, default: 0] }
}
