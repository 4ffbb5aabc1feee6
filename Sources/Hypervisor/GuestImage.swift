/// The bytes of a guest image and the name that errors call it by.
///
/// Accepted is an ELF64 file for x86-64 that can be started in one of three ways, tried in this order: a PVH note, a
/// Multiboot 1 header, or else its ELF entry point in 64-bit mode.
public struct GuestImage: Sendable {
  /// The name for errors: a path, or the name of a built-in guest.
  public var name: String
  public var bytes: [UInt8]

  public init(name: String, bytes: [UInt8]) {
    self.name = name
    self.bytes = bytes
  }
}
