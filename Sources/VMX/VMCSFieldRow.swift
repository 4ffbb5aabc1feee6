/// What the SDM says of one VMCS field.
public struct VMCSFieldRow: Sendable {
  /// The field; its encoding gives width and area.
  public let field: VMCSField
  /// The SDM's name in capitals, such as `GUEST_RIP`.
  public let name: StaticString
  /// What a processor must support for the field to exist.
  public let requirement: VMCSFieldRequirement

  @inlinable
  init(_ field: VMCSField, _ name: StaticString, _ requirement: VMCSFieldRequirement = .none) {
    self.field = field
    self.name = name
    self.requirement = requirement
  }

  /// Whether a VMWRITE is refused unless IA32_VMX_MISC bit 29 is 1.
  @inlinable
  public var isReadOnly: Bool { field.area == .readOnlyData }

  /// Whether the field has a high half with an encoding of its own.
  @inlinable
  public var hasHighAccess: Bool { field.width == .w64 }
}

/// The capability that makes a VMCS field exist: that any of some controls may be 1.
public struct VMCSFieldRequirement: Equatable, Sendable {
  /// The control word that has the controls, or nil if the field exists on every processor.
  public let word: ControlWordKind?
  /// The controls of `word`, any of which suffices.
  public let controls: UInt64
  /// VM-exit controls, any of which suffices too.
  public let exitControls: PrimaryExitControls
  /// Whether the field exists only in secure-arbitration mode, which no VMM of ours enters.
  public let isSEAM: Bool

  @inlinable
  init(
    word: ControlWordKind?, controls: UInt64,
    exitControls: PrimaryExitControls = PrimaryExitControls(rawValue: 0), isSEAM: Bool = false
  ) {
    self.word = word
    self.controls = controls
    self.exitControls = exitControls
    self.isSEAM = isSEAM
  }

  /// The field exists on every processor with VMX.
  @inlinable
  public static var none: Self { Self(word: nil, controls: 0) }

  /// The field exists in secure-arbitration mode only.
  @inlinable
  static var seam: Self { Self(word: nil, controls: 0, isSEAM: true) }

  @inlinable
  static func pinBased(_ controls: PinBasedControls) -> Self {
    Self(word: .pinBased, controls: UInt64(controls.rawValue))
  }

  @inlinable
  static func primary(_ controls: PrimaryProcessorBasedControls) -> Self {
    Self(word: .primaryProcessorBased, controls: UInt64(controls.rawValue))
  }

  @inlinable
  static func secondary(_ controls: SecondaryProcessorBasedControls) -> Self {
    Self(word: .secondaryProcessorBased, controls: UInt64(controls.rawValue))
  }

  @inlinable
  static func tertiary(_ controls: TertiaryProcessorBasedControls) -> Self {
    Self(word: .tertiaryProcessorBased, controls: controls.rawValue)
  }

  @inlinable
  static func exit(_ controls: PrimaryExitControls) -> Self {
    Self(word: .exit, controls: UInt64(controls.rawValue))
  }

  @inlinable
  static func secondaryExit(_ controls: SecondaryExitControls) -> Self {
    Self(word: .secondaryExit, controls: controls.rawValue)
  }

  @inlinable
  static func entry(
    _ controls: EntryControls, orExit exitControls: PrimaryExitControls = PrimaryExitControls(rawValue: 0)
  ) -> Self {
    Self(word: .entry, controls: UInt64(controls.rawValue), exitControls: exitControls)
  }

  @inlinable
  static func function(_ controls: VMFunctionControls) -> Self {
    Self(word: .vmFunction, controls: controls.rawValue)
  }

  /// Whether a processor with `capabilities` has the field.
  @inlinable
  public func isMet(by capabilities: VMXCapabilities) -> Bool {
    if isSEAM { return false }
    guard let word else { return true }
    if capabilities.capability(of: word).allowed1 & controls != 0 { return true }
    return capabilities.capability(of: .exit).allowed1 & UInt64(exitControls.rawValue) != 0
  }
}

extension VMCSField {
  /// The row of a field.
  @inlinable
  public static func row(for field: VMCSField) -> VMCSFieldRow { rows[field.rowIndex] }

  /// The SDM's name of the field in capitals, such as `GUEST_RIP`.
  @inlinable
  public var name: StaticString { Self.rows[rowIndex].name }

  /// The number of fields.
  @inlinable
  public static var count: Int { rows.count }

  /// The row of the field in ``rows``: how many fields of its group precede it.
  @inlinable
  public var rowIndex: Int {
    let preceding = Self.members(ofGroup: group) & (1 << UInt64(index) &- 1)
    return Self.firstRow(ofGroup: group) &+ preceding.nonzeroBitCount
  }

  /// Whether a processor with `capabilities` has the field.
  @inlinable
  public func exists(on capabilities: VMXCapabilities) -> Bool {
    Self.rows[rowIndex].requirement.isMet(by: capabilities)
  }
}
