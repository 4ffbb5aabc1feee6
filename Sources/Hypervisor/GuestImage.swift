/// The bytes of a guest image and the name that errors call it by.
///
/// Accepted as L1's image is a Linux bzImage, or an ELF file that can be started in one of three ways, tried in this
/// order: a PVH note, a Multiboot 1 header, or else its ELF entry point in 64-bit mode; or any file whose Multiboot 1
/// header says what to load.
public struct GuestImage: Sendable {
  /// The name for errors: a path, or the name of a built-in guest.
  public var name: String
  public var bytes: [UInt8]

  public init(name: String, bytes: [UInt8]) {
    self.name = name
    self.bytes = bytes
  }
}
