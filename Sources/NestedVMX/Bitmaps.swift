import VMX
import X86

/// The 64-bit words of an MSR bitmap that let at least one access through: a bit per word.
struct OpenWords {
  var bits: InlineArray<8, UInt64> = InlineArray(repeating: 0)

  /// The words of `bitmap`, 4 KByte, that are not all ones.
  init(of bitmap: UnsafeMutableRawPointer) {
    for word in 0..<512 where bitmap.load(fromByteOffset: word &* 8, as: UInt64.self) != .max {
      bits[word >> 6] |= 1 << UInt64(word & 63)
    }
  }
}

extension VirtualVMX {
  /// Has the next merge look at vmcs01's MSR bitmap anew. To be called when L0 changes the bitmap.
  public mutating func forgetBitmaps() { openMSRWords = nil }

  /// Merges the bitmaps of both levels, and decides which of the controls that use them vmcs02 has.
  mutating func mergeBitmaps() {
    merge.bitmapControls = []
    mergeMSRBitmap()
    mergeIOBitmaps()
  }

  /// An MSR access exits if L0 or L1 intercepts it. L0's bitmap lets few through, so that only its open words need
  /// L1's.
  mutating func mergeMSRBitmap() {
    guard vmcs01.primaryProcessorBasedControls.contains(.useMSRBitmaps),
      vmcs12Region.primaryProcessorBasedControls.contains(.useMSRBitmaps),
      let bitmap01 = pages.pointer(to: PhysicalAddress(vmcs01[.msrBitmap]))
    else { return }
    let merged = ownPages.msrBitmap.bytes
    let open: OpenWords
    if let known = openMSRWords {
      open = known
    } else {
      merged.initializeMemory(as: UInt8.self, repeating: 0xFF, count: 4096)
      open = OpenWords(of: bitmap01)
      openMSRWords = open
    }
    let bitmap12 = PhysicalAddress<L1>(vmcs12Region[.msrBitmap])
    for group in 0..<8 {
      var words = open.bits[group]
      while words != 0 {
        let offset = (group &* 64 &+ words.trailingZeroBitCount) &* 8
        words &= words &- 1
        let word01 = bitmap01.load(fromByteOffset: offset, as: UInt64.self)
        let word12 = memory.word(at: bitmap12 + UInt64(offset)) ?? .max
        merged.storeBytes(of: word01 | word12, toByteOffset: offset, as: UInt64.self)
        work.memoryReads &+= 2
        work.memoryWrites &+= 1
      }
    }
    mergeX2APICBitmap(bitmap01)
    merge.bitmapControls.insert(.useMSRBitmaps)
    merge.msrBitmap = ownPages.msrBitmap.address.rawValue
  }

  /// An I/O access exits if L0 or L1 intercepts it. A level without bitmaps intercepts every port or none.
  mutating func mergeIOBitmaps() {
    let controls01 = vmcs01.primaryProcessorBasedControls
    let controls12 = vmcs12Region.primaryProcessorBasedControls
    let all01 = controls01.contains(.unconditionalIOExiting) && !controls01.contains(.useIOBitmaps)
    let all12 = controls12.contains(.unconditionalIOExiting) && !controls12.contains(.useIOBitmaps)
    if all01 || all12 {
      merge.bitmapControls.insert(.unconditionalIOExiting)
      return
    }
    let uses01 = controls01.contains(.useIOBitmaps)
    let uses12 = controls12.contains(.useIOBitmaps)
    guard uses01 || uses12 else { return }
    mergeIOBitmap(.ioBitmapA, into: ownPages.ioBitmapA.bytes, uses01, uses12)
    mergeIOBitmap(.ioBitmapB, into: ownPages.ioBitmapB.bytes, uses01, uses12)
    merge.bitmapControls.insert(.useIOBitmaps)
    merge.ioBitmapA = ownPages.ioBitmapA.address.rawValue
    merge.ioBitmapB = ownPages.ioBitmapB.address.rawValue
  }

  mutating func mergeIOBitmap(
    _ field: VMCSField, into merged: UnsafeMutableRawPointer, _ uses01: Bool, _ uses12: Bool
  ) {
    let bitmap01 = uses01 ? pages.pointer(to: PhysicalAddress(vmcs01[field])) : nil
    let bitmap12 = PhysicalAddress<L1>(vmcs12Region[field])
    for offset in stride(from: 0, to: 4096, by: 8) {
      var word: UInt64 = 0
      if uses01 { word |= bitmap01?.load(fromByteOffset: offset, as: UInt64.self) ?? .max }
      if uses12 { word |= memory.word(at: bitmap12 + UInt64(offset)) ?? .max }
      merged.storeBytes(of: word, toByteOffset: offset, as: UInt64.self)
    }
    work.memoryReads &+= (uses01 ? 512 : 0) &+ (uses12 ? 512 : 0)
    work.memoryWrites &+= 512
  }
}
