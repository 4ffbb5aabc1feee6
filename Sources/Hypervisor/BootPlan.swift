/// The way that an image is started.
public enum BootProtocol: String, CaseIterable, Sendable {
  /// The PVH note's 32-bit entry, with the address of an hvm_start_info in EBX.
  case pvh
  /// The Multiboot 1 header's 32-bit entry, with 2BADB002H in EAX and the address of the information in EBX.
  case multiboot
  /// The ELF entry point in 64-bit mode, with identity-mapped paging of the first 4 GByte and the address of an
  /// hvm_start_info in RDI.
  case entry64
}

/// What to put into L1's memory, and where and how to start it.
struct BootPlan: Equatable {
  var bootProtocol: BootProtocol
  var entry: UInt64
  var segments: [ELFImage.Segment]

  /// The plan for `reader`'s image: by `wanted`, or else by the first way that the image offers, in the order of
  /// ``BootProtocol``.
  init(_ reader: ImageReader, by wanted: BootProtocol? = nil) throws(ImageError) {
    let elf = try ELFImage(reader)
    segments = elf.segments
    if wanted == .pvh || wanted == nil && elf.pvhEntry != nil {
      guard let pvhEntry = elf.pvhEntry else { throw reader.error("no PVH note in its PT_NOTE segments") }
      bootProtocol = .pvh
      entry = UInt64(pvhEntry)
    } else if wanted != .entry64, let header = try MultibootHeader.find(in: reader) {
      bootProtocol = .multiboot
      entry = elf.entry
      if let addresses = header.addresses {
        segments = [try header.segment(addresses, of: reader)]
        entry = UInt64(addresses.entry)
      }
    } else {
      guard wanted != .multiboot else {
        throw reader.error("no Multiboot 1 header in its first \(MultibootHeader.searchLimit) bytes")
      }
      bootProtocol = .entry64
      entry = elf.entry
    }
    guard segments.contains(where: { $0.address <= entry && entry - $0.address < $0.memorySize }) else {
      throw reader.error(
        "its entry point \(hexadecimal(entry)) (\(bootProtocol.rawValue)) is in none of its segments; link it with "
          + "an entry at a physical address that it loads")
    }
  }
}
