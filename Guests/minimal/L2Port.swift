import VMX

/// The port that L2 writes to: the second serial port, which L1 only pretends to have.
enum L2Port {
  static var number: UInt16 { 0x2F8 }

  /// What the exit qualification says of OUT DX, AL.
  static var output: IOQualification { IOQualification(port: number, size: 1, isIn: false) }
}
