/// PCI's configuration mechanism 1 with one function: a host bridge, device 0 of bus 0.
///
/// Source: PCI Local Bus Specification 3.0, "Software Generation of Configuration Transactions".
public final class PCIConfiguration {
  private static let enable: UInt32 = 1 << 31
  /// The enable bit, bus, device, function and register.
  private static let writable: UInt32 = 0x80FF_FFFC

  private var address: UInt32 = 0
  private var bridge = HostBridge()

  // Each holds on to this object, which holds neither.
  public var addressPort: any PortDevice { AddressPort(self) }
  public var dataPorts: any PortDevice { DataPorts(self) }

  public init() {}

  /// The offset in the bridge's configuration space that the address register selects, or nil if it selects another
  /// function or none.
  private var selected: UInt8? {
    guard address & Self.enable != 0, address & 0xFFFF00 == 0 else { return nil }
    return UInt8(truncatingIfNeeded: address & 0xFC)
  }

  /// CF8H. It answers to accesses of 4 bytes alone: shorter ones pass it by.
  private final class AddressPort: PortDevice {
    private let configuration: PCIConfiguration

    init(_ configuration: PCIConfiguration) { self.configuration = configuration }

    func read(offset: UInt16, size: UInt8) -> UInt32 {
      size == 4 ? configuration.address : 0xFFFF_FFFF
    }

    func write(_ value: UInt32, offset: UInt16, size: UInt8) {
      if size == 4 { configuration.address = value & PCIConfiguration.writable }
    }
  }

  /// CFCH to CFFH: the register selected, by bytes.
  private final class DataPorts: PortDevice {
    private let configuration: PCIConfiguration

    init(_ configuration: PCIConfiguration) { self.configuration = configuration }

    func read(offset: UInt16, size: UInt8) -> UInt32 {
      guard let register = configuration.selected else { return 0xFFFF_FFFF }
      return PortBytes.gather(size) { position in
        let place = offset &+ position
        return place < 4 ? configuration.bridge[register &+ UInt8(place)] : 0xFF
      }
    }

    func write(_ value: UInt32, offset: UInt16, size: UInt8) {
      guard let register = configuration.selected else { return }
      PortBytes.scatter(value, size) { byte, position in
        let place = offset &+ position
        if place < 4 { configuration.bridge[register &+ UInt8(place)] = byte }
      }
    }
  }
}

/// The configuration space of the host bridge: a header of type 0 without base addresses.
///
/// It says that it is an Intel 440FX, which every operating system knows as a host bridge that needs no driver.
struct HostBridge {
  private static let header: [UInt8] = {
    var bytes = LittleEndianBytes()
    let vendor: UInt16 = 0x8086
    let device: UInt16 = 0x1237
    let memorySpaceAndBusMaster: UInt16 = 1 << 1 | 1 << 2
    let hostBridgeClass: [UInt8] = [0x02, 0x00, 0x00, 0x06]
    bytes.append(vendor)
    bytes.append(device)
    bytes.append(memorySpaceAndBusMaster)
    bytes.append(UInt16(0))
    bytes.append(hostBridgeClass)
    bytes.appendZeros(256 - bytes.count)
    return bytes.bytes
  }()

  /// The registers that keep what is written: the cache line size and the interrupt line.
  private static let scratch: [UInt8] = [0x0C, 0x3C]

  private var bytes = header

  subscript(offset: UInt8) -> UInt8 {
    get { bytes[Int(offset)] }
    set { if Self.scratch.contains(offset) { bytes[Int(offset)] = newValue } }
  }
}
