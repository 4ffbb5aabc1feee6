import VMX
import X86

/// VMCS shadowing that L1 uses for L2: the shadow VMCS and the bitmaps of vmcs02, made of those that vmcs12 names.
///
/// L2 reaches a field without a VM exit if L1 lets it through and L1's VMCS has it. A VMREAD or VMWRITE that L1 lets
/// through, of a field that its VMCS does not have, exits to L0, which has it fail.
extension VirtualVMX {
  var usesShadow12: Bool { vmcs12Region.effectiveSecondaryControls.contains(.vmcsShadowing) }

  /// What L2's VMREADs and VMWRITEs reach, in a page of L0.
  var shadow02: VMCS { VMCS(region: ownPages.shadow02.bytes) }

  /// Prepares the shadow VMCS and the bitmaps of vmcs02.
  mutating func mergeShadowing() {
    merge.shadowVMCS = 0
    shadowedForL2 = ShadowedFieldSet()
    guard usesShadow12 else { return }
    ownPages.vmreadBitmap02.bytes.initializeMemory(as: UInt8.self, repeating: 0xFF, count: 4096)
    ownPages.vmwriteBitmap02.bytes.initializeMemory(as: UInt8.self, repeating: 0xFF, count: 4096)
    merge.vmreadBitmap = ownPages.vmreadBitmap02.address.rawValue
    merge.vmwriteBitmap = ownPages.vmwriteBitmap02.address.rawValue
    let source = linkedVMCS
    if source != nil {
      shadow02.revision = processor.basic.revision | VMCSRevision.shadowIndicator
      merge.shadowVMCS = ownPages.shadow02.address.rawValue
    }
    for row in 0..<VMCSField.count { openToL2(row: row, source) }
  }

  /// The shadow VMCS that vmcs12 links to, in L1's memory, or nil without one.
  var linkedVMCS: VMCS? {
    let pointer = vmcs12Region[.vmcsLinkPointer]
    guard pointer != .max, pointer & 0xFFF == 0,
      let bytes = memory.pointer(to: PhysicalAddress(pointer), count: UInt64(VMCS.size))
    else { return nil }
    return VMCS(region: bytes)
  }

  /// Lets L2 through to the field of `row`, as far as L1 does, with its value in `source`.
  private mutating func openToL2(row: Int, _ source: VMCS?) {
    let field = VMCSField.rows[row].field
    guard hasField(field) else { return }
    let isReadable = open(field, in: ownPages.vmreadBitmap02.bytes, asIn: .vmreadBitmap)
    let isWritable =
      isWritableByVMWRITE(field) && open(field, in: ownPages.vmwriteBitmap02.bytes, asIn: .vmwriteBitmap)
    guard isReadable || isWritable, let source else { return }
    shadow02[field] = source[field]
    work.memoryReads &+= 1
    work.vmcsWrites &+= 1
    work.fieldsCopied &+= 1
    shadowedForL2.insert(row: row, writable: isWritable)
  }

  /// Clears the bits of `field` that L1's bitmap has clear: of the field, and of its high half. Returns whether there is
  /// one.
  private mutating func open(
    _ field: VMCSField, in bitmap: UnsafeMutableRawPointer, asIn source: VMCSField
  ) -> Bool {
    var isOpen = false
    for high in 0...(field.width == .w64 ? 1 : 0) as ClosedRange<UInt64> {
      guard let position = VMCSShadowingBitmap.position(of: UInt64(field.rawValue) | high) else { continue }
      guard !bit(position, ofBitmapAt: vmcs12Region[source]) else { continue }
      letThrough(position, bitmap)
      isOpen = true
    }
    return isOpen
  }

  /// Whether VMWRITE may write `field` at all.
  func isWritableByVMWRITE(_ field: VMCSField) -> Bool {
    field.area != .readOnlyData || capabilities.miscellaneous.allowsWritingReadOnlyFields
  }

  /// Gives L1's shadow VMCS what L2 wrote without a VM exit.
  mutating func drainShadowOfL2() {
    guard usesShadow12, let target = linkedVMCS else { return }
    for row in 0..<VMCSField.count where shadowedForL2.isWritable(row: row) {
      let field = VMCSField.rows[row].field
      target[field] = shadow02[field]
      work.vmcsReads &+= 1
      work.memoryWrites &+= 1
      work.fieldsCopied &+= 1
    }
    memory.noteWrite(PhysicalAddress(vmcs12Region[.vmcsLinkPointer]), count: UInt64(VMCS.size))
  }

  // MARK: Exits

  /// Whether L1 wants the exit of L2's VMREAD or VMWRITE.
  ///
  /// Source: SDM volume 3, "Changes to Instruction Behavior in VMX Non-Root Operation".
  mutating func wantsFieldAccess(_ bitmap: VMCSField) -> Bool {
    guard usesShadow12, let position = VMCSShadowingBitmap.position(of: fieldOperandOfL2) else { return true }
    return bit(position, ofBitmapAt: vmcs12Region[bitmap])
  }

  private var fieldOperandOfL2: UInt64 {
    let information = ExitInstructionInformation(
      rawValue: UInt32(truncatingIfNeeded: vmcs02[.exitInstructionInformation]))
    let value = register(information.secondRegister, of: vmcs02)
    return Self.isIn64BitMode(vmcs02) ? value : value & 0xFFFF_FFFF
  }

  /// Ends a VMREAD or VMWRITE of L2 that L1 lets through and that cannot succeed.
  mutating func refuseFieldAccess(_ reason: ExitReason) -> VMXInstructionOutcome {
    let rights = SegmentAccessRights(rawValue: UInt32(truncatingIfNeeded: vmcs02[.guestSSAccessRights]))
    guard rights.dpl == 0 else {
      inject(.generalProtection, into: vmcs02)
      return .fault(.generalProtection)
    }
    guard vmcs12Region[.vmcsLinkPointer] != .max else {
      finishInstruction(flags: .cf, in: vmcs02)
      return .failInvalid
    }
    let field = VMCSField(operand: fieldOperandOfL2)
    let isKnown = field.map { hasField($0) } ?? false
    let error: VMInstructionError =
      reason == .vmwrite && isKnown ? .vmwriteReadOnlyComponent : .unsupportedComponent
    setInstructionError(error)
    finishInstruction(flags: .zf, in: vmcs02)
    return .failValid(error)
  }
}

/// The VMCS revision identifier's companion.
enum VMCSRevision {
  /// Bit 31 of a VMCS region's first word.
  static var shadowIndicator: UInt32 { 1 << 31 }
}
