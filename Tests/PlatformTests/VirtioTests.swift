import Testing

import Platform

/// Virtual I/O Device (VIRTIO) 1.2.
@Suite struct VirtioTransportTests {
  @Test func theDeviceIsDiscovered() {
    let driver = VirtioDriver(VirtioBlock(ArrayDisk(sectors: 8)))
    #expect(driver.register(0) == 0x7472_6976)
    #expect(driver.register(4) == 2)
    #expect(driver.register(8) == 2)
    #expect(driver.register(0x34) == 256)
    driver.set(0x30, 1)
    #expect(driver.register(0x34) == 0)
    driver.set(0x14, 1)
    #expect(driver.register(0x10) == 1)
    driver.set(0x14, 2)
    #expect(driver.register(0x10) == 0)
    #expect(driver.register(0xB0) == 0xFFFF_FFFF)
  }

  @Test func featuresThatWereNotOfferedAreNotAccepted() {
    let driver = VirtioDriver(VirtioEntropy())
    driver.set(0x70, 3)
    driver.set(0x24, 0)
    driver.set(0x20, 1)
    driver.set(0x24, 1)
    driver.set(0x20, 1)
    driver.set(0x70, 0xB)
    #expect(driver.register(0x70) == 3)
    driver.set(0x24, 0)
    driver.set(0x20, 0)
    driver.set(0x70, 0xB)
    #expect(driver.register(0x70) == 0xB)
  }

  @Test func aLegacyDriverIsRefused() {
    let driver = VirtioDriver(VirtioEntropy())
    driver.start(common: 0)
    #expect(driver.register(0x70) & 8 == 0)
    driver.descriptor(0, 0x4000, 16, flags: 2)
    driver.offer(0)
    #expect(driver.usedIndex == 0)
  }

  @Test func aResetForgetsEverything() {
    let driver = VirtioDriver(VirtioEntropy())
    driver.start()
    driver.descriptor(0, 0x4000, 16, flags: 2)
    driver.offer(0)
    #expect(driver.line.isHigh)
    driver.set(0x70, 0)
    #expect(!driver.line.isHigh)
    #expect(driver.register(0x70) == 0)
    #expect(driver.register(0x44) == 0)
    #expect(driver.register(0x60) == 0)
  }

  @Test func theInterruptStaysUntilItIsAcknowledged() {
    let driver = VirtioDriver(VirtioEntropy())
    driver.start()
    driver.descriptor(0, 0x4000, 16, flags: 2)
    driver.offer(0)
    #expect(driver.register(0x60) == 1)
    driver.offer(0)
    #expect(driver.line.rises == 1)
    driver.set(0x64, 1)
    #expect(!driver.line.isHigh)
    driver.memory.set(UInt16(1), at: VirtioDriver.available)
    driver.offer(0)
    #expect(driver.usedIndex == 3)
    #expect(!driver.line.isHigh)
  }

  @Test func ringsWrapAround() {
    let driver = VirtioDriver(VirtioEntropy())
    driver.start(size: 2)
    driver.descriptor(0, 0x4000, 16, flags: 2)
    for count in 1...70_000 {
      driver.offer(0, size: 2)
      if UInt16(truncatingIfNeeded: count) != driver.usedIndex {
        Issue.record("request \(count) was not answered")
        break
      }
    }
    #expect(!driver.needsReset)
  }

  // MARK: Hostile drivers

  enum Attack: CaseIterable {
    case ringOutsideMemory, tableOutsideMemory, bufferOutsideMemory, headBeyondQueue, loop, tooManyAvailable
    case writableBeforeReadable, nestedIndirect, indirectNotNegotiated, bufferWrapsAround, nextBeyondQueue
    case indirectOfOddSize
  }

