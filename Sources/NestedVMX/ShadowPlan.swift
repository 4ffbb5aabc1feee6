import VMX

/// What of vmcs12 L1 reaches without a VM exit, and how it is copied: one access model's table, carried out.
struct ShadowPlan {
  /// The fields that L1 can read, and those of them that it can write.
  let fields: ShadowedFieldSet
  /// From vmcs12 to what L1 sees.
  let toL1: FieldRuns
  /// From what L1 sees to vmcs12.
  let fromL1: FieldRuns
  /// The fields of ``toL1`` that L0 itself changes: guest state and exit information.
  let changedByL0: UInt64

  init(_ policy: NestedPolicy, on capabilities: VMXCapabilities) {
    let fields = Self.fields(policy, on: capabilities)
    self.fields = fields
    toL1 = FieldRuns(upTo: VMCSField.count) { row in
      guard fields.isReadable(row: row) else { return nil }
      return (VMCSField.rows[row].field, VMCSField.rows[row].field)
    }
    fromL1 = FieldRuns(upTo: VMCSField.count) { row in
      guard fields.isWritable(row: row) else { return nil }
      return (VMCSField.rows[row].field, VMCSField.rows[row].field)
    }
    var changed: UInt64 = 0
    for row in 0..<VMCSField.count where fields.isReadable(row: row) {
      let area = VMCSField.rows[row].field.area
      // The interrupt status changes only in an L2 whose virtual interrupts L1 has the processor deliver.
      if VMCSField.rows[row].field == .guestInterruptStatus { continue }
      if area == .guestState || area == .readOnlyData { changed &+= 1 }
    }
    changedByL0 = changed
  }

  func deallocate() {
    toL1.deallocate()
    fromL1.deallocate()
  }

  /// Of the fields that the model lets through, those that L1's VMCS has.
  private static func fields(
    _ policy: NestedPolicy, on capabilities: VMXCapabilities
  ) -> ShadowedFieldSet {
    var fields = ShadowedFieldSet()
    guard policy.vmcsAccess != .off else { return fields }
    let writesReadOnlyFields = capabilities.miscellaneous.allowsWritingReadOnlyFields
    for row in 0..<VMCSField.count {
      let field = VMCSField.rows[row].field
      guard field.exists(on: capabilities) else { continue }
      if policy.vmcsAccess.reachesAllFields {
        fields.insert(row: row, writable: field.area != .readOnlyData || writesReadOnlyFields)
      } else if policy.shadowedFields.isReadable(row: row) {
        fields.insert(row: row, writable: policy.shadowedFields.isWritable(row: row))
      }
    }
    return fields
  }

  /// The number of fields in the clean-field groups of which L1 has written one: `seen` has what L1 left, `known` what L0
  /// had given it. A value written again is not seen; the groups that no clean bit covers always count.
  func fieldsOfWrittenGroups(_ seen: VMCS, _ known: VMCS) -> UInt64 {
    var counts: InlineArray<16, UInt64> = InlineArray(repeating: 0)
    var written: UInt32 = 1 << UInt32(CleanFieldGroup.always.rawValue)
    for row in 0..<VMCSField.count where fields.isWritable(row: row) {
      let field = VMCSField.rows[row].field
      guard field.isUsed(by: known) else { continue }
      let group = CleanFieldGroup.group(of: field).rawValue
      counts[Int(group)] &+= 1
      if seen[field] != known[field] { written |= 1 << UInt32(group) }
    }
    var fields: UInt64 = 0
    for group in 0..<counts.count where written >> UInt32(group) & 1 != 0 { fields &+= counts[group] }
    return fields
  }
}

extension VMCSField {
  /// Whether L1 uses the field by `vmcs12`, if it is one of APIC virtualization; every other counts as used. L0 leaves
  /// alone what is not.
  func isUsed(by vmcs12: VMCS) -> Bool {
    let secondary = vmcs12.effectiveSecondaryControls
    switch self {
    case .virtualAPICAddress, .tprThreshold:
      return vmcs12.primaryProcessorBasedControls.contains(.useTPRShadow)
    case .apicAccessAddress: return secondary.contains(.virtualizeAPICAccesses)
    case .guestInterruptStatus, .eoiExitBitmap0, .eoiExitBitmap1, .eoiExitBitmap2, .eoiExitBitmap3:
      return secondary.contains(.virtualInterruptDelivery)
    case .postedInterruptDescriptorAddress, .postedInterruptNotificationVector:
      return vmcs12.pinBasedControls.contains(.processPostedInterrupts)
    default: return true
    }
  }
}
