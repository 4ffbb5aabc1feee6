import Testing

import Platform

@Suite struct BoardTests {
  /// National Semiconductor, PC16550D data sheet: received data interrupt, identified and cleared by reading.
  @Test func theSerialPortInterrupts() {
    let board = TestBoard()
    board.redirect(4, 0x34)
    board.output(1, 0x3F9)
    board.output(8, 0x3FC)
    board.board.serial.receive([0x41])
    #expect(board.apic.acknowledge() == 0x34)
    board.setLocal(0xB0, 0)
    #expect(board.input(0x3FA) & 0xF == 4)
    #expect(board.input(0x3F8) == 0x41)
    #expect(board.input(0x3FA) & 0xF == 1)
    board.output(0x42, 0x3F8)
    #expect(board.sent == [0x42])
  }

  /// Multiboot Specification, "Machine state".
  @Test func theTimerTicksAsFirmwareLeavesIt() {
    let board = TestBoard()
    board.pass(60_000_000)
    #expect(board.apic.pendingInterrupt == nil)
    board.board.leaveTimerRunning()
    board.pass(54_000_000)
    #expect(board.apic.pendingInterrupt == nil)
    board.pass(2_000_000)
    #expect(board.apic.acknowledge() == 8)
    board.output(0x20, 0x20)
    #expect(board.apic.pendingInterrupt == nil)
    board.pass(55_000_000)
    #expect(board.apic.pendingInterrupt == 8)
  }

  @Test func everyClaimIsGranted() {
    let board = TestBoard {
      $0.virtioDevices = (0..<10).map { _ in VirtioEntropy() }
    }
    for range in [
      PlatformAddresses.masterInterruptController, PlatformAddresses.slaveInterruptController,
      PlatformAddresses.edgeLevelControl, PlatformAddresses.intervalTimer, PlatformAddresses.keyboardData,
      PlatformAddresses.systemControlB, PlatformAddresses.keyboardCommand, PlatformAddresses.realTimeClock,
      PlatformAddresses.systemControlA, PlatformAddresses.debugExit, PlatformAddresses.com1,
      PlatformAddresses.powerManagement, PlatformAddresses.pciConfigurationAddress,
      PlatformAddresses.resetControl, PlatformAddresses.pciConfigurationData,
      PlatformAddresses.firmwareConfiguration, PlatformAddresses.testData, PlatformAddresses.testFlush,
      PlatformAddresses.testBytes, PlatformAddresses.testInterrupts,
    ] {
      var ports = board.board.ports
      let stranger = SerialPort { _ in }
      let isGranted = ports.attach(stranger, at: range.first, count: 1)
      #expect(!isGranted, "\(range)")
    }
    for slot in 0..<PlatformAddresses.virtioLimit {
      #expect(board.board.memory.read(PlatformAddresses.virtio(slot), size: 4) == 0x7472_6976)
    }
    #expect(!board.board.memory.claims(PlatformAddresses.virtio(PlatformAddresses.virtioLimit)))
  }

  /// Whatever a guest writes anywhere, the board answers: no port and no device address traps.
  @Test func strayAccessesAreAnswered() {
    let board = TestBoard {
      $0.memory = ArrayMemory(size: 1 << 16)
      $0.virtioDevices = [VirtioConsole { _ in }, VirtioEntropy()]
    }
    var random: UInt64 = 0x1234_5678_9ABC_DEF1
    func next() -> UInt64 {
      random ^= random << 13
      random ^= random >> 7
      random ^= random << 17
      return random
    }
    let sizes: [UInt8] = [1, 2, 4]
    for _ in 0..<200_000 {
      let value = next()
      let port = UInt16(truncatingIfNeeded: value >> 40) & 0x2FFF
      let size = sizes[Int(value & 0xFF) % 3]
      board.output(UInt32(truncatingIfNeeded: next()), port, size: size)
      let limit: UInt32 = size == 4 ? .max : (1 << (UInt32(size) * 8)) - 1
      #expect(board.input(port, size: size) <= limit)
      let base =
        [0xFEB0_0000, 0xFEB0_1000, 0xFEC0_0000, 0xFEE0_0000, 0xFF00_0000][Int(value >> 8 & 0xFF) % 5]
        as UInt64
      let address = base + (value >> 16 & 0x1FF)
      board.board.write(next(), to: address, size: size, by: 0)
      _ = board.board.read(address, size: size, by: 0)
      if value & 0xF00_0000 == 0 { board.pass(next() & 0xFFFFF) }
    }
  }

  // MARK: PCI

