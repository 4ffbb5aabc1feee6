import EntryChecks
import VMX

/// How one check is violated: from a machine that `prepare` leaves correct, by `change`.
package struct EntryCase: Sendable {
  /// The name of the check.
  package var name: String
  /// Checks that cannot but be violated with it.
  package var also: Set<String>
  package var prepare: @Sendable (EntryMachine) -> Void
  package var change: @Sendable (EntryMachine) -> Void

  package init(
    _ name: String, also: Set<String> = [], prepare: @escaping @Sendable (EntryMachine) -> Void = { _ in },
    _ change: @escaping @Sendable (EntryMachine) -> Void
  ) {
    self.name = name
    self.also = also
    self.prepare = prepare
    self.change = change
  }

  /// A check that setting `bits` of `field` violates.
  static func bits(
    _ name: String, _ field: VMCSField, _ bits: UInt64,
    prepare: @escaping @Sendable (EntryMachine) -> Void = { _ in }
  ) -> EntryCase {
    EntryCase(name, prepare: prepare) { $0.vmcs[field] |= bits }
  }

  /// The two checks on the address of a page.
  static func page(
    _ what: String, _ field: VMCSField, prepare: @escaping @Sendable (EntryMachine) -> Void = { _ in }
  ) -> [EntryCase] {
    [
      bits("\(what) is aligned", field, 0x800, prepare: prepare),
      bits("\(what) is within the physical-address width", field, 1 << 46, prepare: prepare),
    ]
  }
}

extension EntryCase {
  /// A case for every check, in no order.
  package static let all =
    executionControls + exitAndEntryControls + hostState + guestRegisters + guestSegments + guestOtherState
}
