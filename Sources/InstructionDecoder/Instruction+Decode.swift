extension Instruction {
  /// The instruction whose first of `count` bytes is at `bytes`.
  ///
  /// Whether a feature, privilege or operating mode beyond `mode` lets it execute is not asked here.
  /// - Throws: ``DecodeFailure``; `.truncated` only when fewer than 15 bytes were given.
  public static func decode(
    _ bytes: UnsafePointer<UInt8>, count: Int, mode: DecodeMode
  ) throws(DecodeFailure) -> Instruction {
    var decoder = Decoder(ByteCursor(bytes, count: count), mode)
    try decoder.readPrefixes()
    let row = try decoder.readOpcode()
    try decoder.readOperands(row)
    try decoder.checkLock(row)
    decoder.instruction.length = UInt8(truncatingIfNeeded: decoder.cursor.offset)
    return decoder.instruction
  }
}
