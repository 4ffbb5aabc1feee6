/// Where Intel's processors, which the software processor follows, and those of other vendors differ: a host of another
/// vendor is no reference there, and its families are left out.
enum PropertyVendors {
  /// Why a family's results differ, by its name.
  static let results: [String: String] = [
    "RCPPS, RSQRTPS": "the approximations are of the vendor's choice within an error bound",
    "VRCPPS, RSQRTPS": "the approximations are of the vendor's choice within an error bound",
    "LDMXCSR, STMXCSR": "MXCSR has AMD's bit 17, misaligned SSE",
    "FXSAVE, FXRSTOR": "MXCSR_MASK has AMD's bit 17, misaligned SSE",
    "XSAVE, XRSTOR": "MXCSR_MASK has AMD's bit 17, misaligned SSE",
    "XSAVEOPT": "MXCSR_MASK has AMD's bit 17, misaligned SSE",
    "XSAVEC": "MXCSR_MASK has AMD's bit 17, misaligned SSE",
    "DPPS, DPPD": "which of several NaNs is the sum follows the order of the additions",
    "VDPPS, DPPD": "which of several NaNs is the sum follows the order of the additions",
    "VCVTPH2PS, VCVTPS2PH": "an unmasked underflow sets no PE on AMD's",
    "VPINSRB, PEXTRB, INSERTPS…": "VEX.W outside 64-bit mode is undefined on AMD's, ignored on Intel's",
  ]

  /// Why what a family leaves behind when it faults differs, by its name.
  static let faults: [String: String] = [
    "strings": "the flags of the iterations before a page fault are written on AMD's",
    "FLD, FST, FILD, FIST…": "an unmasked exception of a store comes before its page fault on Intel's",
  ]
}

extension PropertyFamily {
  /// Whether the host's CPU is a reference for it; with `faulting`, for its page faults too.
  func isComparable(faulting: Bool = false) -> Bool {
    guard PropertyHostCPU.has(feature) else { return false }
    if PropertyHostCPU.has("GenuineIntel") { return true }
    return PropertyVendors.results[name] == nil && !(faulting && PropertyVendors.faults[name] != nil)
  }
}
