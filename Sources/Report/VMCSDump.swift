import NestedVMX
import VMX

/// A VMCS as a file holds it: its fields by name, and what is needed to check and merge it elsewhere.
public struct VMCSDump: Equatable, Sendable {
  /// Which VMCS this is.
  public enum Kind: String, CaseIterable, Sendable {
    case vmcs01
    case vmcs12
    case vmcs02
    /// One that is not of a nested machine, or not known to be.
    case vmcs
  }

  public var kind: Kind
  /// The VMCS revision identifier in bits 30:0, the shadow-VMCS indicator in bit 31.
  public var revision: UInt32 = 0
  public var isLaunched = false
  /// Its physical address, at the level of whoever runs on it.
  public var address: UInt64?
  /// The capabilities of the processor that it is for.
  public var capabilities: VMXCapabilities?
  /// The physical-address width of that processor in bits, 32 to 52.
  public var physicalAddressWidth: UInt8?
  /// Whether that processor is in IA-32e mode at the VM entry.
  public var isInIA32eMode: Bool?
  /// Of a vmcs01: what L0 prepared for its merge with vmcs12.
  public var prepared: PreparedFields?
  /// The value of each field by ``VMCSField/rowIndex``, nil if it is not in the dump.
  private var values: [UInt64?]

  /// A dump without fields.
  public init(kind: Kind) {
    self.kind = kind
    values = Array(repeating: nil, count: VMCSField.count)
  }

  /// What `vmcs` holds: every field that a processor with `capabilities` has, and any other that is not 0.
  public init(_ vmcs: VMCS, kind: Kind, capabilities: VMXCapabilities?) {
    self.init(kind: kind)
    self.capabilities = capabilities
    revision = vmcs.revision
    isLaunched = vmcs.isLaunched
    for field in VMCSField.allInOrder {
      let value = vmcs[field]
      let exists = capabilities.map { field.exists(on: $0) } ?? true
      if exists || value != 0 { self[field] = value }
    }
  }

  /// The value of a field, nil if it is not in the dump; a stored value loses what is wider than the field.
  public subscript(field: VMCSField) -> UInt64? {
    get { values[field.rowIndex] }
    set { values[field.rowIndex] = newValue.map { $0 & field.width.mask } }
  }

  /// The fields in the dump, in the order of their encodings.
  public var fields: [VMCSField] { VMCSField.allInOrder.filter { self[$0] != nil } }

  /// Calls `body` with a VMCS that holds the dump, where a field that is not in it is 0.
  public func withVMCS<Result>(_ body: (VMCS) throws -> Result) rethrows -> Result {
    let vmcs = VMCS.allocate()
    defer { vmcs.deallocate() }
    vmcs.revision = revision
    vmcs.isLaunched = isLaunched
    for field in fields { vmcs[field] = self[field] ?? 0 }
    return try body(vmcs)
  }
}

extension VMCSField {
  /// Every field in the order of the encodings.
  public static var allInOrder: [VMCSField] { (0..<count).map { rows[$0].field } }

  /// The field with the SDM's name `name`, or nil.
  public static func named(_ name: String) -> VMCSField? { byName[name] }

  private static let byName = Dictionary(uniqueKeysWithValues: allInOrder.map { ("\($0.name)", $0) })
}

/// What L0 prepared for a merge, by the field of vmcs02 that it goes to: ``MergeContext`` without the processor.
public struct PreparedFields: Equatable, Sendable {
  /// By position in ``slots``.
  var values: [UInt64]

  typealias Slot = (field: VMCSField, path: WritableKeyPath<MergeContext, UInt64>)

  static var slots: [Slot] {
    [
      (.vpid, \.vpid), (.ioBitmapA, \.ioBitmapA), (.ioBitmapB, \.ioBitmapB), (.msrBitmap, \.msrBitmap),
      (.virtualAPICAddress, \.virtualAPICPage), (.apicAccessAddress, \.apicAccessPage),
      (.eptPointer, \.eptPointer), (.guestPDPTE0, \.pdptes.0),
      (.guestPDPTE1, \.pdptes.1), (.guestPDPTE2, \.pdptes.2), (.guestPDPTE3, \.pdptes.3),
      (.primaryProcessorBasedControls, \.bitmapControls.word), (.vmreadBitmap, \.vmreadBitmap),
      (.vmwriteBitmap, \.vmwriteBitmap), (.vmcsLinkPointer, \.shadowVMCS),
    ]
  }

  public init(_ context: MergeContext) { values = Self.slots.map { context[keyPath: $0.path] } }

  /// Nothing prepared.
  init() { values = Self.slots.map { _ in 0 } }

  /// The context of a merge for `processor`.
  func context(for processor: VMXCapabilities) -> MergeContext {
    var context = MergeContext()
    context.processor = processor
    for (slot, value) in zip(Self.slots, values) { context[keyPath: slot.path] = value }
    return context
  }

  /// Whether a merge takes the value of `field`, or some of its bits, from what L0 prepared.
  static func contains(_ field: VMCSField) -> Bool { slots.contains { $0.field == field } }
}

extension PrimaryProcessorBasedControls {
  fileprivate var word: UInt64 {
    get { UInt64(rawValue) }
    set { self = Self(rawValue: UInt32(truncatingIfNeeded: newValue)) }
  }
}

/// The VMX capability MSRs, by index.
enum CapabilityRegisters {
  typealias Register = (index: UInt32, path: WritableKeyPath<VMXCapabilities, UInt64>)

  static var all: [Register] {
    [
      (0x480, \.basic.rawValue), (0x481, \.pinBased), (0x482, \.primaryProcessorBased), (0x483, \.exit),
      (0x484, \.entry), (0x485, \.miscellaneous.rawValue), (0x486, \.cr0Fixed0), (0x487, \.cr0Fixed1),
      (0x488, \.cr4Fixed0), (0x489, \.cr4Fixed1), (0x48A, \.vmcsEnumeration),
      (0x48B, \.secondaryProcessorBased), (0x48C, \.eptAndVPID.rawValue), (0x48D, \.truePinBased),
      (0x48E, \.truePrimaryProcessorBased), (0x48F, \.trueExit), (0x490, \.trueEntry), (0x491, \.vmFunction),
      (0x492, \.tertiaryProcessorBased), (0x493, \.secondaryExit),
    ]
  }
}
