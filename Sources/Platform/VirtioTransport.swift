/// A device behind a ``VirtioTransport``.
public protocol VirtioDevice: AnyObject {
  /// Its device ID (VIRTIO 1.2, "Device Types").
  var kind: VirtioKind { get }
  /// The features of its kind that it offers: bits 0 to 23.
  var features: UInt64 { get }
  var queueCount: Int { get }
  /// Its configuration space.
  var configuration: [UInt8] { get }
  /// The driver writes the low `size` bytes of `value` into the configuration space.
  func configure(_ value: UInt64, offset: UInt64, size: UInt8)
  /// Deals with what waits in queue `index`.
  func serve(_ index: Int, _ queue: inout VirtQueue) throws(VirtioFault)
  /// The way to the driver, for a device that acts by itself.
  var transport: VirtioTransport? { get set }
}

/// The kinds of virtio devices.
public enum VirtioKind: UInt32, Sendable {
  case block = 2
  case console = 3
  case entropy = 4
}

/// The registers of one virtio device, by which a driver finds, sets up and notifies it. Requests are served while the
/// driver notifies.
///
/// Source: Virtual I/O Device (VIRTIO) 1.2, "Virtio Over MMIO".
public final class VirtioTransport: MemoryDevice {
  private enum Register {
    static let magic: UInt64 = 0x000
    static let version: UInt64 = 0x004
    static let deviceIdentifier: UInt64 = 0x008
    static let vendorIdentifier: UInt64 = 0x00C
    static let deviceFeatures: UInt64 = 0x010
    static let deviceFeaturesSelector: UInt64 = 0x014
    static let driverFeatures: UInt64 = 0x020
    static let driverFeaturesSelector: UInt64 = 0x024
    static let queueSelector: UInt64 = 0x030
    static let queueSizeLimit: UInt64 = 0x034
    static let queueSize: UInt64 = 0x038
    static let queueReady: UInt64 = 0x044
    static let queueNotify: UInt64 = 0x050
    static let interruptStatus: UInt64 = 0x060
    static let interruptAcknowledge: UInt64 = 0x064
    static let status: UInt64 = 0x070
    static let descriptorTable: UInt64 = 0x080
    static let driverArea: UInt64 = 0x090
    static let deviceArea: UInt64 = 0x0A0
    static let sharedMemory: ClosedRange<UInt64> = 0x0B0...0x0BC
    static let configurationGeneration: UInt64 = 0x0FC
    static let configuration: UInt64 = 0x100
  }

  private struct Status: OptionSet {
    let rawValue: UInt32

    static let driverReady = Self(rawValue: 4)
    static let featuresAccepted = Self(rawValue: 8)
    static let needsReset = Self(rawValue: 64)
  }

  private struct Interrupts: OptionSet {
    let rawValue: UInt32

    static let usedBuffer = Self(rawValue: 1)
    static let configurationChange = Self(rawValue: 2)
  }

  /// "virt".
  private static let magic: UInt32 = 0x7472_6976
  private static let version: UInt32 = 2
  /// "TSTD".
  private static let vendor: UInt32 = 0x4454_5354

  private enum Feature {
    static let indirectDescriptors: UInt64 = 1 << 28
    static let version1: UInt64 = 1 << 32
  }

  private let device: any VirtioDevice
  private let line: InterruptLine
  private var queues: [VirtQueue]
  private var status: Status = []
  private var interrupts: Interrupts = []
  private var deviceFeaturesSelector: UInt32 = 0
  private var driverFeaturesSelector: UInt32 = 0
  private var driverFeatures: UInt64 = 0
  private var queueSelector: UInt32 = 0

  /// The transport of `device`, whose requests are in `memory` and which interrupts on `line`.
  public init(_ device: any VirtioDevice, memory: any DeviceMemory, line: InterruptLine) {
    self.device = device
    self.line = line
    queues = Array(repeating: VirtQueue(memory: memory), count: device.queueCount)
    device.transport = self
  }

  private var offeredFeatures: UInt64 {
    device.features | Feature.indirectDescriptors | Feature.version1
  }

  private var isRunning: Bool { status.contains(.driverReady) && !status.contains(.needsReset) }

  // MARK: Requests

  /// Lets the device deal with queue `index`, and tells the driver of what was given back.
  func serve(_ index: Int) {
    guard isRunning, queues.indices.contains(index), queues[index].isReady else { return }
    let before = queues[index].completedCount
    do throws(VirtioFault) {
      try device.serve(index, &queues[index])
    } catch {
      fail()
      return
    }
    guard queues[index].completedCount != before, queues[index].wantsInterrupt else { return }
    interrupts.insert(.usedBuffer)
    updateLine()
  }

  /// Whether the driver has buffers in queue `index` that were not given back.
  func hasBuffers(_ index: Int) -> Bool {
    isRunning && queues.indices.contains(index) && queues[index].isReady && queues[index].hasBuffers
  }

  /// The driver broke the protocol: the device stands still until it is reset.
  private func fail() {
    status.insert(.needsReset)
    interrupts.insert(.configurationChange)
    updateLine()
  }

  private func updateLine() { line.set(!interrupts.isEmpty) }

  private func reset() {
    for index in queues.indices { queues[index].reset() }
    status = []
    interrupts = []
    driverFeatures = 0
    deviceFeaturesSelector = 0
    driverFeaturesSelector = 0
    queueSelector = 0
    updateLine()
  }

