/// Pairs of fields, one of each of two VMCSs, gathered into runs of words that lie side by side in both: the form in
/// which a table of fields is copied at once.
///
/// The words are taken whole, so that the fields of a pair have to be of one width.
public struct FieldRuns: @unchecked Sendable {
  struct Run {
    var source: Int
    var target: Int
    var count: Int
  }

  private let runs: UnsafeMutablePointer<Run>
  private let runCount: Int
  /// The number of pairs.
  public let fieldCount: UInt64

  /// The pairs that `pair` gives for the numbers below `limit`; it gives nil for none. They stay until
  /// ``deallocate()``.
  public init(upTo limit: Int, _ pair: (Int) -> (source: VMCSField, target: VMCSField)?) {
    let runs = UnsafeMutablePointer<Run>.allocate(capacity: max(limit, 1))
    var runCount = 0
    var fieldCount: UInt64 = 0
    for number in 0..<limit {
      guard let (source, target) = pair(number) else { continue }
      fieldCount &+= 1
      if runCount > 0, runs[runCount &- 1].isContinued(by: source.slot, target.slot) {
        runs[runCount &- 1].count &+= 1
      } else {
        (runs + runCount).initialize(to: Run(source: source.slot, target: target.slot, count: 1))
        runCount &+= 1
      }
    }
    self.runs = runs
    self.runCount = runCount
    self.fieldCount = fieldCount
  }

  /// Frees the pairs of a value that is not a static constant.
  public func deallocate() { runs.deallocate() }

  /// Copies each field of `source` to its partner in `target`.
  public func copy(from source: VMCS, to target: VMCS) {
    for number in 0..<runCount {
      let run = runs[number]
      let from = source.words + run.source
      let to = target.words + run.target
      for word in 0..<run.count { to[word] = from[word] }
    }
  }
}

extension FieldRuns.Run {
  /// Whether the pair of slots lies behind the run's last.
  fileprivate func isContinued(by sourceSlot: Int, _ targetSlot: Int) -> Bool {
    sourceSlot == source &+ count && targetSlot == target &+ count
  }
}
