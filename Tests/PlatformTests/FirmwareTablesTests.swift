import Testing

import Platform

/// The firmware's tables, read back as an operating system reads them.
@Suite struct FirmwareTablesTests {
  private let memory = ArrayMemory(size: 1 << 20)
  private let tables: FirmwareTables

  init() {
    var configuration = BoardConfiguration(lowMemory: 1 << 30)
    configuration.processorCount = 3
    configuration.virtioDevices = [VirtioEntropy(), VirtioEntropy()]
    tables = FirmwareTables(configuration)
    for region in tables.regions {
      memory.bytes.replaceSubrange(
        Int(region.address)..<Int(region.address) + region.bytes.count, with: region.bytes)
    }
  }

  private func sum(_ range: Range<Int>) -> UInt8 { memory.bytes[range].reduce(0, &+) }

  private func text(_ address: Int, _ count: Int) -> String {
    String(decoding: memory.bytes[address..<address + count], as: UTF8.self)
  }

  /// The address of `text` in steps of 16 bytes, as it is searched for.
  private func find(_ wanted: String, from start: Int) throws -> Int {
    try #require(stride(from: start, to: 0x10_0000, by: 16).first { text($0, wanted.utf8.count) == wanted })
  }

  /// The address and length of a table, whose checksum is right.
  private func table(_ signature: String) throws -> (address: Int, length: Int) {
    let root = try find("RSD PTR ", from: 0xE_0000)
    let xsdt: UInt64 = memory.get(root + 24)
    let length: UInt32 = memory.get(Int(xsdt) + 4)
    for entry in 0..<(Int(length) - 36) / 8 {
      let address = Int(memory.get(Int(xsdt) + 36 + entry * 8, as: UInt64.self))
      guard text(address, 4) == signature else { continue }
      let length = Int(memory.get(address + 4, as: UInt32.self))
      #expect(sum(address..<address + length) == 0)
      return (address, length)
    }
    throw Missing(signature: signature)
  }

  private struct Missing: Error { var signature: String }

  @Test func regionsDoNotOverlapAndLieInTheirArea() {
    let sorted = tables.regions.sorted { $0.address < $1.address }
    for (one, next) in zip(sorted, sorted.dropFirst()) {
      #expect(one.address + UInt64(one.bytes.count) <= next.address)
    }
    #expect(sorted.first?.address == 0)
    #expect(sorted.dropFirst().first?.address == 0x400)
    for region in sorted.dropFirst(2) {
      #expect(FirmwareTables.area.contains(region.address))
      #expect(region.address + UInt64(region.bytes.count) <= FirmwareTables.area.upperBound)
    }
  }

  /// Every vector of real-address mode leads to a handler that returns.
  @Test func realModeVectorsLeadToHandlers() {
    for vector in 0..<256 {
      let offset = Int(memory.get(vector * 4, as: UInt16.self))
      let segment = Int(memory.get(vector * 4 + 2, as: UInt16.self))
      let code = memory.bytes[(segment << 4 + offset)...].prefix(24)
      #expect(code.contains(0xCF), "\(vector)")
      let endsInterrupt = code.prefix { $0 != 0xCF }.contains(0xE6)
      #expect(endsInterrupt == ((8..<16).contains(vector) || (0x70..<0x78).contains(vector)), "\(vector)")
    }
  }

  @Test func theGreatestBoardFits() {
    var configuration = BoardConfiguration(lowMemory: 1 << 30)
    configuration.processorCount = 1000
    configuration.virtioDevices = (0..<20).map { _ in VirtioEntropy() }
    let regions = FirmwareTables(configuration).regions
    #expect(regions.allSatisfy { $0.address + UInt64($0.bytes.count) <= 0x10_0000 })
  }

  /// ACPI Specification, "Root System Description Pointer (RSDP)".
  @Test func theRootPointerIsFoundAndChecked() throws {
    let root = try find("RSD PTR ", from: 0xE_0000)
    #expect(UInt64(root) == tables.rootPointer)
    #expect(sum(root..<root + 20) == 0)
    #expect(sum(root..<root + 36) == 0)
    #expect(memory.bytes[root + 15] == 2)
    let rsdt = Int(memory.get(root + 16, as: UInt32.self))
    let length = Int(memory.get(rsdt + 4, as: UInt32.self))
    #expect(text(rsdt, 4) == "RSDT")
    #expect(sum(rsdt..<rsdt + length) == 0)
    #expect(Int(memory.get(rsdt + 36, as: UInt32.self)) == (try table("FACP").address))
    #expect(Int(memory.get(rsdt + 40, as: UInt32.self)) == (try table("APIC").address))
  }

