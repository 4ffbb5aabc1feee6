import InstructionDecoder
import X86

// Binary-coded decimal: SDM volume 1, "Decimal Arithmetic Instructions".
extension Core {
  /// DAA and DAS.
  func executeDecimalAdjust(subtracting: Bool) {
    let old = self[.rax] & 0xFF
    let oldCarry = flags.pointee.carry
    var al = old
    var carry = false
    let adjust = old & 0xF > 9 || flags.pointee.adjust
    if adjust {
      carry = oldCarry || (subtracting ? old < 6 : old > 0xF9)
      al = subtracting ? al &- 6 : al &+ 6
    }
    if old > 0x99 || oldCarry {
      al = subtracting ? al &- 0x60 : al &+ 0x60
      carry = true
    }
    writeRegister(0, al, .byte)
    flags.pointee.set(
      al, .byte, bits: (carry ? StatusFlags.cf : 0) | (adjust ? StatusFlags.af : 0))
  }

  /// AAA and AAS.
  func executeASCIIAdjust(subtracting: Bool) {
    let adjust = self[.rax] & 0xF > 9 || flags.pointee.adjust
    var ax = self[.rax] & 0xFFFF
    if adjust { ax = subtracting ? ax &- 0x106 : ax &+ 0x106 }
    ax &= 0xFF0F
    writeRegister(0, ax, .word)
    flags.pointee.set(ax, .byte, bits: adjust ? StatusFlags.cf | StatusFlags.af : 0)
  }

  /// AAM: #DE for base zero.
  func executeASCIIAdjustProduct(base: UInt64) throws(Interruption) {
    let base = base & 0xFF
    guard base != 0 else { throw raise(.divideError) }
    let al = self[.rax] & 0xFF
    writeRegister(0, (al / base) &<< 8 | al % base, .word)
    flags.pointee.set(al % base, .byte, bits: 0)
  }

  /// AAD.
  func executeASCIIAdjustQuotient(base: UInt64) {
    let ax = self[.rax]
    let al = (ax &+ (ax &>> 8) &* base) & 0xFF
    writeRegister(0, al, .word)
    flags.pointee.set(al, .byte, bits: 0)
  }
}
