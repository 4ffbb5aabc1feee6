/// A virtio block device.
///
/// Source: Virtual I/O Device (VIRTIO) 1.2, "Block Device".
public final class VirtioBlock: VirtioDevice {
  private enum Feature {
    static let segmentLimit: UInt64 = 1 << 2
    static let readOnly: UInt64 = 1 << 5
    static let blockSize: UInt64 = 1 << 6
    static let flush: UInt64 = 1 << 9
  }

  private enum RequestType {
    static let input: UInt32 = 0
    static let output: UInt32 = 1
    static let flush: UInt32 = 4
    static let identity: UInt32 = 8
  }

  private enum Outcome: UInt8 {
    case success = 0
    case failure = 1
    case unsupported = 2
  }

  private static let sectorSize: UInt64 = 512
  private static let headerSize = 16
  private static let identitySize = 20
  /// The greatest request in bytes: more segments of usual size than a queue holds.
  private static let transferLimit: UInt64 = 64 << 20
  /// What is copied at once.
  private static let chunk: UInt64 = 1 << 20

  private let storage: any BlockStorage
  public weak var transport: VirtioTransport?

  public init(_ storage: any BlockStorage) { self.storage = storage }

  public var kind: VirtioKind { .block }
  public var queueCount: Int { 1 }

  public var features: UInt64 {
    let common = Feature.segmentLimit | Feature.blockSize | Feature.flush
    return storage.isReadOnly ? common | Feature.readOnly : common
  }

  /// Capacity, greatest segment (not offered), number of segments, geometry (not offered), block size.
  public var configuration: [UInt8] {
    var bytes = LittleEndianBytes()
    bytes.append(storage.sectorCount)
    bytes.append(UInt32(0))
    bytes.append(UInt32(VirtQueue.sizeLimit) - 2)
    bytes.append(UInt32(0))
    bytes.append(UInt32(Self.sectorSize))
    bytes.appendZeros(36)
    return bytes.bytes
  }

  public func configure(_ value: UInt64, offset: UInt64, size: UInt8) {}

  public func serve(_ index: Int, _ queue: inout VirtQueue) throws(VirtioFault) {
    while var request = try queue.next() {
      guard let header = try request.read(Self.headerSize), request.writableCount > 0 else {
        throw .malformedChain
      }
      let outcome = try perform(Header(header), &request)
      // The status is the last byte of the chain, whatever the data before it were.
      request.skip(request.writableCount - 1)
      _ = try request.write([outcome.rawValue])
      try queue.complete(request)
    }
  }

  private struct Header {
    var type: UInt32
    var sector: UInt64

    init(_ bytes: [UInt8]) {
      func integer(_ range: Range<Int>) -> UInt64 {
        bytes[range].reversed().reduce(0) { $0 << 8 | UInt64($1) }
      }
      type = UInt32(truncatingIfNeeded: integer(0..<4))
      sector = integer(8..<16)
    }
  }

  private func perform(_ header: Header, _ request: inout VirtioRequest) throws(VirtioFault) -> Outcome {
    switch header.type {
    case RequestType.input: try read(header.sector, &request)
    case RequestType.output: try write(header.sector, &request)
    case RequestType.flush: storage.flush() ? .success : .failure
    case RequestType.identity: try identify(&request)
    default: .unsupported
    }
  }

  /// Whether `count` bytes from `sector` are whole sectors of the disk, and not too many at once.
  private func holds(_ count: UInt64, at sector: UInt64) -> Bool {
    guard count % Self.sectorSize == 0, count <= Self.transferLimit, sector <= storage.sectorCount else {
      return false
    }
    return count / Self.sectorSize <= storage.sectorCount - sector
  }

  private func read(_ first: UInt64, _ request: inout VirtioRequest) throws(VirtioFault) -> Outcome {
    var rest = request.writableCount - 1
    guard holds(rest, at: first) else { return .failure }
    var sector = first
    while rest > 0 {
      let count = min(rest, Self.chunk)
      var bytes = [UInt8](repeating: 0, count: Int(count))
      guard bytes.withUnsafeMutableBytes({ storage.read(sector, into: $0) }) else { return .failure }
      _ = try request.write(bytes)
      rest -= count
      sector += count / Self.sectorSize
    }
    return .success
  }

  private func write(_ first: UInt64, _ request: inout VirtioRequest) throws(VirtioFault) -> Outcome {
    var rest = request.readableCount
    guard !storage.isReadOnly, holds(rest, at: first) else { return .failure }
    var sector = first
    while rest > 0 {
      let count = min(rest, Self.chunk)
      guard let bytes = try request.read(Int(count)) else { return .failure }
      guard bytes.withUnsafeBytes({ storage.write($0, to: sector) }) else { return .failure }
      rest -= count
      sector += count / Self.sectorSize
    }
    return .success
  }

  private func identify(_ request: inout VirtioRequest) throws(VirtioFault) -> Outcome {
    guard request.writableCount > Self.identitySize else { return .failure }
    var bytes = LittleEndianBytes()
    bytes.append(storage.identity, count: Self.identitySize, padding: 0)
    _ = try request.write(bytes.bytes)
    return .success
  }
}
