import VMX
import X86

/// VMCS shadowing for L1: the shadow VMCS that vmcs01 links to, and its bitmaps.
extension VirtualVMX {
  /// The shadow VMCS; what L1 reads and writes without a VM exit.
  var shadow: VMCS { VMCS(region: ownPages.shadow.bytes) }

  /// Whether the policy asks for VMCS shadowing and the processor has it.
  public var canShadow: Bool {
    policy.vmcsShadowing == .hardware && processor.allows(SecondaryProcessorBasedControls.vmcsShadowing)
  }

  /// Whether L1 has a shadow VMCS now.
  public var isShadowing: Bool { canShadow && currentVMCS != nil }

  /// Prepares the shadow VMCS and the bitmaps: only fields that L1's VMCS has, and that are listed, do not exit.
  func prepareShadow() {
    shadow.revision = processor.basic.revision | 1 << 31
    let readBitmap = ownPages.vmreadBitmap.bytes
    let writeBitmap = ownPages.vmwriteBitmap.bytes
    readBitmap.initializeMemory(as: UInt8.self, repeating: 0xFF, count: 4096)
    writeBitmap.initializeMemory(as: UInt8.self, repeating: 0xFF, count: 4096)
    for position in 0..<ShadowedFields.readable.count {
      letThrough(ShadowedFields.readable[position], readBitmap)
    }
    for position in 0..<ShadowedFields.writable.count {
      letThrough(ShadowedFields.writable[position], readBitmap)
      letThrough(ShadowedFields.writable[position], writeBitmap)
    }
  }

  func letThrough(_ field: VMCSField, _ bitmap: UnsafeMutableRawPointer) {
    guard hasField(field), let position = VMCSShadowingBitmap.position(of: UInt64(field.rawValue)) else {
      return
    }
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

  /// Copies every shadowed field from vmcs12 to the shadow VMCS.
  mutating func fillShadow() {
    guard isShadowing else { return }
    sync.shadowFills &+= 1
    let plan = ShadowPlan.plan
    plan.readable.copy(from: vmcs12Region, to: shadow)
    plan.writable.copy(from: vmcs12Region, to: shadow)
    let fields = plan.readable.fieldCount &+ plan.writable.fieldCount
    sync.fieldsToShadow &+= fields
    work.memoryReads &+= fields
    work.vmcsWrites &+= fields
    work.fieldsCopied &+= fields
  }

  /// Copies the fields that L1 can write in the shadow VMCS to vmcs12.
  mutating func drainShadow() {
    guard isShadowing else { return }
    sync.shadowDrains &+= 1
    let plan = ShadowPlan.plan
    plan.writable.copy(from: shadow, to: vmcs12Region)
    let fields = plan.writable.fieldCount
    sync.fieldsFromShadow &+= fields
    work.vmcsReads &+= fields
    work.memoryWrites &+= fields
    work.fieldsCopied &+= fields
  }
}
