import Trace
import VMX

/// L2's EPT violations: what filled ept02 page by page, and why.
///
/// One that L0 keeps is a page that ept12 maps and ept02 lacked, so that L0 composed it; one that L1 handles is a page
/// that ept12 lacks or forbids. What L0 composes at a VM entry is no exit, and not among them.
public struct EPTViolations: Sendable {
  /// Violations of one kind.
  public struct Row: Equatable, Sendable {
    public var routedTo: ExitLevel
    /// What L2 wanted.
    public var access: EPTViolationQualification
    /// What ept02 allowed before.
    public var allowed: EPTViolationQualification
    /// Whether L2 wanted the page itself and not one of its own paging structures.
    public var isFinal: Bool
    public var count: UInt64 = 0
  }

  private static let accessBits: UInt64 = 0x7
  private static let allowedBits: UInt64 = 0x38
  private static let final = EPTViolationQualification.finalTranslation.rawValue
  private var table: [UInt64: Row] = [:]

  public init() {}

  public mutating func add(_ event: ExitEvent) {
    guard event.from == .l2, event.reason == ExitReason.eptViolation.rawValue else { return }
    let known = event.qualification & (Self.accessBits | Self.allowedBits | Self.final)
    let key = known << 1 | (event.routedTo == .l1 ? 1 : 0)
    let row = Row(
      routedTo: event.routedTo, access: .init(rawValue: known & Self.accessBits),
      allowed: .init(rawValue: known & Self.allowedBits), isFinal: known & Self.final != 0)
    table[key, default: row].count &+= 1
  }

  /// The kinds, the most frequent first.
  public var rows: [Row] {
    table.sorted { ($1.value.count, $0.key) < ($0.value.count, $1.key) }.map(\.value)
  }
}
