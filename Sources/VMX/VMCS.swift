/// A virtual-machine control structure: a view of one 4-KByte VMCS region in our own format.
///
/// The SDM leaves the format of the VMCS data to the processor ("Format of the VMCS Region"). Ours is: the VMCS
/// revision identifier in bytes 3:0 (bit 31 the shadow-VMCS indicator), the VMX-abort indicator in bytes 7:4, the
/// launch state in bytes 11:8, and from byte 16 one little-endian 64-bit word per field, at ``VMCSField/slot``.
/// So a VMCS in memory, a shadow VMCS that the processor reaches through the link pointer, and the vmcs12 that L0
/// keeps are all the same thing, and copying one is copying a page.
///
/// A view owns nothing: whoever made the page keeps it alive for as long as the view is used.
public struct VMCS: @unchecked Sendable {
  /// The first byte of the region; 4096 bytes, 8-byte aligned.
  public let region: UnsafeMutableRawPointer

  /// The size of a VMCS region in bytes.
  public static let size = 4096

  /// Where the first field's word lies in the region, in bytes.
  @usableFromInline
  static let fieldsOffset = 16

  @inlinable
  public init(region: UnsafeMutableRawPointer) { self.region = region }

  /// The value of `field`, zero-extended to 64 bits; a store keeps only the field's own width, and with the access
  /// type "high" changes bits 63:32 alone.
  @inlinable
  public subscript(field: VMCSField) -> UInt64 {
    @inline(__always) get {
      let word = region.load(fromByteOffset: Self.fieldsOffset &+ field.slot &* 8, as: UInt64.self)
      return field.isHighAccess ? word >> 32 : word
    }
    @inline(__always) nonmutating set {
      let offset = Self.fieldsOffset &+ field.slot &* 8
      var word = newValue & field.width.mask
      if field.isHighAccess {
        word = newValue << 32 | region.load(fromByteOffset: offset, as: UInt64.self) & 0xFFFF_FFFF
      }
      region.storeBytes(of: word, toByteOffset: offset, as: UInt64.self)
    }
  }

  /// The words of the fields: ``VMCSField/slotCount`` of them, each at its field's ``VMCSField/slot``.
  @inlinable
  public var words: UnsafeMutablePointer<UInt64> {
    (region + Self.fieldsOffset).assumingMemoryBound(to: UInt64.self)
  }

  /// The VMCS revision identifier, bits 30:0, and the shadow-VMCS indicator, bit 31.
  @inlinable
  public var revision: UInt32 {
    get { region.load(as: UInt32.self) }
    nonmutating set { region.storeBytes(of: newValue, as: UInt32.self) }
  }

  /// The VMX-abort indicator.
  @inlinable
  public var abortIndicator: UInt32 {
    get { region.load(fromByteOffset: 4, as: UInt32.self) }
    nonmutating set { region.storeBytes(of: newValue, toByteOffset: 4, as: UInt32.self) }
  }

  /// Whether the launch state is "launched" (else "clear").
  @inlinable
  public var isLaunched: Bool {
    get { region.load(fromByteOffset: 8, as: UInt32.self) != 0 }
    nonmutating set { region.storeBytes(of: newValue ? 1 : 0, toByteOffset: 8, as: UInt32.self) }
  }

  /// Copies the whole region of `other` into this one.
  @inlinable
  public func copy(from other: VMCS) {
    region.copyMemory(from: other.region, byteCount: Self.size)
  }

  /// Sets every byte of the region to zero.
  @inlinable
  public func clear() {
    region.initializeMemory(as: UInt8.self, repeating: 0, count: Self.size)
  }

  /// A cleared region of its own, to be freed by ``deallocate()``.
  public static func allocate() -> VMCS {
    let vmcs = VMCS(region: UnsafeMutableRawPointer.allocate(byteCount: size, alignment: size))
    vmcs.clear()
    return vmcs
  }

  /// Frees a region that ``allocate()`` made.
  public func deallocate() { region.deallocate() }
}
