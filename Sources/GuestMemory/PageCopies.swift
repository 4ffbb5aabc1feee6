/// Which pages of RAM somebody keeps a copy of, and which of them were written since: one byte per page.
///
/// Whoever copies a page also marks it in ``PhysicalMemory/codePages``, so that whatever stores to such pages by L0's hand
/// or by the software processor takes the slow path that looks here. A trivial value that refers to its memory's bytes.
public struct PageCopies: @unchecked Sendable {
  let marks: UnsafeMutablePointer<UInt8>
  let writes: UnsafeMutablePointer<UInt64>

  /// There is a copy, and the page has not been written since.
  @inlinable public static var current: UInt8 { 1 }
  /// There is a copy, and the page has been written since.
  @inlinable public static var stale: UInt8 { 2 }

  /// The mark of page number `page`: 0, ``current`` or ``stale``.
  public subscript(page: Int) -> UInt8 {
    get { marks[page] }
    nonmutating set { marks[page] = newValue }
  }

  /// Whether there is a copy of the page.
  public func watches(_ page: Int) -> Bool { marks[page] != 0 }

  /// Grows whenever a current copy becomes stale.
  public var writeCount: UInt64 { writes.pointee }

  /// Makes the copy of a page stale.
  public func noteWrite(_ page: Int) {
    marks[page] = Self.stale
    writes.pointee &+= 1
  }
}
