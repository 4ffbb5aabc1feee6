/// A virtio entropy device. Its numbers follow from a seed, so that runs repeat: nothing secret may depend on them.
///
/// Source: Virtual I/O Device (VIRTIO) 1.2, "Entropy Device"; the generator is SplitMix64 (Steele, Lea and Flood, "Fast
/// Splittable Pseudorandom Number Generators").
public final class VirtioEntropy: VirtioDevice {
  /// What one request gets at most: a driver asks again for more.
  private static let requestLimit: UInt64 = 4096

  private var state: UInt64
  public weak var transport: VirtioTransport?

  public init(seed: UInt64 = 0x5445_5354_5544_4F00) { state = seed }

  public var kind: VirtioKind { .entropy }
  public var features: UInt64 { 0 }
  public var queueCount: Int { 1 }
  public var configuration: [UInt8] { [] }
  public func configure(_ value: UInt64, offset: UInt64, size: UInt8) {}

  public func serve(_ index: Int, _ queue: inout VirtQueue) throws(VirtioFault) {
    while var request = try queue.next() {
      let count = Int(min(request.writableCount, Self.requestLimit))
      var bytes: [UInt8] = []
      while bytes.count < count {
        let word = next()
        for position in 0..<min(8, count - bytes.count) {
          bytes.append(UInt8(truncatingIfNeeded: word >> UInt64(position * 8)))
        }
      }
      _ = try request.write(bytes)
      try queue.complete(request)
    }
  }

  private func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var value = state
    value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
    value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
    return value ^ value >> 31
  }
}
