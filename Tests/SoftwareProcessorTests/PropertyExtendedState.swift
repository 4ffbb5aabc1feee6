/// The x87, SSE and AVX state of a case, before or after its instruction: the image of an XSAVE area in the standard
/// form, of the components x87, SSE and AVX.
///
/// Source: SDM volume 1, "XSAVE Area".
struct PropertyExtendedState: Equatable {
  /// The legacy region, the header, and the upper halves of the YMM registers.
  static let size = 832

  private(set) var bytes: [UInt8]

  /// Sentences on what differs from `expected`; the pointers to the last x87 instruction and operand, which processors
  /// keep in different ways, are not compared.
  func differences(from expected: PropertyExtendedState, _ tolerance: PropertyTolerance) -> [String] {
    guard self != expected else { return [] }
    var result: [String] = []
    func compare<T: FixedWidthInteger>(_ name: String, _ actual: T, _ expected: T) {
      guard actual != expected else { return }
      result.append("\(name) is \(String(actual, radix: 16)), expected \(String(expected, radix: 16))")
    }
    compare("FCW", controlWord, expected.controlWord)
    let defined = ~tolerance.undefinedStatus
    compare("FSW", statusWord & defined, expected.statusWord & defined)
    compare("FTW", tags, expected.tags)
    compare("MXCSR", mxcsr, expected.mxcsr)
    for index in 0..<8
    where !self[st: index].isNear(expected[st: index], ulps: index < 2 ? tolerance.ulps : 0) {
      result.append("ST(\(index)) is \(self[st: index]), expected \(expected[st: index])")
    }
    for register in 0..<16 {
      for word in 0..<4 {
        compare("YMM\(register), word \(word),", self[ymm: register, word], expected[ymm: register, word])
      }
    }
    return result
  }

  /// As FNINIT leaves the x87 FPU, and a reset MXCSR; all registers are zero.
  init() {
    bytes = [UInt8](repeating: 0, count: Self.size)
    controlWord = 0x37F
    mxcsr = 0x1F80
    self[512] = UInt64(7)
  }

  /// What `image` says; a component that its XSTATE_BV lacks is in its initial configuration.
  init(image: UnsafeRawBufferPointer) {
    self.init()
    let components = image.loadUnaligned(fromByteOffset: 512, as: UInt64.self)
    func copy(_ range: Range<Int>, if component: UInt64) {
      guard components & component != 0 else { return }
      bytes.replaceSubrange(range, with: image[range])
    }
    copy(0..<24, if: 1)
    copy(32..<160, if: 1)
    copy(24..<28, if: ~0)
    copy(160..<416, if: 2)
    copy(576..<832, if: 4)
  }

  /// The image whose header has the components that are not in their initial configuration: what XRSTOR loads otherwise
  /// counts as in use, whatever it is.
  var image: [UInt8] {
    var image = self
    let initial = Self()
    func differs(_ range: Range<Int>) -> Bool { bytes[range] != initial.bytes[range] }
    var components: UInt64 = differs(0..<24) || differs(32..<160) ? 1 : 0
    if differs(160..<416) { components |= 2 }
    if differs(576..<832) { components |= 4 }
    image[512] = components
    return image.bytes
  }

  /// What `fill` writes into an image.
  init(filledBy fill: (UnsafeMutableRawBufferPointer) -> Void) {
    bytes = [UInt8](repeating: 0, count: Self.size)
    bytes.withUnsafeMutableBytes(fill)
  }

  subscript<T: FixedWidthInteger>(_ offset: Int) -> T {
    get { bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: T.self) } }
    set { bytes.withUnsafeMutableBytes { $0.storeBytes(of: newValue, toByteOffset: offset, as: T.self) } }
  }

  // MARK: x87

  var controlWord: UInt16 {
    get { self[0] }
    set { self[0] = newValue }
  }

  /// TOP is in bits 13:11.
  var statusWord: UInt16 {
    get { self[2] }
    set { self[2] = newValue }
  }

  /// One bit for each of R0 to R7: 1 if it is not empty.
  var tags: UInt8 {
    get { self[4] }
    set { self[4] = newValue }
  }

  /// ST(`index`).
  subscript(st index: Int) -> PropertyX87Value {
    get { PropertyX87Value(significand: self[32 + index * 16], signAndExponent: self[40 + index * 16]) }
    set {
      self[32 + index * 16] = newValue.significand
      self[40 + index * 16] = newValue.signAndExponent
    }
  }

  /// The x87 state, if it is not the initial one.
  var summary: String {
    guard self != PropertyExtendedState() else { return "" }
    let stack = (0..<8).map { self[st: $0].description }.joined(separator: " ")
    func hex(_ value: UInt16) -> String { String(value, radix: 16) }
    let vectors = (0..<16).map { register in
      "Y\(register)="
        + (0..<4).reversed().map { String(self[ymm: register, $0], radix: 16) }.joined(separator: "_")
    }
    return " FCW=\(hex(controlWord)) FSW=\(hex(statusWord)) FTW=\(hex(UInt16(tags))) \(stack) "
      + "MXCSR=\(String(mxcsr, radix: 16)) " + vectors.joined(separator: " ")
  }

  // MARK: SSE and AVX

  var mxcsr: UInt32 {
    get { self[24] }
    set { self[24] = newValue }
  }

  /// 64-bit word `word`, 0 to 3, of YMM register `register`.
  subscript(ymm register: Int, word: Int) -> UInt64 {
    get { self[Self.offset(register, word)] }
    set { self[Self.offset(register, word)] = newValue }
  }

  private static func offset(_ register: Int, _ word: Int) -> Int {
    word < 2 ? 160 + register * 16 + word * 8 : 576 + register * 16 + (word - 2) * 8
  }
}

/// An 80-bit x87 register.
struct PropertyX87Value: Equatable, CustomStringConvertible {
  var significand: UInt64 = 0
  var signAndExponent: UInt16 = 0

  var description: String {
    String(signAndExponent, radix: 16) + ":" + String(significand, radix: 16)
  }

  /// Whether the two are at most `ulps` units in the last place apart.
  func isNear(_ other: PropertyX87Value, ulps: UInt64) -> Bool {
    if self == other { return true }
    guard ulps > 0, (signAndExponent ^ other.signAndExponent) & 0x8000 == 0 else { return false }
    func position(_ value: PropertyX87Value) -> UInt128 {
      UInt128(value.signAndExponent & 0x7FFF) << 63 + UInt128(value.significand & ~(1 << 63))
    }
    let (a, b) = (position(self), position(other))
    return (a > b ? a - b : b - a) <= UInt128(ulps)
  }
}
