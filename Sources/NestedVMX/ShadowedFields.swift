import VMX

/// The fields that L1 may access in the shadow VMCS unless a policy says otherwise: those that a hypervisor touches at
/// an exit.
///
/// Every field here is copied at each exit that is reflected to L1, and the writable ones at each VM entry too, so
/// that only what is used often is worth it.
///
/// Source: SDM volume 3, "VMCS Shadowing".
public enum ShadowedFields {
  /// The fields that only VMREAD reaches: the exit information, and guest state that a hypervisor reads but rarely
  /// writes. Their VMWRITEs exit.
  public static let readable: InlineArray<14, VMCSField> = [
    .exitReason, .exitQualification, .exitInstructionLength, .exitInstructionInformation,
    .exitInterruptionInformation, .exitInterruptionErrorCode, .idtVectoringInformation,
    .idtVectoringErrorCode, .guestLinearAddress, .guestPhysicalAddress, .vmInstructionError,
    .guestCSAccessRights, .guestSSAccessRights, .guestCSSelector,
  ]

  /// The fields that both VMREAD and VMWRITE reach.
  public static let writable: InlineArray<17, VMCSField> = [
    .guestRIP, .guestRSP, .guestRFLAGS, .guestInterruptibilityState, .guestActivityState,
    .guestPendingDebugExceptions, .entryInterruptionInformation, .entryExceptionErrorCode,
    .entryInstructionLength, .primaryProcessorBasedControls, .exceptionBitmap, .guestCR0, .guestCR3,
    .guestCR4, .cr0ReadShadow, .cr4ReadShadow, .preemptionTimerValue,
  ]
}

/// A choice of fields that L1 may access in the shadow VMCS.
public struct ShadowedFieldSet: Equatable, Sendable {
  /// Which rows of the field table VMREAD, and which VMWRITE reaches.
  private var readable = RowSet()
  private var writable = RowSet()

  /// No field.
  public init() {}

  /// ``ShadowedFields``.
  public static var standard: ShadowedFieldSet {
    var fields = ShadowedFieldSet()
    for position in 0..<ShadowedFields.readable.count { fields.insert(ShadowedFields.readable[position]) }
    for position in 0..<ShadowedFields.writable.count {
      fields.insert(ShadowedFields.writable[position], writable: true)
    }
    return fields
  }

  /// Lets L1 read `field`, and write it too if `writable`.
  public mutating func insert(_ field: VMCSField, writable isWritable: Bool = false) {
    for position in 0..<VMCSField.count where VMCSField.rows[position].field == field {
      insert(row: position, writable: isWritable)
    }
  }

  mutating func insert(row: Int, writable isWritable: Bool) {
    readable.insert(row)
    if isWritable { writable.insert(row) }
  }

  /// Whether VMREAD of the field in row `row` of the field table does not exit.
  func isReadable(row: Int) -> Bool { readable.contains(row) }

  /// Whether VMWRITE of it does not exit either.
  func isWritable(row: Int) -> Bool { writable.contains(row) }

  /// A set of rows of the field table.
  private struct RowSet: Equatable, Sendable {
    private var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)

    mutating func insert(_ row: Int) {
      let bit: UInt64 = 1 << UInt64(row & 63)
      switch row >> 6 {
      case 0: words.0 |= bit
      case 1: words.1 |= bit
      case 2: words.2 |= bit
      default: words.3 |= bit
      }
    }

    func contains(_ row: Int) -> Bool {
      let word =
        switch row >> 6 {
        case 0: words.0
        case 1: words.1
        case 2: words.2
        default: words.3
        }
      return word >> UInt64(row & 63) & 1 != 0
    }

    static func == (left: Self, right: Self) -> Bool { left.words == right.words }
  }
}
