import VMX
import X86

/// What VM entries have been checked: copies of VMCSs that passed every check.
///
/// The checks are a pure function of the VMCS and of what the link pointer names, so a VMCS that differs from its copy
/// only in fields that no check reads (or in RIP, whose check is made here) passes again. Between two entries of one
/// guest that is the usual case.
struct EntryMemo {
  private let copies: UnsafeMutableRawPointer
  private let keys: UnsafeMutablePointer<Key>
  private var next = 0

  /// Which VMCS a copy is of, and the first bytes of the VMCS that its link pointer names.
  private struct Key {
    var region: UnsafeMutableRawPointer?
    var linked: UInt64 = 0
  }

  /// vmcs01 and vmcs02, and room for more.
  private static let capacity = 4

  init() {
    copies = .allocate(byteCount: VMCS.size * Self.capacity, alignment: VMCS.size)
    keys = .allocate(capacity: Self.capacity)
    keys.initialize(repeating: Key(), count: Self.capacity)
  }

  func deallocate() {
    copies.deallocate()
    keys.deallocate()
  }

  private func copy(_ index: Int) -> VMCS { VMCS(region: copies + index * VMCS.size) }

  /// Whether `vmcs` is known to pass; `linked` is what the checks would read through its link pointer.
  func passes(_ vmcs: VMCS, linked: UInt64) -> Bool {
    for index in 0..<Self.capacity
    where keys[index].region == vmcs.region && keys[index].linked == linked {
      let copy = copy(index)
      copyUncheckedFields(from: vmcs, to: copy)
      guard isPlainRIP(vmcs) else { return false }
      return vmcs.hasSameBytes(as: copy)
    }
    return false
  }

  /// Remembers that `vmcs` has passed every check.
  mutating func remember(_ vmcs: VMCS, linked: UInt64) {
    guard Self.isSelfContained(vmcs) else { return }
    var index = next
    for candidate in 0..<Self.capacity where keys[candidate].region == vmcs.region { index = candidate }
    if index == next { next = (next + 1) % Self.capacity }
    keys[index] = Key(region: vmcs.region, linked: linked)
    copy(index).copy(from: vmcs)
  }

  /// Whether the checks read no memory but through the link pointer: no PDPTEs, no virtual TPR.
  private static func isSelfContained(_ vmcs: VMCS) -> Bool {
    let usesPDPTEs =
      CR4(rawValue: vmcs[.guestCR4]).contains(.pae) && !vmcs.entryControls.contains(.ia32eModeGuest)
    return !usesPDPTEs && !vmcs.primaryProcessorBasedControls.contains(.useTPRShadow)
  }

  /// The check of RIP, for a canonical one in 64-bit mode and for one below 4 GByte in any (SDM volume 3, "Checks on
  /// Guest RIP, RFLAGS, and SSP").
  private func isPlainRIP(_ vmcs: VMCS) -> Bool {
    let rip = vmcs[.guestRIP]
    if rip >> 32 == 0 { return true }
    return vmcs[.guestCSAccessRights] & 0x2000 != 0 && vmcs.entryControls.contains(.ia32eModeGuest)
      && X86.AddressForm.isCanonical(rip)
  }

  /// The fields that no check reads, and RIP. The status flags of RFLAGS are not checked either.
  private func copyUncheckedFields(from vmcs: VMCS, to copy: VMCS) {
    copy[.guestRIP] = vmcs[.guestRIP]
    copy[.guestRSP] = vmcs[.guestRSP]
    let status = RFLAGS.status.rawValue
    copy[.guestRFLAGS] = copy[.guestRFLAGS] & ~status | vmcs[.guestRFLAGS] & status
    copy[.tscOffset] = vmcs[.tscOffset]
    copy[.preemptionTimerValue] = vmcs[.preemptionTimerValue]
    copy[.vmInstructionError] = vmcs[.vmInstructionError]
    copy[.exitReason] = vmcs[.exitReason]
    copy[.exitInterruptionInformation] = vmcs[.exitInterruptionInformation]
    copy[.exitInterruptionErrorCode] = vmcs[.exitInterruptionErrorCode]
    copy[.idtVectoringInformation] = vmcs[.idtVectoringInformation]
    copy[.idtVectoringErrorCode] = vmcs[.idtVectoringErrorCode]
    copy[.exitInstructionLength] = vmcs[.exitInstructionLength]
    copy[.exitInstructionInformation] = vmcs[.exitInstructionInformation]
    copy[.exitQualification] = vmcs[.exitQualification]
    copy[.guestLinearAddress] = vmcs[.guestLinearAddress]
    copy[.guestPhysicalAddress] = vmcs[.guestPhysicalAddress]
  }
}

extension VMCS {
  /// Whether the header and every field are the same in `other`.
  fileprivate func hasSameBytes(as other: VMCS) -> Bool {
    var difference: UInt64 = 0
    for offset in stride(from: 0, to: 16 + VMCSField.slotCount * 8, by: 8) {
      difference |=
        region.load(fromByteOffset: offset, as: UInt64.self)
        ^ other.region.load(fromByteOffset: offset, as: UInt64.self)
    }
    return difference == 0
  }
}
