import Testing
import VMX

/// How one check is violated: from a machine that `prepare` leaves correct, by `change`.
struct Case: Sendable, CustomTestStringConvertible {
  /// The name of the check.
  var name: String
  /// Checks that cannot but be violated with it.
  var also: Set<String>
  var prepare: @Sendable (Machine) -> Void
  var change: @Sendable (Machine) -> Void

  var testDescription: String { name }

  init(
    _ name: String, also: Set<String> = [], prepare: @escaping @Sendable (Machine) -> Void = { _ in },
    _ change: @escaping @Sendable (Machine) -> Void
  ) {
    self.name = name
    self.also = also
    self.prepare = prepare
    self.change = change
  }

  /// A check that setting `bits` of `field` violates.
  static func bits(
    _ name: String, _ field: VMCSField, _ bits: UInt64,
    prepare: @escaping @Sendable (Machine) -> Void = { _ in }
  ) -> Case {
    Case(name, prepare: prepare) { $0.vmcs[field] |= bits }
  }

  /// The two checks on the address of a page.
  static func page(
    _ what: String, _ field: VMCSField, prepare: @escaping @Sendable (Machine) -> Void = { _ in }
  ) -> [Case] {
    [
      bits("\(what) is aligned", field, 0x800, prepare: prepare),
      bits("\(what) is within the physical-address width", field, 1 << 46, prepare: prepare),
    ]
  }
}

extension Case {
  static let all =
    executionControls + exitAndEntryControls + hostState + guestRegisters + guestSegments + guestOtherState
}