  /// Whatever the rings hold, the device stops with DEVICE_NEEDS_RESET, and works again after a reset.
  @Test(arguments: Attack.allCases)
  func aHostileDriverStopsTheDevice(_ attack: Attack) {
    let disk = ArrayDisk(sectors: 8)
    let driver = VirtioDriver(VirtioBlock(disk))
    driver.start(features: attack == .indirectNotNegotiated ? ~(1 << 28) : .max)
    driver.descriptor(0, 0x4000, 16, flags: 1, next: 1)
    driver.descriptor(1, 0x5000, 513, flags: 2)
    var head: UInt16 = 0
    switch attack {
    case .ringOutsideMemory, .tableOutsideMemory:
      driver.set(0x44, 0)
      driver.set(attack == .ringOutsideMemory ? 0xA4 : 0x84, 1)
      driver.set(0x44, 1)
    case .bufferOutsideMemory: driver.descriptor(1, 1 << 40, 513, flags: 2)
    case .bufferWrapsAround: driver.descriptor(1, .max - 100, 513, flags: 2)
    case .headBeyondQueue: head = 8
    case .nextBeyondQueue: driver.descriptor(0, 0x4000, 16, flags: 1, next: 0xFFFF)
    case .loop: driver.descriptor(1, 0x5000, 1, flags: 3, next: 1)
    case .tooManyAvailable: driver.memory.set(UInt16(0x8000), at: VirtioDriver.available + 2)
    case .writableBeforeReadable:
      driver.descriptor(0, 0x4000, 16, flags: 3, next: 1)
      driver.descriptor(1, 0x5000, 513)
    case .nestedIndirect:
      driver.descriptor(0, 0x6000, 16, flags: 4)
      driver.descriptor(0, 0x6000, 16, flags: 4, table: 0x6000)
    case .indirectNotNegotiated, .indirectOfOddSize:
      driver.descriptor(0, 0x6000, attack == .indirectOfOddSize ? 17 : 16, flags: 4)
      driver.descriptor(0, 0x4000, 16, table: 0x6000)
    }
    if attack == .tooManyAvailable { driver.set(0x50, 0) } else { driver.offer(head) }
    #expect(driver.needsReset)
    #expect(driver.register(0x60) & 2 != 0)
    let used = driver.usedIndex
    driver.offer(0)
    #expect(driver.usedIndex == used)
    driver.set(0x70, 0)
    #expect(!driver.needsReset)
  }

  /// Random rings: nothing traps, and no chain is answered twice.
  @Test func randomRingsAreSurvived() {
    var random: UInt64 = 0x9E37_79B9_7F4A_7C15
    func next() -> UInt64 {
      random ^= random << 13
      random ^= random >> 7
      random ^= random << 17
      return random
    }
    for round in 0..<2000 {
      let devices: [any VirtioDevice] = [
        VirtioBlock(ArrayDisk(sectors: 64)), VirtioEntropy(), VirtioConsole { _ in },
      ]
      let driver = VirtioDriver(devices[round % 3])
      driver.start(queue: UInt32(next() & 1) & (round % 3 == 2 ? 1 : 0), size: 8)
      for index in 0..<8 {
        driver.descriptor(
          index, next() & 0x3_FFFF,
          UInt32(truncatingIfNeeded: next() & (next() & 3 == 0 ? 0xFFFF_FFFF : 0xFFF)),
          flags: UInt16(truncatingIfNeeded: next() & 7), next: UInt16(truncatingIfNeeded: next() & 9))
      }
      for offset in 0..<64 { driver.memory.bytes[0x4000 + offset] = UInt8(truncatingIfNeeded: next() & 9) }
      for _ in 0..<4 { driver.offer(UInt16(truncatingIfNeeded: next() & 7), queue: UInt32(next() & 1)) }
      #expect(driver.usedIndex <= 4)
    }
  }
}

@Suite struct VirtioBlockTests {
  private let disk = ArrayDisk(sectors: 100)
  private let driver: VirtioDriver

  init() {
    driver = VirtioDriver(VirtioBlock(disk))
    driver.start()
  }

