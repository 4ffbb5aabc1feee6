import VMX
import X86

/// What VM entries have been checked: copies of VMCSs that passed every check.
///
/// The checks are a pure function of the VMCS and of its circumstances, so a VMCS that differs from its copy only in
/// fields that no check reads (or in RIP, whose check is made here) passes again. Between two entries of one guest
/// that is the usual case.
public struct EntryMemo: @unchecked Sendable {
  /// A VMCS that passed, by its region, and under which circumstances.
  private struct Entry {
    var region: UnsafeMutableRawPointer?
    var circumstances: EntryCircumstances?
    let copy: VMCS
  }

  /// Room for vmcs01, vmcs02 and the VMCSs of a few virtual processors.
  private static let capacity = 4

  private let entries: UnsafeMutablePointer<Entry>
  /// The entry to be replaced next.
  private let next: UnsafeMutablePointer<Int>

  /// A memo that knows nothing, to be freed by ``deallocate()``.
  public init() {
    entries = .allocate(capacity: Self.capacity)
    for index in 0..<Self.capacity {
      (entries + index).initialize(to: Entry(region: nil, circumstances: nil, copy: .allocate()))
    }
    next = .allocate(capacity: 1)
    next.initialize(to: 0)
  }

  public func deallocate() {
    for index in 0..<Self.capacity { entries[index].copy.deallocate() }
    entries.deallocate()
    next.deallocate()
  }

  /// Whether `vmcs` is known to pass every check in `circumstances`.
  public func passes(_ vmcs: VMCS, in circumstances: EntryCircumstances) -> Bool {
    for index in 0..<Self.capacity where entries[index].region == vmcs.region {
      guard entries[index].circumstances == circumstances else { continue }
      let copy = entries[index].copy
      takeUncheckedFields(of: vmcs, into: copy)
      return hasPlainRIP(vmcs) && vmcs.hasSameFields(as: copy)
    }
    return false
  }

  /// Remembers that `vmcs` has passed every check in `circumstances`.
  public func remember(_ vmcs: VMCS, in circumstances: EntryCircumstances) {
    guard !loadsPDPTEs(vmcs) else { return }
    var index = next.pointee
    for candidate in 0..<Self.capacity
    where entries[candidate].region == vmcs.region
      && entries[candidate].circumstances?.currentVMCSPointer == circumstances.currentVMCSPointer
    {
      index = candidate
    }
    if index == next.pointee { next.pointee = (index &+ 1) % Self.capacity }
    entries[index].region = vmcs.region
    entries[index].circumstances = circumstances
    entries[index].copy.copy(from: vmcs)
  }

  /// Whether the checks may read PDPTEs in memory, which are no part of the circumstances.
  private func loadsPDPTEs(_ vmcs: VMCS) -> Bool {
    CR4(rawValue: vmcs[.guestCR4]).contains(.pae) && !vmcs.entryControls.contains(.ia32eModeGuest)
      && !vmcs.effectiveSecondaryControls.contains(.enableEPT)
  }

  /// The check of RIP, for a canonical one in 64-bit mode and for one below 4 GByte in any (SDM volume 3, "Checks on
  /// Guest RIP, RFLAGS, and SSP").
  private func hasPlainRIP(_ vmcs: VMCS) -> Bool {
    let rip = vmcs[.guestRIP]
    if rip >> 32 == 0 { return true }
    return vmcs[.guestCSAccessRights] & 0x2000 != 0 && vmcs.entryControls.contains(.ia32eModeGuest)
      && X86.AddressForm.isCanonical(rip)
  }

  /// Gives `copy` the fields that no check reads, and RIP. The status flags of RFLAGS are not checked either.
  private func takeUncheckedFields(of vmcs: VMCS, into copy: VMCS) {
    copy[.guestRIP] = vmcs[.guestRIP]
    copy[.guestRSP] = vmcs[.guestRSP]
    let status = RFLAGS.status.rawValue
    copy[.guestRFLAGS] = copy[.guestRFLAGS] & ~status | vmcs[.guestRFLAGS] & status
    copy[.tscOffset] = vmcs[.tscOffset]
    copy[.preemptionTimerValue] = vmcs[.preemptionTimerValue]
    copy[.guestInterruptStatus] = vmcs[.guestInterruptStatus]
    copy[.eoiExitBitmap0] = vmcs[.eoiExitBitmap0]
    copy[.eoiExitBitmap1] = vmcs[.eoiExitBitmap1]
    copy[.eoiExitBitmap2] = vmcs[.eoiExitBitmap2]
    copy[.eoiExitBitmap3] = vmcs[.eoiExitBitmap3]
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
  /// Whether every field is the same in `other`: one loop over all words, which takes less time than leaving any out.
  fileprivate func hasSameFields(as other: VMCS) -> Bool {
    let words = words
    let others = other.words
    var difference: UInt64 = 0
    for slot in 0..<VMCSField.slotCount { difference |= words[slot] ^ others[slot] }
    return difference == 0
  }
}
