import Platform

/// The devices of a machine, wired to its ports.
struct MachineDevices {
  let serial: SerialPort
  let debugExit = DebugExit()
  private(set) var ports = PortBus()

  init(serialOutput: @escaping (UInt8) -> Void) {
    serial = SerialPort(sink: serialOutput)
    _ = ports.attach(serial, at: SerialPort.com1, count: SerialPort.portCount)
    _ = ports.attach(debugExit, at: DebugExit.port, count: DebugExit.portCount)
  }
}
