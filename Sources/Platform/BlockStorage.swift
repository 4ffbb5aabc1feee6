/// What is behind a virtio block device: sectors of 512 bytes.
public protocol BlockStorage: AnyObject {
  var sectorCount: UInt64 { get }
  var isReadOnly: Bool { get }
  /// What a guest is told of its identity: at most 20 bytes.
  var identity: String { get }
  /// Fills `target`, a multiple of 512 bytes, from `sector`; false if that fails.
  func read(_ sector: UInt64, into target: UnsafeMutableRawBufferPointer) -> Bool
  /// Writes `source`, a multiple of 512 bytes, from `sector`; false if that fails.
  func write(_ source: UnsafeRawBufferPointer, to sector: UInt64) -> Bool
  /// Brings all that was written to stable storage; false if that fails.
  func flush() -> Bool
}
