import Trace
import VMX

/// How often exits were about what: the leaf, the MSR, the port, the hypercall, the page. Beside the VMCS fields, which
/// ``FieldCounts`` has.
public struct OperandCounts: Sendable {
  /// What exits were about.
  public struct Key: Hashable, Comparable, Sendable {
    public var from: ExitLevel
    public var reason: UInt16
    public var routedTo: ExitLevel
    /// As ``ExitOperand`` says for the reason, an EPT violation's address by its page; of an I/O instruction or an
    /// access of a control register the exit qualification.
    public var operand: UInt64

    public static func < (left: Self, right: Self) -> Bool {
      (left.reason, right.from, left.operand, left.routedTo)
        < (right.reason, left.from, right.operand, right.routedTo)
    }
  }

  /// Further kinds are counted together: guests choose them.
  static let limit = 4096
  private var table: [Key: UInt64] = [:]
  /// The exits whose operand found no place in the table.
  public private(set) var others: UInt64 = 0

  public init() {}

  public mutating func add(_ event: ExitEvent) {
    guard let operand = Self.operand(event) else { return }
    let key = Key(from: event.from, reason: event.reason, routedTo: event.routedTo, operand: operand)
    guard table[key] != nil || table.count < Self.limit else {
      others &+= 1
      return
    }
    table[key, default: 0] &+= 1
  }

  private static func operand(_ event: ExitEvent) -> UInt64? {
    let reason = ExitReason(rawValue: event.reason)
    switch ExitOperand(reason) {
    case .leaf, .modelSpecificRegister, .hypercall: return event.operand
    case .guestPhysicalAddress: return event.operand & ~0xFFF
    case .vmcsField: return nil
    case .none:
      return reason == .ioInstruction || reason == .controlRegisterAccess ? event.qualification : nil
    }
  }

  /// The operands and their counts, the most frequent first.
  public var rows: [(key: Key, count: UInt64)] {
    table.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map { ($0.key, $0.value) }
  }
}
