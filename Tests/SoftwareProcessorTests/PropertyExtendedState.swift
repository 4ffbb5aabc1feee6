/// The x87, SSE and AVX state of a case, before or after its instruction: the image of an XSAVE area in the standard
/// form, of the components x87, SSE and AVX.
///
/// Source: SDM volume 1, "XSAVE Area".
struct PropertyExtendedState: Equatable {
  /// The legacy region, the header, and the upper halves of the YMM registers.
  static let size = 832

  private(set) var bytes: [UInt8]

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
struct PropertyX87Value: Equatable {
  var significand: UInt64 = 0
  var signAndExponent: UInt16 = 0
}
