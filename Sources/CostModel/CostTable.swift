import Trace

/// Why a set of figures is not a cost table.
public enum CostTableError: Error, Equatable, CustomStringConvertible {
  case missing(CostItem)
  case duplicate(CostItem)
  case tooLarge(CostItem, UInt64)

  public var description: String {
    switch self {
    case .missing(let item):
      "the cost table has no figure for \(item.rawValue): every item needs exactly one"
    case .duplicate(let item):
      "the cost table has more than one figure for \(item.rawValue): every item needs exactly one"
    case .tooLarge(let item, let cycles):
      "the cost of \(item.rawValue), \(cycles) cycles, is above the limit of \(CostTable.cyclesLimit)"
    }
  }
}

/// What the events of nested virtualization cost on a named microarchitecture, each figure with its source.
public struct CostTable: Equatable, Sendable {
  /// The largest price of one item, so that sums of prices cannot overflow.
  public static let cyclesLimit: UInt64 = 1 << 32

  /// The name that a user selects it by.
  public let name: String
  /// What the figures describe, in one sentence.
  public let summary: String
  /// The cycles per second of the virtual TSC.
  public let frequency: UInt64
  /// One figure for each item, in the order of ``CostItem``.
  public let figures: [CostFigure]
  /// The same figures as the run loop uses them.
  public let prices: CostPrices

  public init(
    name: String, summary: String, frequency: UInt64, figures: [CostFigure]
  ) throws(CostTableError) {
    var ordered: [CostFigure] = []
    for item in CostItem.allCases {
      let rows = figures.filter { $0.item == item }
      guard let row = rows.first else { throw .missing(item) }
      guard rows.count == 1 else { throw .duplicate(item) }
      guard row.cycles <= Self.cyclesLimit else { throw .tooLarge(item, row.cycles) }
      ordered.append(row)
    }
    self.init(checkedName: name, summary: summary, frequency: frequency, figures: ordered)
  }

  init(checkedName name: String, summary: String, frequency: UInt64, figures: [CostFigure]) {
    self.name = name
    self.summary = summary
    self.frequency = frequency
    self.figures = figures
    self.prices = CostPrices(figures)
  }

  /// The price of `item` in cycles.
  public func cycles(_ item: CostItem) -> UInt64 { figures.first { $0.item == item }?.cycles ?? 0 }
}

/// The prices of a cost table as a trivial value, in virtual cycles.
public struct CostPrices: Equatable, Sendable {
  public let vmExit: UInt64
  public let vmEntry: UInt64
  public let vmread: UInt64
  public let vmwrite: UInt64
  public let vmptrld: UInt64
  public let invept: UInt64
  public let invvpid: UInt64
  public let pageWalkReference: UInt64
  public let memoryAccess: UInt64
  public let handlerBase: UInt64

  /// All prices zero: virtual time is then retired instructions alone.
  public static let free = CostPrices([])

  init(_ figures: [CostFigure]) {
    func cycles(_ item: CostItem) -> UInt64 { figures.first { $0.item == item }?.cycles ?? 0 }
    vmExit = cycles(.vmExit)
    vmEntry = cycles(.vmEntry)
    vmread = cycles(.vmread)
    vmwrite = cycles(.vmwrite)
    vmptrld = cycles(.vmptrld)
    invept = cycles(.invept)
    invvpid = cycles(.invvpid)
    pageWalkReference = cycles(.pageWalkReference)
    memoryAccess = cycles(.memoryAccess)
    handlerBase = cycles(.handlerBase)
  }

  /// The price of one exit: the exit itself, what L0 did for it, and the entry that follows.
  @inlinable
  public func exit(_ work: ExitWork) -> UInt64 {
    vmExit &+ handlerBase &+ handler(work) &+ vmEntry
  }

  /// What a guest spent before an exit beside the retirement of its instructions: on the VMREADs and VMWRITEs that it
  /// completed, as instructions, or as memory accesses if its access model says so; and on page walks.
  @inlinable
  public func guestWork(_ work: ExitWork, areMemoryAccesses: Bool) -> UInt64 {
    UInt64(work.guestReads) &* (areMemoryAccesses ? memoryAccess : vmread)
      &+ UInt64(work.guestWrites) &* (areMemoryAccesses ? memoryAccess : vmwrite)
      &+ UInt64(work.walkReferences) &* pageWalkReference
  }

  /// The price of what an L0 handler did, beside its base price.
  @inlinable
  public func handler(_ work: ExitWork) -> UInt64 {
    UInt64(work.vmcsReads) &* vmread &+ UInt64(work.vmcsWrites) &* vmwrite
      &+ UInt64(work.memoryAccesses) &* memoryAccess &+ UInt64(work.vmptrlds) &* vmptrld
      &+ UInt64(work.invepts) &* invept &+ UInt64(work.invvpids) &* invvpid
  }
}
