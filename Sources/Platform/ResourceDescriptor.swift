/// What a device's _CRS lists: each function gives the bytes of one descriptor.
///
/// Source: ACPI Specification, "Resource Data Types for ACPI".
enum ResourceDescriptor {
  /// What a bridge hands down.
  enum Window: UInt8 {
    case memory = 0
    case ports = 1
    case buses = 2
  }

  /// I/O ports that are decoded with all 16 bits.
  static func ports(_ range: PlatformAddresses.Ports) -> [UInt8] {
    let first = UInt8(truncatingIfNeeded: range.first)
    let page = UInt8(truncatingIfNeeded: range.first >> 8)
    return [0x47, 1, first, page, first, page, 1, UInt8(truncatingIfNeeded: range.count)]
  }

  /// An edge-triggered ISA interrupt, 0 to 15.
  static func isaInterrupt(_ line: UInt8) -> [UInt8] {
    let mask: UInt16 = 1 << UInt16(line & 15)
    return [0x22, UInt8(truncatingIfNeeded: mask), UInt8(truncatingIfNeeded: mask >> 8)]
  }

  /// A global system interrupt that is level-triggered and active high.
  static func levelInterrupt(_ number: UInt32) -> [UInt8] {
    let consumer: UInt8 = 1 << 0
    var bytes = LittleEndianBytes()
    bytes.append([0x89, 6, 0, consumer, 1])
    bytes.append(number)
    return bytes.bytes
  }

  /// Memory-mapped registers.
  static func memory(_ first: UInt32, count: UInt32) -> [UInt8] {
    let isWritable: UInt8 = 1
    var bytes = LittleEndianBytes()
    bytes.append([0x86, 9, 0, isWritable])
    bytes.append(first)
    bytes.append(count)
    return bytes.bytes
  }

  /// A range of 16-bit numbers that a bridge produces: both ends are fixed.
  static func window(_ kind: Window, _ range: ClosedRange<UInt16>) -> [UInt8] {
    var bytes = LittleEndianBytes()
    bytes.append([0x88, 13, 0, kind.rawValue, Self.fixed, kind == .ports ? Self.entireRange : 0])
    for value in [0, range.lowerBound, range.upperBound, 0, range.upperBound &- range.lowerBound &+ 1] {
      bytes.append(value)
    }
    return bytes.bytes
  }

  /// A range of 32-bit memory addresses that a bridge produces, uncached.
  static func window(_ range: ClosedRange<UInt32>) -> [UInt8] {
    let isWritable: UInt8 = 1
    var bytes = LittleEndianBytes()
    bytes.append([0x87, 23, 0, Window.memory.rawValue, Self.fixed, isWritable])
    for value in [0, range.lowerBound, range.upperBound, 0, range.upperBound &- range.lowerBound &+ 1] {
      bytes.append(value)
    }
    return bytes.bytes
  }

  /// Both the minimum and the maximum are fixed.
  private static let fixed: UInt8 = 1 << 2 | 1 << 3
  /// ISA and other ports alike.
  private static let entireRange: UInt8 = 3

  /// A resource template: the descriptors and the end tag, in a buffer.
  static func template(_ descriptors: [[UInt8]]) -> [UInt8] {
    AML.buffer(descriptors.joined() + [0x79, 0])
  }
}