  /// ACPI Specification, "Fixed ACPI Description Table (FADT)": the offsets are the specification's.
  @Test func theFADTDescribesTheFixedHardware() throws {
    let (fadt, length) = try table("FACP")
    #expect(length == 268)
    #expect(memory.get(fadt + 46, as: UInt16.self) == 9)
    #expect(memory.get(fadt + 48, as: UInt32.self) == 0)
    #expect(memory.get(fadt + 56, as: UInt32.self) == 0x600)
    #expect(memory.get(fadt + 64, as: UInt32.self) == 0x604)
    #expect(memory.get(fadt + 76, as: UInt32.self) == 0x608)
    #expect(Array(memory.bytes[fadt + 88..<fadt + 92]) == [4, 2, 0, 4])
    #expect(memory.bytes[fadt + 108] == 0x32)
    #expect(memory.get(fadt + 112, as: UInt32.self) & (1 << 8 | 1 << 10) == 1 << 8 | 1 << 10)
    // The clock's alarm is a fixed event (FIX_RTC is 0), for RTC_EN can be set.
    #expect(memory.get(fadt + 112, as: UInt32.self) & 1 << 6 == 0)
    #expect(memory.get(fadt + 120, as: UInt64.self) == 0xCF9)
    #expect(memory.bytes[fadt + 128] == 6)
    #expect(memory.get(fadt + 152, as: UInt64.self) == 0x600)
    #expect(memory.get(fadt + 176, as: UInt64.self) == 0x604)
    #expect(memory.get(fadt + 212, as: UInt64.self) == 0x608)
    let facs = Int(memory.get(fadt + 36, as: UInt32.self))
    #expect(text(facs, 4) == "FACS")
    #expect(facs % 64 == 0)
    #expect(memory.get(facs + 4, as: UInt32.self) == 64)
  }

  /// ACPI Specification, "Multiple APIC Description Table (MADT)".
  @Test func theMADTListsProcessorsAndOverrides() throws {
    let (madt, length) = try table("APIC")
    #expect(memory.get(madt + 36, as: UInt32.self) == 0xFEE0_0000)
    #expect(memory.get(madt + 40, as: UInt32.self) == 1)
    var entries: [[UInt8]] = []
    var place = madt + 44
    while place < madt + length {
      let count = Int(memory.bytes[place + 1])
      try #require(count >= 2)
      entries.append(Array(memory.bytes[place..<place + count]))
      place += count
    }
    #expect(place == madt + length)
    #expect(entries.filter { $0[0] == 0 } == (0..<3).map { [0, 8, $0, $0, 1, 0, 0, 0] })
    #expect(entries.filter { $0[0] == 1 } == [[1, 12, 0, 0, 0, 0, 0xC0, 0xFE, 0, 0, 0, 0]])
    #expect(
      entries.filter { $0[0] == 2 } == [[2, 10, 0, 0, 2, 0, 0, 0, 0, 0], [2, 10, 0, 9, 9, 0, 0, 0, 0xD, 0]])
    #expect(entries.filter { $0[0] == 4 } == [[4, 6, 0xFF, 0, 0, 1]])
  }

  @Test func theDSDTIsBehindTheFADT() throws {
    let fadt = try table("FACP").address
    let dsdt = Int(memory.get(fadt + 40, as: UInt32.self))
    #expect(memory.get(fadt + 140, as: UInt64.self) == UInt64(dsdt))
    let length = Int(memory.get(dsdt + 4, as: UInt32.self))
    #expect(text(dsdt, 4) == "DSDT")
    #expect(sum(dsdt..<dsdt + length) == 0)
    let code = Array(memory.bytes[dsdt + 36..<dsdt + length])
    #expect(code.starts(with: [0x08, 0x5C] + Array("_S5_".utf8) + [0x12, 0x08, 4, 0x0A, 5, 0x0A, 5, 0, 0]))
    let names = ["C000", "C002", "PCI0", "COM1", "VR00", "VR01"]
    for name in names { #expect(contains(code, Array(name.utf8)), "\(name)") }
    #expect(!contains(code, Array("VR02".utf8)))
    #expect(!contains(code, Array("C003".utf8)))
  }

  private func contains(_ bytes: [UInt8], _ part: [UInt8]) -> Bool {
    (0...bytes.count - part.count).contains { Array(bytes[$0..<$0 + part.count]) == part }
  }

  /// Intel MultiProcessor Specification 1.4.
  @Test func theMPTableListsTheSame() throws {
    let pointer = try find("_MP_", from: 0xF_0000)
    #expect(sum(pointer..<pointer + 16) == 0)
    let table = Int(memory.get(pointer + 4, as: UInt32.self))
    let length = Int(memory.get(table + 4, as: UInt16.self))
    #expect(text(table, 4) == "PCMP")
    #expect(sum(table..<table + length) == 0)
    var place = table + 44
    var kinds: [UInt8] = []
    while place < table + length {
      kinds.append(memory.bytes[place])
      place += memory.bytes[place] == 0 ? 20 : 8
    }
    #expect(place == table + length)
    #expect(kinds.count == Int(memory.get(table + 34, as: UInt16.self)))
    #expect(kinds.filter { $0 == 0 }.count == 3)
    #expect(kinds.filter { $0 == 3 }.count == 15)
  }

  /// DMTF System Management BIOS Reference Specification 2.8.
  @Test func theSMBIOSStructuresAreChained() throws {
    let entry = try find("_SM_", from: 0xF_0000)
    #expect(sum(entry..<entry + 31) == 0)
    #expect(sum(entry + 16..<entry + 31) == 0)
    let length = Int(memory.get(entry + 22, as: UInt16.self))
    let table = Int(memory.get(entry + 24, as: UInt32.self))
    let greatest = Int(memory.get(entry + 8, as: UInt16.self))
    let count = Int(memory.get(entry + 28, as: UInt16.self))
    let sizes: [UInt8: Int] = [0: 24, 1: 27, 3: 21, 4: 42, 16: 23, 17: 40, 19: 31, 32: 11, 127: 4]
    var place = table
    var found: [UInt8] = []
    while place < table + length {
      let start = place
      let kind = memory.bytes[place]
      #expect(Int(memory.bytes[place + 1]) == sizes[kind], "type \(kind)")
      place += Int(memory.bytes[place + 1])
      while memory.bytes[place] != 0 || memory.bytes[place + 1] != 0 { place += 1 }
      place += 2
      #expect(place - start <= greatest)
      found.append(kind)
    }
    #expect(place == table + length)
    #expect(found.count == count)
    #expect(found == [0, 1, 3, 4, 4, 4, 16, 17, 19, 32, 127])
  }
}

