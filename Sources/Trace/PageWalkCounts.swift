/// The page walks of a guest: how often the processor's TLB missed, and the memory references that the walks made.
public struct PageWalkCounts: Equatable, Sendable {
  /// No walk makes more: four entries of the guest's tables, a walk of EPT's four levels for each of them, and one for
  /// the address that they give (SDM volume 3, "EPT Translation Mechanism").
  public static let mostReferences = 24

  /// The walks.
  public private(set) var walks: UInt64 = 0
  /// References to entries of the guest's own paging structures.
  public private(set) var guestReferences: UInt64 = 0
  /// References to entries of EPT paging structures.
  public private(set) var eptReferences: UInt64 = 0
  private var table: InlineArray<25, UInt64> = InlineArray(repeating: 0)

  public init() {}

  /// The references of both dimensions.
  @inlinable
  public var references: UInt64 { guestReferences &+ eptReferences }

  /// The walks by their number of references, from 0 to ``mostReferences``; longer ones count as of that many.
  public var byReferences: [UInt64] { table.indices.map { table[$0] } }

  /// Counts one walk.
  public mutating func add(guest: UInt64, ept: UInt64) {
    walks &+= 1
    guestReferences &+= guest
    eptReferences &+= ept
    table[Int(min(guest &+ ept, UInt64(Self.mostReferences)))] &+= 1
  }

  /// Counts the walks of `other` too.
  public mutating func add(_ other: PageWalkCounts) {
    walks &+= other.walks
    guestReferences &+= other.guestReferences
    eptReferences &+= other.eptReferences
    for index in table.indices { table[index] &+= other.table[index] }
  }

  public static func == (left: Self, right: Self) -> Bool { left.words == right.words }

  // MARK: In a trace

  /// What ``words`` has.
  static let wordCount = 3 + mostReferences + 1

  /// Walks, references of the guest's dimension and of EPT's, then ``byReferences``.
  var words: [UInt64] { [walks, guestReferences, eptReferences] + byReferences }

  /// Those of ``words``; nil if there are too few.
  init?(words: some Collection<UInt64>) {
    let words = Array(words)
    guard words.count >= Self.wordCount else { return nil }
    (walks, guestReferences, eptReferences) = (words[0], words[1], words[2])
    for index in table.indices { table[index] = words[3 + index] }
  }
}

/// The page walks of L1 and of L2.
public struct PageWalks: Equatable, Sendable {
  public var l1: PageWalkCounts
  public var l2: PageWalkCounts

  public init(l1: PageWalkCounts = PageWalkCounts(), l2: PageWalkCounts = PageWalkCounts()) {
    self.l1 = l1
    self.l2 = l2
  }

  public subscript(level: ExitLevel) -> PageWalkCounts { level == .l2 ? l2 : l1 }

  /// Counts the walks of `other` too.
  public mutating func add(_ other: PageWalks) {
    l1.add(other.l1)
    l2.add(other.l2)
  }
}
