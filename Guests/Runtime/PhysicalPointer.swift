// A guest's paging maps its memory to itself, so that a physical address is a pointer.

extension UnsafeMutablePointer {
  init(physical address: UInt64) {
    // The address is a linker symbol or lies in a page that the guest owns: never 0.
    self = Self(bitPattern: UInt(address)).unsafelyUnwrapped
  }

  /// The physical address of the memory behind this pointer.
  var physical: UInt64 { UInt64(UInt(bitPattern: self)) }
}

extension UnsafeMutableRawPointer {
  init(physical address: UInt64) {
    // As above: never 0.
    self = Self(bitPattern: UInt(address)).unsafelyUnwrapped
  }
}
