import CInstructions
import VMX
import X86

/// The control fields of the VMCS that L1 runs L2 with.
struct L2Controls {
  let capabilities: VMXCapabilities
  let mistake: Mistake

  /// Writes them: what L1 wants to see of L2 (CPUID, VMCALL and triple faults exit in any case), and zeros.
  func write(eptPointer: UInt64, _ pages: inout L1Pages) {
    var pinBased = granted(PinBasedControls())
    var primary = granted(
      [.hltExiting, .useIOBitmaps, .useMSRBitmaps, .activateSecondaryControls] as PrimaryProcessorBasedControls)
    var secondary = granted(.enableEPT as SecondaryProcessorBasedControls)
    if capabilities.allows(SecondaryProcessorBasedControls.enableVPID) {
      secondary.insert(.enableVPID)
      vmwrite(.vpid, 1)
    }
    spoil(&pinBased, &primary, &secondary)
    vmwrite(pinBased)
    vmwrite(primary)
    vmwrite(secondary)
    vmwrite(granted(.hostAddressSpaceSize as PrimaryExitControls))
    vmwrite(granted(.ia32eModeGuest as EntryControls))

    vmwrite(.eptPointer, eptPointer)
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
    MSRBitmap(page: msrBitmap).intercept(.tscAux)
    vmwrite(.msrBitmap, msrBitmap)
  }

  private static func pageOfOnes(_ pages: inout L1Pages) -> UInt64 {
    let page = pages.take()
    UnsafeMutablePointer<UInt64>(physical: page).update(repeating: .max, count: 512)
    return page
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

/// An MSR bitmap: 1 KByte each for reads of the low MSRs, reads of the high ones, writes of low, and of high ones.
///
/// Source: SDM volume 3, "MSR-Bitmap Address".
struct MSRBitmap {
  private let bytes: UnsafeMutablePointer<UInt8>

  init(page: UInt64) { bytes = UnsafeMutablePointer(physical: page) }

  /// Makes RDMSR and WRMSR of `register` exit.
  func intercept(_ register: ModelSpecificRegister) {
    let bit = Int(register.rawValue & 0x1FFF)
    let reads = bytes + (register.rawValue >= 0xC000_0000 ? 1024 : 0) + (bit >> 3)
    let writes = reads + 2048
    reads.pointee |= 1 << UInt8(bit & 7)
    writes.pointee |= 1 << UInt8(bit & 7)
  }
}
