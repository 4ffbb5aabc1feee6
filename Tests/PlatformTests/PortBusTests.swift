import Platform
import Testing

/// A device that records what it is asked.
private final class Recorder: PortDevice {
  var writes: [(value: UInt32, offset: UInt16, size: UInt8)] = []
  var answer: UInt32 = 0x1122_3344

  func read(offset: UInt16, size: UInt8) -> UInt32 { answer }
  func write(_ value: UInt32, offset: UInt16, size: UInt8) { writes.append((value, offset, size)) }
}

private func attach(_ device: any PortDevice, _ first: UInt16, _ count: UInt16, to bus: inout PortBus) -> Bool
{
  bus.attach(device, at: first, count: count)
}

@Suite struct PortBusTests {
  @Test func unclaimedPortsReadAllOnes() {
    let bus = PortBus()
    #expect(bus.read(0x80, size: 1) == 0xFF)
    #expect(bus.read(0x80, size: 2) == 0xFFFF)
    #expect(bus.read(0xFFFF, size: 4) == 0xFFFF_FFFF)
    bus.write(1, to: 0x80, size: 4)
  }

  @Test func aDeviceSeesOffsetsAndTheAccessedBytesOnly() {
    var bus = PortBus()
    let device = Recorder()
    #expect(attach(device, 0x100, 4, to: &bus))
    bus.write(0xAABB_CCDD, to: 0x103, size: 1)
    bus.write(0xAABB_CCDD, to: 0x100, size: 2)
    #expect(device.writes.map(\.value) == [0xDD, 0xCCDD])
    #expect(device.writes.map(\.offset) == [3, 0])
    #expect(bus.read(0x101, size: 1) == 0x44)
    #expect(bus.read(0x104, size: 1) == 0xFF)
    #expect(bus.read(0xFF, size: 1) == 0xFF)
  }

  @Test func rangesNeitherOverlapNorWrap() {
    var bus = PortBus()
    #expect(attach(Recorder(), 0x100, 8, to: &bus))
    #expect(!attach(Recorder(), 0x107, 1, to: &bus))
    #expect(!attach(Recorder(), 0xF8, 9, to: &bus))
    #expect(!attach(Recorder(), 0x200, 0, to: &bus))
    #expect(!attach(Recorder(), 0xFFFF, 2, to: &bus))
    #expect(attach(Recorder(), 0xFFFF, 1, to: &bus))
    #expect(attach(Recorder(), 0x108, 1, to: &bus))
  }

  @Test func theFirstWriteToTheDebugExitCounts() {
    var bus = PortBus()
    let device = DebugExit()
    #expect(attach(device, DebugExit.port, DebugExit.portCount, to: &bus))
    #expect(device.code == nil)
    bus.write(0x1_0005, to: 0xF4, size: 2)
    bus.write(0, to: 0xF4, size: 4)
    #expect(device.code == 5)
  }
}