  // MARK: Loads

  public func read(offset: UInt64, size: UInt8) -> UInt64 {
    if offset >= Register.configuration { return configuration(at: offset - Register.configuration, size) }
    guard size == 4, offset & 3 == 0 else { return 0 }
    return UInt64(register(offset))
  }

  private func register(_ offset: UInt64) -> UInt32 {
    switch offset {
    case Register.magic: Self.magic
    case Register.version: Self.version
    case Register.deviceIdentifier: device.kind.rawValue
    case Register.vendorIdentifier: Self.vendor
    case Register.deviceFeatures: Self.word(deviceFeaturesSelector, of: offeredFeatures)
    case Register.queueSizeLimit: selectedQueue == nil ? 0 : UInt32(VirtQueue.sizeLimit)
    case Register.queueReady: selectedQueue.map { queues[$0].isReady } == true ? 1 : 0
    case Register.interruptStatus: interrupts.rawValue
    case Register.status: status.rawValue
    // No device has shared memory: the length of a region that does not exist is -1.
    case Register.sharedMemory: .max
    default: 0
    }
  }

  private static func word(_ selector: UInt32, of value: UInt64) -> UInt32 {
    selector < 2 ? UInt32(truncatingIfNeeded: value >> (UInt64(selector) &* 32)) : 0
  }

  private func configuration(at offset: UInt64, _ size: UInt8) -> UInt64 {
    let bytes = device.configuration
    return (0..<UInt64(min(size, 8))).reduce(0) { value, position in
      let place = Int(truncatingIfNeeded: offset &+ position)
      return bytes.indices.contains(place) ? value | UInt64(bytes[place]) << (position &* 8) : value
    }
  }

  private var selectedQueue: Int? {
    let index = Int(queueSelector)
    return queues.indices.contains(index) ? index : nil
  }

  // MARK: Stores

  public func write(_ value: UInt64, offset: UInt64, size: UInt8) {
    if offset >= Register.configuration {
      device.configure(value, offset: offset - Register.configuration, size: size)
      return
    }
    guard size == 4, offset & 3 == 0 else { return }
    setRegister(offset, UInt32(truncatingIfNeeded: value))
  }

  private func setRegister(_ offset: UInt64, _ value: UInt32) {
    switch offset {
    case Register.deviceFeaturesSelector: deviceFeaturesSelector = value
    case Register.driverFeaturesSelector: driverFeaturesSelector = value
    case Register.driverFeatures: setDriverFeatures(value)
    case Register.queueSelector: queueSelector = value
    case Register.queueNotify: serve(Int(value))
    case Register.interruptAcknowledge:
      interrupts.subtract(Interrupts(rawValue: value))
      updateLine()
    case Register.status: setStatus(Status(rawValue: value & 0xFF))
    default: setQueueRegister(offset, value)
    }
  }

  /// Features are settled once the driver has said so.
  private func setDriverFeatures(_ value: UInt32) {
    guard driverFeaturesSelector < 2, !status.contains(.featuresAccepted) else { return }
    let shift = UInt64(driverFeaturesSelector) &* 32
    driverFeatures = driverFeatures & ~(0xFFFF_FFFF << shift) | UInt64(value) << shift
  }

  /// Writes the status: 0 resets, other values add their bits. FEATURES_OK holds only if the device can go on with the
  /// features that the driver chose.
  private func setStatus(_ value: Status) {
    guard !value.isEmpty else {
      reset()
      return
    }
    var new = value
    let isAcceptable = driverFeatures & ~offeredFeatures == 0 && driverFeatures & Feature.version1 != 0
    if !isAcceptable { new.remove(.featuresAccepted) }
    if !new.contains(.featuresAccepted) && !status.contains(.featuresAccepted) { new.remove(.driverReady) }
    status.formUnion(new)
  }

  /// A queue is set up while it is not ready.
  private func setQueueRegister(_ offset: UInt64, _ value: UInt32) {
    guard let index = selectedQueue else { return }
    if offset == Register.queueReady {
      queues[index].allowsIndirect = driverFeatures & Feature.indirectDescriptors != 0
      queues[index].isReady = value & 1 != 0
    }
    guard !queues[index].isReady else { return }
    switch offset {
    case Register.queueSize: setQueueSize(index, value)
    case Register.descriptorTable: queues[index].descriptorTable.low = value
    case Register.descriptorTable + 4: queues[index].descriptorTable.high = value
    case Register.driverArea: queues[index].driverArea.low = value
    case Register.driverArea + 4: queues[index].driverArea.high = value
    case Register.deviceArea: queues[index].deviceArea.low = value
    case Register.deviceArea + 4: queues[index].deviceArea.high = value
    default: break
    }
  }

  private func setQueueSize(_ index: Int, _ value: UInt32) {
    guard value.nonzeroBitCount == 1, value <= UInt32(VirtQueue.sizeLimit) else { return }
    queues[index].size = UInt16(value)
  }
}

extension UInt64 {
  fileprivate var low: UInt32 {
    get { UInt32(truncatingIfNeeded: self) }
    set { self = self & ~0xFFFF_FFFF | UInt64(newValue) }
  }

  fileprivate var high: UInt32 {
    get { UInt32(truncatingIfNeeded: self >> 32) }
    set { self = self & 0xFFFF_FFFF | UInt64(newValue) << 32 }
  }
}
