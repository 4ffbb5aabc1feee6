import CInstructions
import NestedVMX
import VMX
import X86

/// VMCS shadowing: of the guest's VMCS for the guest, and what the guest uses of it for its own guest.
extension Carrier {
  /// Gives the processor what the core has copied to the shadow VMCS that the guest is about to run with.
  mutating func writeShadowOfGuest() {
    guard vmx.isShadowing, !vmx.isInL2, seenFieldsToShadow != vmx.sync.fieldsToShadow else { return }
    seenFieldsToShadow = vmx.sync.fieldsToShadow
    let shadow = vmcs01.shadow ?? ShadowVMCS(vmx.vmcs01[.vmcsLinkPointer], capabilities, pool)
    vmcs01.shadow = shadow
    shadow.writeChanges(ShadowBitmaps(of: vmx.vmcs01))
    current = 0
  }

  /// Takes over what the guest has written to it, before a VMX instruction with which the core wants to know. The guest's
  /// last exit has been read.
  mutating func readShadowOfGuest() {
    guard vmx.isShadowing, let shadow = vmcs01.shadow else { return }
    shadow.readBack(ShadowBitmaps(of: vmx.vmcs01))
    current = 0
  }

  /// Gives the processor the shadow VMCS that the guest's guest is about to run with, if the guest has one for it.
  mutating func writeShadowOfL2() {
    guard let page = pageOfShadowOfL2 else { return }
    let shadow = vmcs02.shadow ?? ShadowVMCS(page, capabilities, pool)
    vmcs02.shadow = shadow
    shadow.writeChanges(ShadowBitmaps(of: vmx.vmcs02))
    current = 0
  }

  /// Takes over what the guest's guest has written to it, before the guest gets an exit.
  mutating func readShadowOfL2() {
    guard vmx.isInL2, pageOfShadowOfL2 != nil, let shadow = vmcs02.shadow else { return }
    shadow.readBack(ShadowBitmaps(of: vmx.vmcs02))
    current = 0
  }

  private var pageOfShadowOfL2: UInt64? {
    guard vmx.vmcs02.effectiveSecondaryControls.contains(.vmcsShadowing) else { return nil }
    let page = vmx.vmcs02[.vmcsLinkPointer]
    return page == .max ? nil : page
  }
}
