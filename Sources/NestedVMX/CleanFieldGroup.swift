import VMX

/// The groups of Hyper-V's enlightened VMCS: a bit of its clean fields says that L1 has not written any field of the
/// group since its last VM entry.
///
/// Source: Hypervisor Top Level Functional Specification, "Enlightened VMCS", "Clean Fields".
public enum CleanFieldGroup: UInt8, CaseIterable, Sendable {
  case ioBitmap, msrBitmap, controlGroup2, controlGroup1, processorControls, event, entryControls
  case exceptionBitmap, controlAndDebugRegisters, translation, guestBasic, guestGroup1, guestGroup2
  case hostPointers, hostGroup1
  /// Fields that no clean bit covers: L0 reads them at each VM entry.
  case always

  /// The group of a field that L0 reads from L1; that of exit information has no meaning.
  public static func group(of field: VMCSField) -> CleanFieldGroup {
    for position in 0..<table.count where table[position].field == field { return table[position].group }
    switch field.area {
    case .hostState: return .hostGroup1
    // Besides the rows of the table: MSRs and PDPTEs, then segments and descriptor tables.
    case .guestState: return field.width == .w64 ? .guestGroup1 : .guestGroup2
    case .control, .readOnlyData: return .always
    }
  }

  struct Row: Sendable {
    let field: VMCSField
    let group: CleanFieldGroup

    init(_ field: VMCSField, _ group: CleanFieldGroup) {
      self.field = field
      self.group = group
    }
  }

  /// The fields whose group does not follow from their area and width.
  static let table: InlineArray<43, Row> = [
    Row(.ioBitmapA, .ioBitmap), Row(.ioBitmapB, .ioBitmap), Row(.msrBitmap, .msrBitmap),
    Row(.tscOffset, .controlGroup2), Row(.virtualAPICAddress, .controlGroup2),
    Row(.xssExitingBitmap, .controlGroup2), Row(.enclsExitingBitmap, .controlGroup2),
    Row(.tscMultiplier, .controlGroup2), Row(.pinBasedControls, .controlGroup1),
    Row(.exitControls, .controlGroup1), Row(.secondaryProcessorBasedControls, .controlGroup1),
    Row(.primaryProcessorBasedControls, .processorControls), Row(.entryInterruptionInformation, .event),
    Row(.entryExceptionErrorCode, .event), Row(.entryInstructionLength, .event),
    Row(.entryControls, .entryControls), Row(.exceptionBitmap, .exceptionBitmap),
    Row(.cr0GuestHostMask, .controlAndDebugRegisters), Row(.cr4GuestHostMask, .controlAndDebugRegisters),
    Row(.cr0ReadShadow, .controlAndDebugRegisters), Row(.cr4ReadShadow, .controlAndDebugRegisters),
    Row(.guestCR0, .controlAndDebugRegisters), Row(.guestCR3, .controlAndDebugRegisters),
    Row(.guestCR4, .controlAndDebugRegisters), Row(.guestDR7, .controlAndDebugRegisters),
    Row(.eptPointer, .translation), Row(.vpid, .translation), Row(.guestRSP, .guestBasic),
    Row(.guestRFLAGS, .guestBasic), Row(.guestInterruptibilityState, .guestBasic), Row(.guestRIP, .always),
    Row(.guestActivityState, .guestGroup1), Row(.guestPendingDebugExceptions, .guestGroup1),
    Row(.guestSysenterCS, .guestGroup1), Row(.guestSysenterESP, .guestGroup1),
    Row(.guestSysenterEIP, .guestGroup1), Row(.guestInterruptSSPTable, .guestGroup1),
    Row(.hostFSBase, .hostPointers), Row(.hostGSBase, .hostPointers), Row(.hostTRBase, .hostPointers),
    Row(.hostGDTRBase, .hostPointers), Row(.hostIDTRBase, .hostPointers), Row(.hostRSP, .hostPointers),
  ]
}
