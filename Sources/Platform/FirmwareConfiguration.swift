/// An item of the firmware configuration device that is found by its name.
public struct FirmwareFile: Equatable, Sendable {
  /// At most 55 bytes of ASCII.
  public var name: String
  public var contents: [UInt8]

  public init(name: String, contents: [UInt8]) {
    self.name = name
    self.contents = contents
  }
}

/// QEMU's firmware configuration device at its ports: items of bytes, read one after the other or by DMA. All are
/// read-only.
///
/// Source: QEMU, "QEMU Firmware Configuration (fw_cfg) Device".
public final class FirmwareConfiguration: PortDevice {
  private enum Key {
    static let signature: UInt16 = 0x00
    static let features: UInt16 = 0x01
    static let memorySize: UInt16 = 0x03
    static let noGraphics: UInt16 = 0x04
    static let processorCount: UInt16 = 0x05
    static let processorLimit: UInt16 = 0x0F
    static let directory: UInt16 = 0x19
    static let firstFile: UInt16 = 0x20
  }

  private struct Control: OptionSet {
    let rawValue: UInt32

    static let error = Self(rawValue: 1 << 0)
    static let read = Self(rawValue: 1 << 1)
    static let skip = Self(rawValue: 1 << 2)
    static let select = Self(rawValue: 1 << 3)
    static let write = Self(rawValue: 1 << 4)
  }

  private enum Offset {
    static let selector: UInt16 = 0
    static let data: UInt16 = 1
    static let addressHigh: UInt16 = 4
    static let addressLow: UInt16 = 8
  }

  /// What the DMA address register reads: "QEMU CFG".
  private static let dmaSignature: UInt64 = 0x5145_4D55_2043_4647
  /// The bit of a selector that once asked for writes.
  private static let writeChannel: UInt16 = 0x4000
  /// The greatest transfer by DMA: no item has more bytes, and zeros need not be had by the gigabyte.
  private static let transferLimit = 1 << 26
  private static let nameSize = 56

  private let memory: any DeviceMemory
  private let items: [UInt16: [UInt8]]
  private var selector: UInt16 = 0
  private var position = 0
  private var dmaHigh: UInt32 = 0

  init(_ configuration: BoardConfiguration) {
    memory = configuration.memory
    let processors = UInt16(truncatingIfNeeded: configuration.boundedProcessorCount)
    var items: [UInt16: [UInt8]] = [
      Key.signature: Array("QEMU".utf8), Key.features: Self.bytes(UInt32(0b11)),
      Key.memorySize: Self.bytes(configuration.lowMemory &+ configuration.highMemory),
      Key.noGraphics: Self.bytes(UInt16(1)), Key.processorCount: Self.bytes(processors),
      Key.processorLimit: Self.bytes(processors),
    ]
    let files = configuration.firmwareFiles.prefix(0x3FDF).sorted { $0.name < $1.name }
    var directory = Self.bytes(UInt32(truncatingIfNeeded: files.count).byteSwapped)
    for (number, file) in files.enumerated() {
      let key = Key.firstFile &+ UInt16(truncatingIfNeeded: number)
      directory += Self.entry(file, key)
      items[key] = file.contents
    }
    items[Key.directory] = directory
    self.items = items
  }

  private static func entry(_ file: FirmwareFile, _ key: UInt16) -> [UInt8] {
    var bytes = LittleEndianBytes()
    bytes.append(UInt32(truncatingIfNeeded: file.contents.count).byteSwapped)
    bytes.append(key.byteSwapped)
    bytes.append(UInt16(0))
    bytes.append(file.name, count: nameSize - 1, padding: 0)
    bytes.append(UInt8(0))
    return bytes.bytes
  }

  private static func bytes<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
    var bytes = LittleEndianBytes()
    bytes.append(value)
    return bytes.bytes
  }

  // MARK: Ports

  public func read(offset: UInt16, size: UInt8) -> UInt32 {
    switch offset {
    case Offset.data: return PortBytes.gather(size) { _ in nextByte() }
    case Offset.addressHigh where size == 4:
      return UInt32(truncatingIfNeeded: Self.dmaSignature >> 32).byteSwapped
    case Offset.addressLow where size == 4:
      return UInt32(truncatingIfNeeded: Self.dmaSignature).byteSwapped
    default: return 0
    }
  }

  /// The selector and the two halves of the address each take accesses of their own size alone.
  public func write(_ value: UInt32, offset: UInt16, size: UInt8) {
    switch (offset, size) {
    case (Offset.selector, 2): select(UInt16(truncatingIfNeeded: value))
    case (Offset.addressHigh, 4): dmaHigh = value.byteSwapped
    case (Offset.addressLow, 4):
      let address = UInt64(dmaHigh) << 32 | UInt64(value.byteSwapped)
      dmaHigh = 0
      transfer(address)
    default: break
    }
  }

  private func select(_ key: UInt16) {
    selector = key & ~Self.writeChannel
    position = 0
  }

  private var item: [UInt8] { items[selector] ?? [] }

  private func nextByte() -> UInt8 {
    guard position < item.count else { return 0 }
    defer { position += 1 }
    return item[position]
  }

  // MARK: DMA

  /// Carries out the control structure at `address`, and writes its outcome there.
  private func transfer(_ address: UInt64) {
    guard let control = memory.load(address, as: UInt32.self)?.byteSwapped,
      let length = memory.load(address &+ 4, as: UInt32.self)?.byteSwapped,
      let target = memory.load(address &+ 8, as: UInt64.self)?.byteSwapped
    else { return }
    let operation = Control(rawValue: control)
    if operation.contains(.select) { select(UInt16(truncatingIfNeeded: control >> 16)) }
    let outcome: Control = perform(operation, Int(length), at: target) ? [] : .error
    _ = memory.store(outcome.rawValue.byteSwapped, at: address)
  }

  private func perform(_ operation: Control, _ length: Int, at target: UInt64) -> Bool {
    if operation.contains(.read) { return copy(length, to: target) }
    if operation.contains(.write) { return false }
    if operation.contains(.skip) { position = min(position + length, item.count) }
    return true
  }

  /// Copies the next `length` bytes of the item; beyond its end there are zeros.
  private func copy(_ length: Int, to target: UInt64) -> Bool {
    guard length <= Self.transferLimit else { return false }
    let rest = item.dropFirst(position).prefix(length)
    position += rest.count
    let bytes = Array(rest) + Array(repeating: 0, count: length - rest.count)
    return bytes.isEmpty || bytes.withUnsafeBytes { memory.write($0, at: target) }
  }
}
