/// A memory type by its encoding in the PAT, the MTRRs, EPT entries and EPTP.
///
/// Source: SDM volume 3, "Memory Types That Can Be Encoded With PAT".
public enum MemoryType: UInt8, CaseIterable, Sendable {
  case uncacheable = 0
  case writeCombining = 1
  case writeThrough = 4
  case writeProtected = 5
  case writeBack = 6
  /// UC-: only in the PAT.
  case uncached = 7

  /// Whether each of the eight bytes of `pat`, a value of IA32_PAT, is a memory type.
  @inlinable
  public static func isValidPAT(_ pat: UInt64) -> Bool {
    // A type is 0, 1 or 4 to 7: bits 7:3 are 0, and bit 1 is 0 unless bit 2 is 1.
    pat & 0xF8F8_F8F8_F8F8_F8F8 == 0 && pat & 0x0202_0202_0202_0202 & ~(pat >> 1) == 0
  }

  /// The value of IA32_PAT after reset.
  @inlinable public static var initialPAT: UInt64 { 0x0007_0406_0007_0406 }
}
