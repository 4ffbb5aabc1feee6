import CInstructions
import VMX
import X86

/// The control fields of the VMCS that L1 runs L2 with.
struct L2Controls {
  let capabilities: VMXCapabilities
  let mistake: Mistake
  /// Whether an interrupt of L1 is to end L2's run.
  let exitsByInterrupts: Bool

  /// Writes them: what L1 wants to see of L2, and zeros. CPUID, VMCALL and triple faults exit in any case.
  func write(eptPointer: EPTPointer, _ pages: inout L1Pages) {
    var pinBased = granted(
      exitsByInterrupts ? .externalInterruptExiting : PinBasedControls())
    var primary = granted(
      [.hltExiting, .useIOBitmaps, .useMSRBitmaps, .activateSecondaryControls]
        as PrimaryProcessorBasedControls)
    var secondary = granted(.enableEPT as SecondaryProcessorBasedControls)
    if capabilities.allows(SecondaryProcessorBasedControls.enableVPID) {
      secondary.insert(.enableVPID)
      vmwrite(.vpid, 1)
    }
    spoil(&pinBased, &primary, &secondary)
    vmwrite(pinBased)
    vmwrite(primary)
    vmwrite(secondary)
    var exit: PrimaryExitControls = .hostAddressSpaceSize
    if exitsByInterrupts { exit.insert(.acknowledgeInterruptOnExit) }
    vmwrite(granted(exit))
    vmwrite(granted(.ia32eModeGuest as EntryControls))

    vmwrite(.eptPointer, eptPointer.rawValue)
    writeBitmaps(&pages)
    // Every exception of L2 exits, so that L1 can say which it was.
    vmwrite(.exceptionBitmap, 0xFFFF_FFFF)
    // A VMCS region holds anything at first.
    vmwrite(.pageFaultErrorCodeMask, 0)
    vmwrite(.pageFaultErrorCodeMatch, 0)
    vmwrite(.cr3TargetCount, 0)
    vmwrite(.exitMSRStoreCount, 0)
    vmwrite(.exitMSRLoadCount, 0)
    vmwrite(.entryMSRLoadCount, 0)
    vmwrite(.entryInterruptionInformation, 0)
    vmwrite(.cr0GuestHostMask, 0)
    vmwrite(.cr4GuestHostMask, 0)
    vmwrite(.cr0ReadShadow, 0)
    vmwrite(.cr4ReadShadow, 0)
  }

  /// `desired` and the controls that must be 1; ends the run if a desired one must be 0.
  private func granted<Word: ControlWord>(_ desired: Word) -> Word {
    let excess = capabilities.capability(of: Word.kind).excess(in: UInt64(desired.rawValue))
    if excess != 0 {
      Serial.write("failed: this processor does not offer the control \"")
      Serial.write(Word.name(ofBit: UInt8(truncatingIfNeeded: excess.trailingZeroBitCount)) ?? "reserved")
      Serial.writeLine("\"")
      finish(.failure)
    }
    return capabilities.adjusted(desired)
  }

  /// L2 has no port of its own, and one MSR that L1 keeps for it.
  private func writeBitmaps(_ pages: inout L1Pages) {
    vmwrite(.ioBitmapA, Self.pageOfOnes(&pages))
    vmwrite(.ioBitmapB, Self.pageOfOnes(&pages))
    let msrBitmap = pages.take()
    Self.intercept(.tscAux, isWrite: false, in: msrBitmap)
    Self.intercept(.tscAux, isWrite: true, in: msrBitmap)
    vmwrite(.msrBitmap, msrBitmap)
  }

  private static func pageOfOnes(_ pages: inout L1Pages) -> UInt64 {
    let page = pages.take()
    UnsafeMutablePointer<UInt64>(physical: page).update(repeating: .max, count: 512)
    return page
  }

  private static func intercept(_ register: ModelSpecificRegister, isWrite: Bool, in bitmap: UInt64) {
    // An MSR that has no bit causes a VM exit in any case.
    guard let position = MSRBitmap.position(of: register.rawValue, isWrite: isWrite) else { return }
    UnsafeMutablePointer<UInt8>(physical: bitmap &+ position.offset).pointee |= position.mask
  }

  private func spoil(
    _ pinBased: inout PinBasedControls, _ primary: inout PrimaryProcessorBasedControls,
    _ secondary: inout SecondaryProcessorBasedControls
  ) {
    switch mistake {
    case .virtualNMIs:
      pinBased.insert(.virtualNMIs)
    case .unrestrictedGuest:
      secondary.insert(.unrestrictedGuest)
      secondary.remove(.enableEPT)
    case .reservedControl:
      primary.insert(PrimaryProcessorBasedControls(rawValue: 1 << 0))
    case .none, .hostCR4, .guestRFLAGS, .revision:
      break
    }
  }
}
