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
  /// More than that the guest is not left without a try, some milliseconds.
  package static let greatestBurst: UInt64 = 1 << 24

  package init(_ lending: Lending) { self.lending = lending }

  /// Takes note that KVM has executed about `instructions` in `time` nanoseconds.
  package mutating func noteRun(instructions: UInt64, time: Double) {
    guard lending == .gain else { return }
    if Double(instructions) * softwareTime >= time {
      (turn, burst) = (0, burst / 4)
      return
    }
    lossTime = lossTime == 0 ? time : lossTime * 0.875 + time * 0.125
    let most = min(Self.lossShare * lossTime / softwareTime, Double(Self.greatestBurst))
    burst = max(min(burst * 2, UInt64(most)), Self.leastBurst)
    turn = burst
  }

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
  package mutating func noteBurst(instructions: UInt64, time: Double) {
    guard instructions >= Self.measuredBurst else { return }
    let pace = time / Double(instructions)
    softwareTime += (pace - softwareTime) * (pace < softwareTime ? 0.5 : 0.03)
  }

  /// The least burst that is measured.
  package static let measuredBurst: UInt64 = 1 << 14
}
