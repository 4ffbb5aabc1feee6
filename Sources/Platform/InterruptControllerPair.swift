/// The two 8259A interrupt controllers of a PC: 16 lines, the slave cascaded to the master's input 2, their output on the
/// processors' LINT0.
///
/// They start as firmware leaves them: initialised with vectors 08H and 70H, all inputs masked.
public final class InterruptControllerPair {
  static let cascadeInput: UInt8 = 2
  /// The first vectors of the two, as firmware sets them.
  static let masterVectors: UInt8 = 0x08
  static let slaveVectors: UInt8 = 0x70

  private let master = InterruptControllerChip(vectorBase: masterVectors, cascade: 1 << cascadeInput)
  private let slave = InterruptControllerChip(vectorBase: slaveVectors, cascade: 0)
  private let output: (Bool) -> Void
  private var isOutputHigh = false

  /// `output` is called with the level of the master's INT each time that it changes.
  public init(output: @escaping (Bool) -> Void) {
    self.output = output
    master.acknowledgeSlave = { [slave] in slave.acknowledge() }
    master.pendingVectorOfSlave = { [slave] in slave.pendingVector }
    slave.outputChanged = { [weak self] in self?.updateCascade() }
    master.outputChanged = { [weak self] in self?.updateOutput() }
  }

  private func updateCascade() {
    master.setLine(Self.cascadeInput, isHigh: slave.pending != nil)
  }

  private func updateOutput() {
    let isHigh = master.pending != nil
    guard isHigh != isOutputHigh else { return }
    isOutputHigh = isHigh
    output(isHigh)
  }
}

extension InterruptControllerPair: InterruptController {
  public func setLine(_ number: UInt8, isHigh: Bool) {
    switch number {
    case Self.cascadeInput: break
    case ..<8: master.setLine(number, isHigh: isHigh)
    case ..<16: slave.setLine(number - 8, isHigh: isHigh)
    default: break
    }
  }
}

extension InterruptControllerPair: ExternalInterruptSource {
  public var pendingVector: UInt8 { master.pendingVector }
  public func acknowledge() -> UInt8 { master.acknowledge() }
}

// MARK: Ports

extension InterruptControllerPair {
  /// A view of some of the pair's registers as ports.
  private final class Window: PortDevice {
    private let readByte: (UInt16) -> UInt8
    private let writeByte: (UInt8, UInt16) -> Void

    init(read: @escaping (UInt16) -> UInt8, write: @escaping (UInt8, UInt16) -> Void) {
      readByte = read
      writeByte = write
    }

    func read(offset: UInt16, size: UInt8) -> UInt32 {
      PortBytes.gather(size) { offset &+ $0 > 1 ? 0xFF : readByte(offset &+ $0) }
    }

    func write(_ value: UInt32, offset: UInt16, size: UInt8) {
      PortBytes.scatter(value, size) { byte, position in
        if offset &+ position <= 1 { writeByte(byte, offset &+ position) }
      }
    }
  }

  /// The master's two ports.
  public var masterPorts: any PortDevice { ports(of: master) }
  /// The slave's two ports.
  public var slavePorts: any PortDevice { ports(of: slave) }

  private func ports(of chip: InterruptControllerChip) -> any PortDevice {
    Window(read: { chip.read(isOdd: $0 == 1) }, write: { chip.write($0, isOdd: $1 == 1) })
  }

  /// The edge/level control registers. Inputs 0, 1, 2, 8 and 13 are always edge-triggered.
  public var edgeLevelControlPorts: any PortDevice {
    let chips = [master, slave]
    let selectable: [UInt8] = [0xF8, 0xDE]
    return Window(
      read: { chips[Int($0 & 1)].edgeLevelControl },
      write: { chips[Int($1 & 1)].edgeLevelControl = $0 & selectable[Int($1 & 1)] })
  }
}