  /// A request of type `type`: header, `count` bytes of data at 5000H, status.
  private func request(_ type: UInt32, _ sector: UInt64, _ count: UInt32) -> UInt8 {
    driver.memory.set(type, at: 0x4000)
    driver.memory.set(UInt32(0), at: 0x4004)
    driver.memory.set(sector, at: 0x4008)
    driver.memory.bytes[0x4100] = 0xFF
    driver.descriptor(0, 0x4000, 16, flags: 1, next: count > 0 ? 1 : 2)
    driver.descriptor(1, 0x5000, count, flags: type == 1 ? 1 : 3, next: 2)
    driver.descriptor(2, 0x4100, 1, flags: 2)
    driver.offer(0)
    return driver.memory.bytes[0x4100]
  }

  @Test func theConfigurationTellsTheCapacity() {
    #expect(driver.transport.read(offset: 0x100, size: 8) == 100)
    #expect(driver.register(0x100) == 100)
    #expect(driver.register(0x104) == 0)
    #expect(driver.register(0x114) == 512)
    #expect(driver.transport.read(offset: 0x1000, size: 8) == 0)
  }

  @Test func sectorsAreReadAndWritten() {
    #expect(request(0, 3, 1024) == 0)
    #expect(Array(driver.memory.bytes[0x5000..<0x5400]) == Array(disk.bytes[3 * 512..<5 * 512]))
    #expect(driver.usedLength(0) == 1025)
    driver.memory.bytes.replaceSubrange(0x5000..<0x5200, with: repeatElement(0x77, count: 512))
    #expect(request(1, 99, 512) == 0)
    #expect(Array(disk.bytes.suffix(512)) == Array(repeating: 0x77, count: 512))
    #expect(driver.usedLength(1) == 1)
  }

  @Test func whatIsNotOfTheDiskFails() {
    let before = disk.bytes
    #expect(request(0, 100, 512) == 1)
    #expect(request(0, 99, 1024) == 1)
    #expect(request(0, .max, 512) == 1)
    #expect(request(0, 0, 100) == 1)
    #expect(request(1, 100, 512) == 1)
    #expect(request(1, 0, 513) == 1)
    #expect(disk.bytes == before)
    #expect(!driver.needsReset)
  }

  @Test func otherRequests() {
    #expect(request(4, 0, 0) == 0)
    #expect(disk.flushes == 1)
    #expect(request(8, 0, 20) == 0)
    #expect(Array(driver.memory.bytes[0x5000..<0x5006]) == Array("array".utf8) + [0])
    #expect(request(11, 0, 0) == 2)
  }

  @Test func aFailingDiskIsAnInputOutputError() {
    disk.fails = true
    #expect(request(0, 0, 512) == 1)
    #expect(request(1, 0, 512) == 1)
    #expect(request(4, 0, 0) == 1)
    disk.fails = false
    #expect(request(0, 0, 512) == 0)
  }

  @Test func aReadOnlyDiskSaysSoAndRefusesWrites() {
    disk.isReadOnly = true
    driver.set(0x14, 0)
    #expect(driver.register(0x10) & 1 << 5 != 0)
    let before = disk.bytes
    #expect(request(1, 0, 512) == 1)
    #expect(disk.bytes == before)
  }

  /// "Message Framing": a header in two parts, data in three, the status behind the last of them.
  @Test func theCutOfTheBuffersDoesNotMatter() {
    driver.memory.set(UInt32(0), at: 0x4000)
    driver.memory.set(UInt64(7), at: 0x4008)
    driver.descriptor(0, 0x4000, 5, flags: 1, next: 1)
    driver.descriptor(1, 0x4005, 11, flags: 1, next: 2)
    driver.descriptor(2, 0x5000, 100, flags: 3, next: 3)
    driver.descriptor(3, 0x6000, 0, flags: 3, next: 4)
    driver.descriptor(4, 0x6000, 413, flags: 2)
    driver.memory.bytes[0x6000 + 412] = 0xFF
    driver.offer(0)
    #expect(Array(driver.memory.bytes[0x5000..<0x5064]) == Array(disk.bytes[3584..<3684]))
    #expect(Array(driver.memory.bytes[0x6000..<0x6000 + 412]) == Array(disk.bytes[3684..<4096]))
    #expect(driver.memory.bytes[0x6000 + 412] == 0)
    #expect(driver.usedLength(0) == 513)
  }

