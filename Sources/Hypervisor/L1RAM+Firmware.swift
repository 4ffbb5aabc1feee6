import Platform
import X86

extension L1RAM {
  /// Writes the tables by which an operating system finds what the board of `configuration` has.
  ///
  /// - Returns: the L1-physical address of ACPI's root pointer, or nil if the tables do not fit into RAM.
  func writeFirmwareTables(_ configuration: BoardConfiguration) -> UInt64? {
    let tables = FirmwareTables(configuration)
    for region in tables.regions {
      let isWritten = region.bytes.withUnsafeBytes { write($0, at: PhysicalAddress<L1>(region.address)) }
      guard isWritten else { return nil }
    }
    return tables.rootPointer
  }
}
