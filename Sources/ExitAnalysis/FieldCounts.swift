import Trace
import VMX

/// How often L1's VMREADs and VMWRITEs exited, by VMCS field: what VMCS shadowing could let through.
public struct FieldCounts: Sendable {
  /// The exits for one field.
  public struct Row: Equatable, Sendable {
    /// The encoding as L1 gave it.
    public var encoding: UInt32
    public var reads: UInt64 = 0
    public var writes: UInt64 = 0

    /// The field, or nil if there is none with this encoding.
    public var field: VMCSField? { VMCSField(operand: UInt64(encoding)) }
  }

  /// Encodings beyond this many are counted together: L1 chooses them.
  static let limit = 4096

  private var table: [UInt32: Row] = [:]
  /// The accesses whose encoding found no place in the table.
  public private(set) var others: UInt64 = 0

  public init() {}

  public mutating func add(_ event: ExitEvent) {
    guard event.from == .l1 else { return }
    let isRead = event.reason == ExitReason.vmread.rawValue
    guard isRead || event.reason == ExitReason.vmwrite.rawValue else { return }
    let encoding = UInt32(truncatingIfNeeded: event.operand)
    guard table[encoding] != nil || table.count < Self.limit else {
      others &+= 1
      return
    }
    if isRead {
      table[encoding, default: Row(encoding: encoding)].reads &+= 1
    } else {
      table[encoding, default: Row(encoding: encoding)].writes &+= 1
    }
  }

  /// All fields, the most used first.
  public var rows: [Row] {
    table.values.sorted { ($1.reads &+ $1.writes, $0.encoding) < ($0.reads &+ $0.writes, $1.encoding) }
  }
}
