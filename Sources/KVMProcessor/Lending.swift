/// Which plain instructions of a guest are lent to KVM.
public enum Lending: String, CaseIterable, Sendable {
  /// Those that KVM is expected to execute in less time than the software processor would take, the entry into KVM and what
  /// it has to be prepared for included. It is found out by trying.
  case gain
  /// All that can be.
  case all
}

/// When KVM is tried, and for how many instructions the software processor goes on in between.
///
/// What the guest is about to do is not known: a run of KVM ends at the next sensitive instruction or at the page's end,
/// which can be 3 or a billion instructions away. So a run that was no gain is followed by instructions on the software
/// processor, twice as many each time, up to so many that all such runs together take a small part of the time; behind a run
/// that was one, KVM goes on at once.
package struct LendingPolicy {
  package let lending: Lending
  /// How many instructions the software processor is still to execute before KVM is tried again.
  package private(set) var turn: UInt64 = 0
  /// How many it had behind the last run that was no gain.
  private var burst: UInt64 = 0
  /// What an instruction takes the software processor, in nanoseconds, measured all the time.
  package private(set) var softwareTime: Double = 3
  /// What a run that was no gain takes, in nanoseconds, of late.
  private var lossTime: Double = 0

  /// Whether it is KVM's turn.
  package var isDue: Bool { turn == 0 }

  /// The first burst behind a run that was no gain.
  package static let leastBurst: UInt64 = 32
  /// How long the guest is not looked at in a mode that KVM cannot be lent.
  package static let unsuitableBurst: UInt64 = 1 << 12
  /// How many times the time of runs that are no gain the software processor is to have between them.
  package static let lossShare: Double = 16
  /// What an instruction of a loop takes KVM, in nanoseconds.
  private let pace: Double

  /// More than that the guest is not left without a try: where KVM can gain at all, some hundred microseconds.
  package var greatestBurst: UInt64 { pace < softwareTime ? 1 << 18 : 1 << 24 }

  package init(_ lending: Lending, pace: Double) {
    self.lending = lending
    self.pace = pace
  }

  /// Takes note that KVM has executed about `instructions` in `time` nanoseconds; returns whether that was a gain.
  @discardableResult
  package mutating func noteRun(instructions: UInt64, time: Double) -> Bool {
    guard lending == .gain else { return true }
    if Double(instructions) * softwareTime >= time {
      (turn, burst) = (0, burst / 4)
      return true
    }
    // Now and then a run takes long for reasons that are not the guest's.
    lossTime += (time - lossTime) * (lossTime == 0 ? 1 : time < lossTime ? 0.5 : 0.05)
    let most = min(Self.lossShare * lossTime / softwareTime, Double(greatestBurst))
    burst = max(min(burst * 2, UInt64(most)), Self.leastBurst)
    turn = burst
    return false
  }

  /// How many instructions the software processor is to execute before it is looked where the guest is.
  package var stretch: UInt64 { max(1, min(turn, Self.greatestStretch)) }

  /// Gives KVM its turn, for the guest is where it has gained before.
  package mutating func endTurn() { turn = 0 }

  /// Takes note that KVM could not be lent the next instruction, or, by `isLasting`, those of the guest's mode.
  package mutating func noteRefusal(isLasting: Bool) {
    switch lending {
    case .gain: turn = isLasting ? Self.unsuitableBurst : Self.leastBurst
    case .all: turn = isLasting ? Self.leastBurst : 1
    }
  }

  /// Takes note that the software processor has executed `instructions`.
  package mutating func noteTurn(instructions: UInt64) { turn -= min(turn, instructions) }

  /// Takes note of what they took, in nanoseconds. Where the software processor meets code for the first time that is not
  /// its pace, so few instructions say nothing, and a slower pace counts for little.
  package mutating func noteStretch(instructions: UInt64, time: Double) {
    measured.instructions += instructions
    measured.time += time
    guard measured.instructions >= Self.measuredCount else { return }
    let pace = measured.time / Double(measured.instructions)
    softwareTime += (pace - softwareTime) * (pace < softwareTime ? 0.5 : 0.03)
    measured = (0, 0)
  }

  /// What is not yet part of ``softwareTime``.
  private var measured: (instructions: UInt64, time: Double) = (0, 0)
  /// So many instructions are one measurement.
  package static let measuredCount: UInt64 = 1 << 14
  /// Long against what looking costs.
  package static let greatestStretch: UInt64 = 1 << 11
  /// Shorter ones are not measured.
  package static let leastStretch: UInt64 = 1 << 9
}