  /// PCI Local Bus Specification 3.0, configuration mechanism 1.
  @Test func thereIsOneHostBridge() {
    let board = TestBoard()
    board.output(0x8000_0000, 0xCF8, size: 4)
    #expect(board.input(0xCF8, size: 4) == 0x8000_0000)
    #expect(board.input(0xCFC, size: 4) == 0x1237_8086)
    #expect(board.input(0xCFE, size: 2) == 0x1237)
    board.output(0x8000_0008, 0xCF8, size: 4)
    #expect(board.input(0xCFC, size: 4) >> 16 == 0x0600)
    for address: UInt32 in [0x8000_0100, 0x8000_0800, 0x8001_0000, 0x0000_0000] {
      board.output(address, 0xCF8, size: 4)
      #expect(board.input(0xCFC, size: 4) == 0xFFFF_FFFF)
    }
    // Shorter accesses are no configuration cycles, and CF9H is the reset control register.
    board.output(0x8000_0000, 0xCF8, size: 4)
    board.output(0x12, 0xCF8)
    #expect(board.input(0xCF8, size: 4) == 0x8000_0000)
    board.output(0xFFFF_FFFF, 0xCFC, size: 4)
    #expect(board.input(0xCFC, size: 4) == 0x1237_8086)
    #expect(board.board.events.pending == nil)
  }

  // MARK: Test device

  @Test func theTestDeviceKeepsWhatIsWritten() {
    let board = TestBoard()
    board.output(0xAABB_CCDD, 0xE0, size: 4)
    #expect(board.input(0xE0, size: 4) == 0xAABB_CCDD)
    #expect(board.input(0xE1) == 0xCC)
    board.output(0x99, 0xE2)
    #expect(board.input(0xE8, size: 4) == 0xAA99_CCDD)
    board.board.write(0x1122_3344_5566_7788, to: 0xFF00_0FFC, size: 8, by: 0)
    #expect(board.board.read(0xFF00_1000, size: 4, by: 0) == 0x1122_3344)
  }

  @Test func theTestDeviceDrivesLines() {
    let board = TestBoard()
    board.redirect(14, 0x3E)
    board.output(1, 0x200E)
    #expect(board.apic.pendingInterrupt == 0x3E)
  }

  // MARK: Firmware configuration

  /// QEMU, "QEMU Firmware Configuration (fw_cfg) Device".
  private func item(_ board: TestBoard, _ key: UInt32, _ count: Int) -> [UInt8] {
    board.output(key, 0x510, size: 2)
    return (0..<count).map { _ in UInt8(board.input(0x511)) }
  }

  @Test func theFirmwareConfigurationTellsTheSizes() {
    let board = TestBoard(processors: 3) { $0.highMemory = 1 << 32 }
    #expect(item(board, 0, 4) == Array("QEMU".utf8))
    #expect(item(board, 1, 4) == [3, 0, 0, 0])
    #expect(item(board, 3, 8) == [0, 0, 0, 0x10, 1, 0, 0, 0])
    #expect(item(board, 5, 3) == [3, 0, 0])
    #expect(item(board, 0x1234, 2) == [0, 0])
  }

  @Test func filesAreListedAndRead() {
    let board = TestBoard {
      $0.firmwareFiles = [
        FirmwareFile(name: "opt/b", contents: [1, 2, 3]), FirmwareFile(name: "opt/a", contents: [9]),
      ]
    }
    let directory = item(board, 0x19, 4 + 128)
    #expect(Array(directory[0..<4]) == [0, 0, 0, 2])
    #expect(Array(directory[4..<12]) == [0, 0, 0, 1, 0, 0x20, 0, 0])
    #expect(Array(directory[12..<18]) == Array("opt/a".utf8) + [0])
    #expect(Array(directory[68..<76]) == [0, 0, 0, 3, 0, 0x21, 0, 0])
    #expect(item(board, 0x21, 4) == [1, 2, 3, 0])
  }

  @Test func itemsAreReadByDMA() {
    let memory = ArrayMemory(size: 4096)
    let board = TestBoard {
      $0.memory = memory
      $0.firmwareFiles = [FirmwareFile(name: "f", contents: Array(1...10))]
    }
    #expect(board.input(0x514, size: 4).byteSwapped == 0x5145_4D55)
    #expect(board.input(0x518, size: 4).byteSwapped == 0x2043_4647)
    func transfer(_ control: UInt32, _ length: UInt32, _ target: UInt64) -> UInt32 {
      memory.set(control.byteSwapped, at: 0x100)
      memory.set(length.byteSwapped, at: 0x104)
      memory.set(target.byteSwapped, at: 0x108)
      board.output(UInt32(0).byteSwapped, 0x514, size: 4)
      board.output(UInt32(0x100).byteSwapped, 0x518, size: 4)
      return memory.get(0x100, as: UInt32.self).byteSwapped
    }
    #expect(transfer(0x20 << 16 | 8 | 4, 3, 0) == 0)
    #expect(transfer(2, 9, 0x200) == 0)
    #expect(Array(memory.bytes[0x200..<0x209]) == [4, 5, 6, 7, 8, 9, 10, 0, 0])
    #expect(transfer(2, 16, 0xFFF8) == 1)
    #expect(transfer(2, 0xFFFF_FFFF, 0x200) == 1)
    #expect(transfer(16, 1, 0x200) == 1)
  }
}
