import Testing
import VMX

@Suite struct BitmapTests {
  /// SDM volume 3, "MSR-Bitmap Address": reads low, reads high, writes low, writes high, 1 KByte each.
  @Test func msrBitmap() {
    #expect(MSRBitmap.position(of: 0, isWrite: false) == BitmapPosition(bit: 0))
    #expect(MSRBitmap.position(of: 0x1FFF, isWrite: false) == BitmapPosition(bit: 8191))
    #expect(MSRBitmap.position(of: 0xC000_0080, isWrite: false) == BitmapPosition(bit: 0x80, start: 1024))
    #expect(MSRBitmap.position(of: 0x174, isWrite: true) == BitmapPosition(bit: 0x174, start: 2048))
    #expect(MSRBitmap.position(of: 0xC000_1FFF, isWrite: true) == BitmapPosition(bit: 8191, start: 3072))
    for index: UInt32 in [0x2000, 0xBFFF_FFFF, 0xC000_2000, .max] {
      #expect(MSRBitmap.position(of: index, isWrite: false) == nil)
    }
    let position = BitmapPosition(bit: 0x174, start: 2048)
    #expect(position.offset == 2048 + 46 && position.mask == 0x10)
  }

  @Test func ioBitmap() {
    #expect(IOBitmap.field(for: 0x7FFF) == .ioBitmapA && IOBitmap.field(for: 0x8000) == .ioBitmapB)
    #expect(IOBitmap.position(of: 0x3F8) == BitmapPosition(bit: 0x3F8))
    #expect(IOBitmap.position(of: 0xFFFF) == BitmapPosition(bit: 0x7FFF))
    #expect(IOBitmap.position(of: 0xFFFF).offset == 4095)
  }

  @Test func shadowingBitmap() {
    #expect(VMCSShadowingBitmap.position(of: 0x681E) == BitmapPosition(bit: 0x681E))
    #expect(VMCSShadowingBitmap.position(of: 0x7FFF)?.offset == 4095)
    #expect(VMCSShadowingBitmap.position(of: 0x8000) == nil)
    #expect(VMCSShadowingBitmap.position(of: 1 << 63) == nil)
  }
}
