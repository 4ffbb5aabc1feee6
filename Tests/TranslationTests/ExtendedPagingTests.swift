import Testing
import Translation
import X86

@Suite struct ExtendedPagingTests {
  static let guest = PhysicalAddress<L2>(0x80_4060_3123)  // indices 1, 1, 3 and 3.

  static func memory() -> TestMemory {
    let memory = TestMemory()
    memory[0x1000 + 8] = 0x2007
    memory[0x2000 + 8] = 0x3007
    memory[0x3000 + 3 * 8] = 0x4007
    memory[0x4000 + 3 * 8] = 0xABCD_E037
    return memory
  }

  static func fault(_ memory: TestMemory, _ access: ExtendedAccess, eptp: UInt64 = 0x101E) -> ExtendedFault? {
    do throws(ExtendedFault) {
      _ = try ExtendedPaging(eptp: eptp, physicalAddressWidth: 46).translate(guest, for: access, in: memory)
      return nil
    } catch { return error }
  }

  @Test func translates() throws {
    let memory = Self.memory()
    defer { memory.free() }
    let mapping = try ExtendedPaging(eptp: 0x101E, physicalAddressWidth: 46)
      .translate(Self.guest, for: ExtendedAccess(.read), in: memory)
    #expect(mapping.address == PhysicalAddress<L1>(0xABCD_E123))
    #expect(mapping.permissions == .all && mapping.memoryType == 6 && !mapping.ignoresPAT)
    #expect(mapping.isDirty && mapping.references == 4)
    #expect(memory[0x4018] & 0x300 == 0, "no flags unless enabled")
  }

  @Test func accessedAndDirtyFlags() throws {
    let memory = Self.memory()
    defer { memory.free() }
    let paging = ExtendedPaging(eptp: 0x105E, physicalAddressWidth: 46)
    let read = try paging.translate(Self.guest, for: ExtendedAccess(.read), in: memory)
    #expect(!read.isDirty)
    #expect(memory[0x1008] & 0x300 == 0x100 && memory[0x4018] & 0x300 == 0x100)
    let structure = ExtendedAccess(.read, isPagingStructure: true)
    let walk = try paging.translate(Self.guest, for: structure, in: memory)
    #expect(walk.isDirty, "accesses to guest paging structures count as writes")
    #expect(memory[0x4018] & 0x300 == 0x300)
    #expect(memory[0x3018] & 0x300 == 0x100)
  }

  @Test(arguments: [
    // (permissions of the leaf, access, bits 5:0 of the qualification)
    (UInt64(0), AccessKind.read, UInt64?(0b000_001)),
    (0, .execute, 0b000_100),
    (1, .write, 0b001_010),
    (1, .execute, 0b001_100),
    (3, .execute, 0b011_100),
    (4, .read, 0b100_001),
    (4, .execute, nil),
    (5, .write, 0b101_010),
    (1, .read, nil),
  ])
  func violations(permissions: UInt64, kind: AccessKind, expected: UInt64?) {
    let memory = Self.memory()
    defer { memory.free() }
    memory[0x4018] = memory[0x4018] & ~7 | permissions
    #expect(Self.fault(memory, ExtendedAccess(kind)) == expected.map { .violation(qualification: $0) })
  }

  @Test func pagingStructureAccessWithFlagsReportsReadAndWrite() {
    let memory = Self.memory()
    defer { memory.free() }
    memory[0x4018] = memory[0x4018] & ~7 | 1
    let access = ExtendedAccess(.read, isPagingStructure: true)
    #expect(Self.fault(memory, access) == nil)
    #expect(Self.fault(memory, access, eptp: 0x105E) == .violation(qualification: 0b001_011))
  }

  @Test func settingAFlagReadsAndWrites() {
    let memory = Self.memory()
    defer { memory.free() }
    memory[0x4018] = memory[0x4018] & ~7 | 1
    let access = ExtendedAccess(.write, isPagingStructure: true)
    #expect(Self.fault(memory, access) == .violation(qualification: 0b001_011))
  }

  /// SDM, "Mode-Based Execute Control for EPT".
  @Test func modeBasedExecuteControl() throws {
    let memory = Self.memory()
    defer { memory.free() }
    let paging = ExtendedPaging(eptp: 0x101E, physicalAddressWidth: 46, hasModeBasedExecute: true)
    let user = ExtendedAccess(.execute, isUser: true)
    for entry in [0x1008, 0x2008, 0x3018] { memory[entry] |= 1 << 10 }
    memory[0x4018] = 0xABCD_E030 | 1 << 10
    #expect(try paging.translate(Self.guest, for: user, in: memory).permissions == .userExecute)
    #expect(throws: ExtendedFault.violation(qualification: 0b1_000_100)) {
      _ = try paging.translate(Self.guest, for: ExtendedAccess(.execute), in: memory)
    }
    memory[0x4018] = 0xABCD_E037
    #expect(throws: ExtendedFault.violation(qualification: 0b0_111_100)) {
      _ = try paging.translate(Self.guest, for: user, in: memory)
    }
  }

  @Test func dirtyFlagIsToldOnce() throws {
    let memory = Self.memory()
    defer { memory.free() }
    let paging = ExtendedPaging(eptp: 0x105E, physicalAddressWidth: 46)
    #expect(try paging.translate(Self.guest, for: ExtendedAccess(.write), in: memory).becameDirty)
    #expect(try !paging.translate(Self.guest, for: ExtendedAccess(.write), in: memory).becameDirty)
  }

  @Test func permissionsAreOfAllEntries() {
    let memory = Self.memory()
    defer { memory.free() }
    memory[0x2008] = 0x3005
    memory[0x3018] = 0x4003
    #expect(Self.fault(memory, ExtendedAccess(.execute)) == .violation(qualification: 0b001_100))
  }

  @Test(arguments: [
    (0x1008, UInt64(0x2002)), (0x1008, 0x2006), (0x1008, 0x2087), (0x1008, 0x200F), (0x2008, 0x300F),
    (0x3018, 0x4047), (0x4018, 0xABCD_E017), (0x4018, 0xABCD_E01F), (0x4018, 0xABCD_E03F),
    (0x4018, 0x4000_ABCD_E037), (0x3018, 0x20_10B7), (0x2008, 0x2000_00B7),
  ])
  func misconfigurations(entry: Int, value: UInt64) {
    let memory = Self.memory()
    defer { memory.free() }
    memory[entry] = value
    #expect(Self.fault(memory, ExtendedAccess(.read)) == .misconfiguration)
  }

  @Test func holesAreMisconfigurations() {
    let memory = Self.memory()
    defer { memory.free() }
    memory[0x3018] = 0x7777_0007
    #expect(Self.fault(memory, ExtendedAccess(.read)) == .misconfiguration)
  }

  @Test func composition() {
    let inner = ExtendedMapping<L1>(
      address: PhysicalAddress(0x5_0000), size: .page2M, permissions: [.read, .execute], memoryType: 6,
      ignoresPAT: false, isDirty: true, references: 3)
    let outer = ExtendedMapping<L0>(
      address: PhysicalAddress(0x9_5000), size: .page4K, permissions: [.read, .write], memoryType: 6,
      ignoresPAT: false, isDirty: false, references: 4)
    let product = inner.composed(with: outer)
    #expect(product.address == PhysicalAddress<L0>(0x9_5000))
    #expect(product.size == .page4K && product.permissions == .read && !product.isDirty)
    #expect(product.references == 7)
  }
}