  @Test func aChainInATableOfItsOwn() {
    driver.memory.set(UInt32(0), at: 0x4000)
    driver.memory.set(UInt64(1), at: 0x4008)
    driver.descriptor(0, 0x4000, 16, flags: 1, next: 2, table: 0x6000)
    driver.descriptor(2, 0x5000, 512, flags: 3, next: 1, table: 0x6000)
    driver.descriptor(1, 0x4100, 1, flags: 2, table: 0x6000)
    driver.descriptor(5, 0x6000, 48, flags: 4)
    driver.offer(5)
    #expect(driver.usedHead(0) == 5)
    #expect(Array(driver.memory.bytes[0x5000..<0x5200]) == Array(disk.bytes[512..<1024]))
  }
}

@Suite struct VirtioCharacterTests {
  private final class Sent { var bytes: [UInt8] = [] }

  @Test func theConsoleSends() {
    let sent = Sent()
    let driver = VirtioDriver(VirtioConsole { sent.bytes.append($0) })
    driver.start(queue: 1)
    driver.memory.bytes.replaceSubrange(0x4000..<0x4005, with: Array("hello".utf8))
    driver.descriptor(0, 0x4000, 5)
    driver.offer(0, queue: 1)
    #expect(sent.bytes == Array("hello".utf8))
    #expect(driver.usedLength(0) == 0)
    driver.set(0x108, 0x21)
    #expect(sent.bytes.last == 0x21)
  }

  @Test func whatIsTypedWaitsForBuffers() {
    let console = VirtioConsole { _ in }
    let driver = VirtioDriver(console)
    #expect(!console.isListening)
    driver.start(queue: 0)
    #expect(!console.isListening && console.room == 0)
    console.receive([0x61, 0x62])
    #expect(driver.usedIndex == 0)
    driver.descriptor(0, 0x4000, 8, flags: 2)
    driver.offer(0)
    #expect(driver.usedLength(0) == 2)
    #expect(Array(driver.memory.bytes[0x4000..<0x4002]) == [0x61, 0x62])
    #expect(console.isDrained && !console.isListening)
    driver.offer(0)
    #expect(driver.usedIndex == 1)
    #expect(console.isListening && console.room == 4096)
    console.receive([0x63])
    #expect(driver.usedIndex == 2)
    #expect(driver.memory.bytes[0x4000] == 0x63)
    #expect(console.activity == 3)
    console.receive(ArraySlice(repeatElement(1, count: 5000)))
    driver.offer(0)
    #expect(driver.usedIndex == 3)
    #expect(!console.isDrained)
    driver.set(0x70, 0)
    #expect(!console.isListening)
  }

  @Test func entropyRepeatsAndVaries() {
    func bytes(seed: UInt64) -> [UInt8] {
      let driver = VirtioDriver(VirtioEntropy(seed: seed))
      driver.start()
      driver.descriptor(0, 0x4000, 100, flags: 2)
      driver.offer(0)
      #expect(driver.usedLength(0) == 100)
      #expect(driver.memory.bytes[0x4064] == 0)
      return Array(driver.memory.bytes[0x4000..<0x4064])
    }
    #expect(bytes(seed: 1) == bytes(seed: 1))
    #expect(bytes(seed: 1) != bytes(seed: 2))
    #expect(Set(bytes(seed: 1)).count > 50)
  }

  @Test func aHugeRequestGetsAsMuchAsIsGiven() {
    let driver = VirtioDriver(VirtioEntropy())
    driver.start()
    driver.descriptor(0, 0x4000, .max, flags: 2)
    driver.offer(0)
    #expect(driver.usedLength(0) == 4096)
  }
}
