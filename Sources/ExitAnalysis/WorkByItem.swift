import CostModel
import Trace

/// What virtual time is made of, by the items of a cost table: how often each was paid for.
public struct WorkByItem: Equatable, Sendable {
  /// The exits.
  public private(set) var exits: UInt64 = 0
  private var vmcsReads: UInt64 = 0
  private var vmcsWrites: UInt64 = 0
  private var memoryAccesses: UInt64 = 0
  private var vmptrlds: UInt64 = 0
  private var invepts: UInt64 = 0
  private var invvpids: UInt64 = 0
  private var walkReferences: UInt64 = 0
  private let areMemoryAccesses: Bool

  /// `areMemoryAccesses`: whether L1's accesses of its VMCS that do not exit are memory accesses.
  public init(areMemoryAccesses: Bool) { self.areMemoryAccesses = areMemoryAccesses }

  public mutating func add(_ event: ExitEvent) {
    let work = event.work
    exits &+= 1
    vmcsReads &+= UInt64(work.vmcsReads) &+ (areMemoryAccesses ? 0 : UInt64(work.guestReads))
    vmcsWrites &+= UInt64(work.vmcsWrites) &+ (areMemoryAccesses ? 0 : UInt64(work.guestWrites))
    memoryAccesses &+= UInt64(work.memoryAccesses)
    if areMemoryAccesses { memoryAccesses &+= UInt64(work.guestReads) &+ UInt64(work.guestWrites) }
    vmptrlds &+= UInt64(work.vmptrlds)
    invepts &+= UInt64(work.invepts)
    invvpids &+= UInt64(work.invvpids)
    walkReferences &+= UInt64(work.walkReferences)
  }

  public mutating func add(_ other: WorkByItem) {
    exits &+= other.exits
    vmcsReads &+= other.vmcsReads
    vmcsWrites &+= other.vmcsWrites
    memoryAccesses &+= other.memoryAccesses
    vmptrlds &+= other.vmptrlds
    invepts &+= other.invepts
    invvpids &+= other.invvpids
    walkReferences &+= other.walkReferences
  }

  public mutating func subtract(_ other: WorkByItem) {
    exits &-= other.exits
    vmcsReads &-= other.vmcsReads
    vmcsWrites &-= other.vmcsWrites
    memoryAccesses &-= other.memoryAccesses
    vmptrlds &-= other.vmptrlds
    invepts &-= other.invepts
    invvpids &-= other.invvpids
    walkReferences &-= other.walkReferences
  }

  /// How often the item was paid for. One more cycle of its price is so many cycles more of virtual time.
  public subscript(item: CostItem) -> UInt64 {
    switch item {
    case .vmExit, .vmEntry, .handlerBase: exits
    case .vmread: vmcsReads
    case .vmwrite: vmcsWrites
    case .memoryAccess: memoryAccesses
    case .vmptrld: vmptrlds
    case .invept: invepts
    case .invvpid: invvpids
    case .pageWalkReference: walkReferences
    }
  }

  /// What all of it costs by `prices`.
  public func cycles(_ prices: CostPrices) -> UInt64 {
    CostItem.allCases.reduce(0) { $0 &+ self[$1] &* prices.cycles($1) }
  }
}