/// ACPI Specification, "ACPI Machine Language (AML) Specification".
@Suite struct AMLTests {
  @Test func namesArePaddedAndPrefixed() {
    #expect(AML.path("_S5") == Array("_S5_".utf8))
    #expect(AML.path("\\") == [0x5C, 0])
    #expect(AML.path("\\_SB.PCI0") == [0x5C, 0x2E] + Array("_SB_PCI0".utf8))
    #expect(AML.path("A.B.C") == [0x2F, 3] + Array("A___B___C___".utf8))
  }

  @Test func integersAreShort() {
    #expect(AML.integer(0) == [0])
    #expect(AML.integer(1) == [1])
    #expect(AML.integer(0xFF) == [0x0A, 0xFF])
    #expect(AML.integer(0x1234) == [0x0B, 0x34, 0x12])
    #expect(AML.integer(0x1_0000) == [0x0C, 0, 0, 1, 0])
    #expect(AML.integer(1 << 32) == [0x0E, 0, 0, 0, 0, 1, 0, 0, 0])
  }

  /// The specification's own example: PNP0501 is 01 05 D0 41 from the highest byte.
  @Test func eisaIdentifiersAreCompressed() {
    #expect(AML.eisaIdentifier("PNP0501") == [0x0C, 0x41, 0xD0, 0x05, 0x01])
    #expect(AML.eisaIdentifier("PNP0A03") == [0x0C, 0x41, 0xD0, 0x0A, 0x03])
  }

  /// PkgLength counts itself, and grows by whole bytes.
  @Test(arguments: [0, 1, 62, 63, 64, 4093, 4094, 1_048_572, 1_048_573])
  func packageLengthsCountThemselves(_ count: Int) {
    let bytes = AML.counted(Array(repeating: 0xAA, count: count))
    let extra = Int(bytes[0] >> 6)
    var length = extra == 0 ? Int(bytes[0] & 0x3F) : Int(bytes[0] & 0xF)
    for position in 0..<extra { length |= Int(bytes[1 + position]) << (4 + 8 * position) }
    #expect(length == bytes.count)
    #expect(bytes.count == 1 + extra + count)
    #expect(extra == 0 || bytes[0] & 0x30 == 0)
  }
}
