import CInstructions
import NestedVMX
import VMX
import X86

/// A shadow VMCS of the processor, and the one of the nested core that it stands for: what a guest's VMREADs and VMWRITEs
/// reach without a VM exit.
///
/// Source: SDM volume 3, "VMCS Shadowing" and "VMCS Types: Ordinary and Shadow".
struct ShadowVMCS {
  /// The address of the core's, by which its VMCSs link to it.
  let page: UInt64
  /// The address of the processor's.
  let region: UInt64
  private let contents: VMCS
  /// What the processor's holds, as far as the carrier knows.
  private let known: VMCS
  private let capabilities: VMXCapabilities

  /// `page` is the core's. No VMCS is current any more.
  init(_ page: UInt64, _ capabilities: VMXCapabilities, _ pool: PagePool) {
    self.page = page
    self.capabilities = capabilities
    contents = VMCS(region: UnsafeMutableRawPointer(physical: page))
    known = VMCS(region: pool.take().bytes)
    region = pool.take().address.rawValue
    let shadowIndicator: UInt32 = 1 << 31
    UnsafeMutablePointer<UInt32>(physical: region).pointee = capabilities.basic.revision | shadowIndicator
    open()
    // A new VMCS holds anything.
    forEachField { vmwrite($0, 0) }
    close()
  }

  /// Writes what the core has changed of the fields that one of the bitmaps lets through. No VMCS is current any more.
  func writeChanges(_ bitmaps: ShadowBitmaps) {
    open()
    forEachField { field in
      let value = contents.words[field.slot]
      guard value != known.words[field.slot], bitmaps.opens(field) else { return }
      vmwrite(field, value)
      known.words[field.slot] = value
    }
    close()
  }

  /// Reads what the guest can have written. No VMCS is current any more.
  func readBack(_ bitmaps: ShadowBitmaps) {
    open()
    forEachField { field in
      guard bitmaps.opensWriting(field) else { return }
      let value = vmread(field)
      contents.words[field.slot] = value
      known.words[field.slot] = value
    }
    close()
  }

  private func open() {
    if vmptrld(region) { vmxFailed("VMPTRLD") }
  }

  /// A shadow VMCS that a guest uses must be active nowhere else.
  private func close() {
    if vmclear(region) { vmxFailed("VMCLEAR") }
  }

  private func forEachField(_ body: (VMCSField) -> Void) {
    for position in 0..<VMCSField.count {
      let field = VMCSField.rows[position].field
      if field.exists(on: capabilities) { body(field) }
    }
  }
}

/// The VMREAD and VMWRITE bitmaps of a VMCS.
struct ShadowBitmaps {
  private let read: UnsafeMutablePointer<UInt8>
  private let write: UnsafeMutablePointer<UInt8>

  init(of vmcs: VMCS) {
    read = UnsafeMutablePointer(physical: vmcs[.vmreadBitmap])
    write = UnsafeMutablePointer(physical: vmcs[.vmwriteBitmap])
  }

  /// Whether VMREAD or VMWRITE of `field` does not exit.
  func opens(_ field: VMCSField) -> Bool { Self.isOpen(field, read) || Self.isOpen(field, write) }

  func opensWriting(_ field: VMCSField) -> Bool { Self.isOpen(field, write) }

  /// The high half of a 64-bit field has a bit of its own.
  private static func isOpen(_ field: VMCSField, _ bitmap: UnsafeMutablePointer<UInt8>) -> Bool {
    isOpen(UInt64(field.rawValue), bitmap)
      || field.width == .w64 && isOpen(UInt64(field.rawValue) | 1, bitmap)
  }

  private static func isOpen(_ operand: UInt64, _ bitmap: UnsafeMutablePointer<UInt8>) -> Bool {
    guard let position = VMCSShadowingBitmap.position(of: operand) else { return false }
    return bitmap[Int(position.offset & 0xFFF)] & position.mask == 0
  }
}
