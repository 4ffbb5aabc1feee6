/// The I/O instruction of an exit qualification.
struct L2Port: Equatable {
  var rawValue: UInt64
  init(_ q: UInt64) { rawValue = q }
  static var number: UInt16 { 0x2F8 }
  /// A 1-byte OUT, with the port number in DX.
  static var expected: Self { Self(UInt64(number) << 16) }
}
