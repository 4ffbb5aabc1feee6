import Platform

/// Time that tests move by hand: a cycle is a nanosecond.
final class ManualTime: MachineTime {
  var cycles: UInt64 = 0
  let frequency: UInt64 = 1_000_000_000
}

/// RAM from address 0, in which devices find their rings.
final class ArrayMemory: DeviceMemory {
  var bytes: [UInt8]

  init(size: Int) { bytes = Array(repeating: 0, count: size) }

  private func range(_ address: UInt64, _ count: Int) -> Range<Int>? {
    guard address <= UInt64(bytes.count), count <= bytes.count - Int(address) else { return nil }
    return Int(address)..<Int(address) + count
  }

  func read(_ address: UInt64, into target: UnsafeMutableRawBufferPointer) -> Bool {
    guard let range = range(address, target.count) else { return false }
    target.copyBytes(from: bytes[range])
    return true
  }

  func write(_ source: UnsafeRawBufferPointer, at address: UInt64) -> Bool {
    guard let range = range(address, source.count) else { return false }
    bytes.replaceSubrange(range, with: source)
    return true
  }

  func set<T: FixedWidthInteger>(_ value: T, at address: Int) {
    for position in 0..<T.bitWidth / 8 {
      bytes[address + position] = UInt8(truncatingIfNeeded: value >> T(position * 8))
    }
  }

  func get<T: FixedWidthInteger>(_ address: Int, as type: T.Type = T.self) -> T {
    (0..<T.bitWidth / 8).reduce(0) { $0 | T(truncatingIfNeeded: bytes[address + $1]) << T($1 * 8) }
  }
}

/// A board with its time, and what its guest would do to it.
final class TestBoard {
  let time = ManualTime()
  let board: Board
  private(set) var sent: [UInt8] {
    get { box.bytes }
    set { box.bytes = newValue }
  }
  private let box = Box()

  private final class Box {
    var bytes: [UInt8] = []
  }

  init(processors: Int = 1, _ configure: (inout BoardConfiguration) -> Void = { _ in }) {
    var configuration = BoardConfiguration(lowMemory: 256 << 20)
    configuration.processorCount = processors
    let box = box
    configuration.serialOutput = { box.bytes.append($0) }
    configure(&configuration)
    board = Board(configuration, time: time)
  }

  var apic: LocalAPIC { board.localAPICs[0] }

  func output(_ value: UInt32, _ port: UInt16, size: UInt8 = 1) {
    board.ports.write(value, to: port, size: size)
  }
  func input(_ port: UInt16, size: UInt8 = 1) -> UInt32 { board.ports.read(port, size: size) }

  /// Lets `cycles` pass, stopping wherever a device wants to act.
  func pass(_ cycles: UInt64) {
    let end = time.cycles + cycles
    while board.nextDeadline <= end {
      time.cycles = max(time.cycles, board.nextDeadline)
      board.advance(to: time.cycles)
    }
    time.cycles = end
    board.advance(to: end)
  }

  // MARK: Local APIC and I/O APIC

  static let localAPIC: UInt64 = 0xFEE0_0000
  static let ioAPIC: UInt64 = 0xFEC0_0000

  func local(_ offset: UInt64, by processor: Int = 0) -> UInt32 {
    UInt32(board.read(Self.localAPIC + offset, size: 4, by: processor))
  }

  func setLocal(_ offset: UInt64, _ value: UInt32, by processor: Int = 0) {
    board.write(UInt64(value), to: Self.localAPIC + offset, size: 4, by: processor)
  }

  func ioRegister(_ index: UInt32) -> UInt32 {
    board.write(UInt64(index), to: Self.ioAPIC, size: 4, by: 0)
    return UInt32(board.read(Self.ioAPIC + 0x10, size: 4, by: 0))
  }

  func setIORegister(_ index: UInt32, _ value: UInt32) {
    board.write(UInt64(index), to: Self.ioAPIC, size: 4, by: 0)
    board.write(UInt64(value), to: Self.ioAPIC + 0x10, size: 4, by: 0)
  }

  /// Writes entry `input` of the redirection table.
  func redirect(_ input: UInt32, _ low: UInt32, destination: UInt32 = 0) {
    setIORegister(0x11 + input * 2, destination << 24)
    setIORegister(0x10 + input * 2, low)
  }

  /// Initialises both 8259s with vectors 20H and 28H, and masks all but `unmasked` lines.
  func initialise8259s(unmasked: UInt16) {
    for (base, vector, cascade) in [(0x20, 0x20, 4), (0xA0, 0x28, 2)] as [(UInt16, UInt32, UInt32)] {
      output(0x11, base)
      output(vector, base + 1)
      output(cascade, base + 1)
      output(1, base + 1)
    }
    output(UInt32(~unmasked & 0xFF), 0x21)
    output(UInt32(~unmasked >> 8), 0xA1)
  }
}
