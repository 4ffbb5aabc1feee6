import VMX
import X86

/// VMCS shadowing for L1: the shadow VMCS that vmcs01 links to, and its bitmaps.
extension VirtualVMX {
  /// The shadow VMCS; what L1 reads and writes without a VM exit.
  var shadow: VMCS { VMCS(region: ownPages.shadow.bytes) }

  /// Whether the policy lets L1 reach fields without a VM exit and the processor has VMCS shadowing.
  public var canShadow: Bool {
    policy.vmcsAccess != .off && processor.allows(SecondaryProcessorBasedControls.vmcsShadowing)
  }

  /// Whether L1 has a shadow VMCS now.
  public var isShadowing: Bool { canShadow && currentVMCS != nil }

  /// Prepares the shadow VMCS and the bitmaps: only fields that L1's VMCS has, and that are listed, do not exit.
  func prepareShadow() {
    shadow.revision = processor.basic.revision | VMCSRevision.shadowIndicator
    let readBitmap = ownPages.vmreadBitmap.bytes
    let writeBitmap = ownPages.vmwriteBitmap.bytes
    readBitmap.initializeMemory(as: UInt8.self, repeating: 0xFF, count: 4096)
    writeBitmap.initializeMemory(as: UInt8.self, repeating: 0xFF, count: 4096)
    for row in 0..<VMCSField.count {
      if shadowPlan.fields.isReadable(row: row) { letThrough(VMCSField.rows[row].field, readBitmap) }
      if shadowPlan.fields.isWritable(row: row) { letThrough(VMCSField.rows[row].field, writeBitmap) }
    }
  }

  func letThrough(_ field: VMCSField, _ bitmap: UnsafeMutableRawPointer) {
    letThrough(VMCSShadowingBitmap.position(of: UInt64(field.rawValue)), bitmap)
    // The high half of a 64-bit field has an encoding of its own.
    if field.width == .w64 {
      letThrough(VMCSShadowingBitmap.position(of: UInt64(field.rawValue) | 1), bitmap)
    }
  }

  func letThrough(_ position: BitmapPosition?, _ bitmap: UnsafeMutableRawPointer) {
    guard let position else { return }
    let byte = bitmap + Int(truncatingIfNeeded: position.offset & 0xFFF)
    byte.storeBytes(of: byte.load(as: UInt8.self) & ~position.mask, as: UInt8.self)
  }

  /// Whether VMREAD of `field` does not exit.
  func isReadInShadow(_ field: VMCSField) -> Bool {
    guard let position = VMCSShadowingBitmap.position(of: UInt64(field.rawValue)) else { return false }
    let byte = ownPages.vmreadBitmap.bytes + Int(truncatingIfNeeded: position.offset & 0xFFF)
    return byte.load(as: UInt8.self) & position.mask == 0
  }

  /// Links the shadow VMCS of a newly current vmcs12.
  mutating func openShadow() {
    guard isShadowing else { return }
    isNewToL0 = true
    fillShadow()
    vmcs01[.vmreadBitmap] = ownPages.vmreadBitmap.address.rawValue
    vmcs01[.vmwriteBitmap] = ownPages.vmwriteBitmap.address.rawValue
    vmcs01[.vmcsLinkPointer] = ownPages.shadow.address.rawValue
    vmcs01.secondaryProcessorBasedControls.insert(.vmcsShadowing)
    work.vmcsWrites &+= 4
    work.vmcsReads &+= 1
  }

  /// Unlinks the shadow VMCS: L1 has no current VMCS any more.
  mutating func closeShadow() {
    guard canShadow else { return }
    vmcs01[.vmcsLinkPointer] = .max
    vmcs01.secondaryProcessorBasedControls.remove(.vmcsShadowing)
    work.vmcsWrites &+= 2
    work.vmcsReads &+= 1
  }

  /// Gives L1 what vmcs12 holds of the fields that it reaches.
  mutating func fillShadow() {
    guard isShadowing else { return }
    shadowPlan.toL1.copy(from: vmcs12Region, to: shadow)
    switch policy.vmcsAccess.synchronisation {
    case .none: return
    case .shadowVMCS:
      countFill(shadowPlan.toL1.fieldCount)
      work.vmcsWrites &+= shadowPlan.toL1.fieldCount
    case .cleanFields:
      countFill(shadowPlan.changedByL0)
      work.memoryWrites &+= shadowPlan.changedByL0
    }
  }

  private mutating func countFill(_ fields: UInt64) {
    sync.shadowFills &+= 1
    sync.fieldsToShadow &+= fields
    work.memoryReads &+= fields
    work.fieldsCopied &+= fields
  }

  /// Takes over what L1 wrote without a VM exit.
  mutating func drainShadow() {
    guard isShadowing else { return }
    switch policy.vmcsAccess.synchronisation {
    case .none: break
    case .shadowVMCS:
      countDrain(shadowPlan.fromL1.fieldCount)
      work.vmcsReads &+= shadowPlan.fromL1.fieldCount
    case .cleanFields:
      let fields =
        isNewToL0 ? shadowPlan.fromL1.fieldCount : shadowPlan.fieldsOfWrittenGroups(shadow, vmcs12Region)
      countDrain(fields)
      work.memoryReads &+= fields
    }
    isNewToL0 = false
    shadowPlan.fromL1.copy(from: shadow, to: vmcs12Region)
  }

  private mutating func countDrain(_ fields: UInt64) {
    sync.shadowDrains &+= 1
    sync.fieldsFromShadow &+= fields
    work.memoryWrites &+= fields
    work.fieldsCopied &+= fields
  }
}
