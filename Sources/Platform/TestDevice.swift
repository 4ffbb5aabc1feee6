/// QEMU's test device: a register in ports, one in memory, and a port for each interrupt line. Test suites for
/// hypervisors use it to make accesses and interrupts happen.
///
/// Its flush port has nothing to flush here, for L1's RAM is always mapped.
/// Source: QEMU, the description of `pc-testdev`.
public final class TestDevice {
  /// Four bytes that keep what is written.
  public let data: any PortDevice = Register()
  /// Takes writes that ask for a page to be unmapped and mapped again.
  public let flush: any PortDevice = Ignored()
  /// The same four bytes for accesses that are split into bytes.
  public var bytes: any PortDevice { data }
  /// A byte that is not 0 drives the line of its port's offset high, 0 low.
  public let interrupts: any PortDevice
  /// 64 KByte that keep what is written.
  public let memory: any MemoryDevice = Memory()

  public init(interrupts router: InterruptRouter) { interrupts = Lines(router) }

  private final class Register: PortDevice {
    private var value: UInt32 = 0

    func read(offset: UInt16, size: UInt8) -> UInt32 { value >> (UInt32(offset & 3) &* 8) }

    func write(_ value: UInt32, offset: UInt16, size: UInt8) {
      PortBytes.scatter(value, size) { byte, position in
        let shift = UInt32(offset &+ position) &* 8
        guard shift < 32 else { return }
        self.value = self.value & ~(0xFF << shift) | UInt32(byte) << shift
      }
    }
  }

  private final class Ignored: PortDevice {
    func read(offset: UInt16, size: UInt8) -> UInt32 { 0 }
    func write(_ value: UInt32, offset: UInt16, size: UInt8) {}
  }

  private final class Lines: PortDevice {
    private let router: InterruptRouter

    init(_ router: InterruptRouter) { self.router = router }

    func read(offset: UInt16, size: UInt8) -> UInt32 { 0 }

    func write(_ value: UInt32, offset: UInt16, size: UInt8) {
      router.setLine(UInt8(truncatingIfNeeded: offset), isHigh: value & 0xFF != 0)
    }
  }

  private final class Memory: MemoryDevice {
    private var bytes = [UInt8](repeating: 0, count: Int(PlatformAddresses.testMemorySize))

    func read(offset: UInt64, size: UInt8) -> UInt64 {
      (0..<UInt64(size & 15)).reduce(0) { value, position in
        let place = Int(truncatingIfNeeded: offset &+ position)
        return bytes.indices.contains(place) && position < 8
          ? value | UInt64(bytes[place]) << (position &* 8) : value
      }
    }

    func write(_ value: UInt64, offset: UInt64, size: UInt8) {
      for position in 0..<UInt64(min(size, 8)) {
        let place = Int(truncatingIfNeeded: offset &+ position)
        guard bytes.indices.contains(place) else { return }
        bytes[place] = UInt8(truncatingIfNeeded: value >> (position &* 8))
      }
    }
  }
}
