import Testing
import Translation
import X86

/// A small physical memory, page by page.
struct TestMemory: PagingStructures {
  typealias Level = L1
  typealias Failure = ExtendedFault
  let words = UnsafeMutablePointer<UInt64>.allocate(capacity: 0x10000 / 8)

  init() { words.initialize(repeating: 0, count: 0x10000 / 8) }

  func load(_ address: PhysicalAddress<L1>) throws(ExtendedFault) -> UInt64 {
    address.rawValue < 0x10000 ? words[Int(address.rawValue / 8)] : ~0
  }

  func setFlags(_ flags: UInt16, at address: PhysicalAddress<L1>) throws(ExtendedFault) {
    UnsafeMutableRawPointer(words).assumingMemoryBound(to: UInt8.self)[Int(address.rawValue)] |=
      UInt8(truncatingIfNeeded: flags)
    UnsafeMutableRawPointer(words).assumingMemoryBound(to: UInt8.self)[Int(address.rawValue) + 1] |=
      UInt8(truncatingIfNeeded: flags >> 8)
  }

  subscript(_ address: Int) -> UInt64 {
    get { words[address / 8] }
    nonmutating set { words[address / 8] = newValue }
  }

  func store32(_ value: UInt32, at address: Int) {
    UnsafeMutableRawPointer(words).storeBytes(of: value, toByteOffset: address, as: UInt32.self)
  }

  func load32(at address: Int) -> UInt32 {
    UnsafeRawPointer(words).load(fromByteOffset: address, as: UInt32.self)
  }

  func free() { words.deallocate() }
}

@Suite struct LinearPagingTests {
  static let linear: UInt64 = 0xFFFF_8040_4060_3123  // indices 256, 257, 3 and 3.

  /// PML4 at 1000, PDPT at 2000, PD at 3000, PT at 4000; the page at 0xABCDE000; all rights.
  static func memory() -> TestMemory {
    let memory = TestMemory()
    memory[0x1000 + 256 * 8] = 0x2007
    memory[0x2000 + 257 * 8] = 0x3007
    memory[0x3000 + 3 * 8] = 0x4007
    memory[0x4000 + 3 * 8] = 0xABCD_E007
    return memory
  }

  static func paging(_ controls: LinearPaging.Controls = [.executeDisable]) -> LinearPaging {
    LinearPaging(mode: .fourLevel, cr3: 0x1018, controls: controls, physicalAddressWidth: 46)
  }

  /// The error code of the page fault, or nil if the access is allowed.
  static func errorCode(
    _ paging: LinearPaging, _ access: LinearAccess, _ memory: TestMemory, linear: UInt64 = linear
  ) -> UInt32? {
    do throws(LinearFault<ExtendedFault>) {
      _ = try paging.translate(linear, for: access, in: memory)
      return nil
    } catch {
      switch error {
      case .pageFault(let code): return code.rawValue
      case .structures: return .max
      }
    }
  }

  @Test func translatesAndSetsFlags() throws {
    let memory = Self.memory()
    defer { memory.free() }
    let read = try Self.paging().translate(Self.linear, for: LinearAccess(.read, isUser: true), in: memory)
    #expect(read.address.rawValue == 0xABCD_E123)
    #expect(!read.isDirty && read.isWritable && read.isUser && read.isExecutable)
    #expect(read.references == 4 && read.size == .page4K)
    for entry in [0x1000 + 256 * 8, 0x2000 + 257 * 8, 0x3018, 0x4018] {
      #expect(memory[entry] & 0x60 == 0x20, "accessed, not dirty")
    }
    let write = try Self.paging().translate(Self.linear, for: LinearAccess(.write, isUser: true), in: memory)
    #expect(write.isDirty)
    #expect(memory[0x4018] & 0x60 == 0x60)
    #expect(memory[0x3018] & 0x60 == 0x20)
  }

  @Test func faultingWalkSetsNoFlag() {
    let memory = Self.memory()
    defer { memory.free() }
    memory[0x4018] &= ~4
    #expect(Self.errorCode(Self.paging(), LinearAccess(.write, isUser: true), memory) == 0b00111)
    #expect(memory[0x3018] & 0x60 == 0)
  }

  @Test func largePages() throws {
    let memory = Self.memory()
    defer { memory.free() }
    memory[0x3018] = 0x1_0020_0087
    let big = try Self.paging().translate(Self.linear, for: LinearAccess(.read, isUser: false), in: memory)
    #expect(big.address.rawValue == 0x1_0020_0000 | Self.linear & 0x1F_FFFF)
    #expect(big.size == .page2M)
    memory[0x3018] = 0x1_0020_2087
    #expect(Self.errorCode(Self.paging(), LinearAccess(.read, isUser: false), memory) == 0b01001)
    memory[0x2000 + 257 * 8] = 0x1_4000_0087
    let huge = try Self.paging().translate(Self.linear, for: LinearAccess(.read, isUser: false), in: memory)
    #expect(huge.address.rawValue == 0x1_4000_0000 | Self.linear & 0x3FFF_FFFF)
    #expect(huge.size == .page1G)
    let without = Self.paging([.withoutPagesOf1GByte])
    #expect(Self.errorCode(without, LinearAccess(.read, isUser: false), memory) == 0b01001, "PS is reserved")
  }

  /// A change of the leaf entry, an access, and the error code that it then has, or nil if it is allowed.
  struct RightsCase {
    var clear: UInt64
    var set: UInt64
    var access: LinearAccess
    var controls: LinearPaging.Controls
    var expected: UInt32?

    init(
      _ clear: UInt64, _ set: UInt64, _ kind: AccessKind, user: Bool, smap: Bool = true,
      _ controls: LinearPaging.Controls, _ expected: UInt32?
    ) {
      self.clear = clear
      self.set = set
      self.access = LinearAccess(kind, isUser: user, obeysSMAP: smap)
      self.controls = controls
      self.expected = expected
    }
  }

  static let rightsCases: [RightsCase] = [
    RightsCase(1, 0, .read, user: false, .executeDisable, 0),
    RightsCase(1, 0, .execute, user: true, .executeDisable, 0b10100),
    RightsCase(1, 0, .execute, user: true, [], 0b00100),
    RightsCase(0, 1 << 46, .write, user: false, .executeDisable, 0b01011),
    RightsCase(0, 1 << 63, .read, user: false, [], 0b01001),
    RightsCase(0, 1 << 63, .read, user: false, .executeDisable, nil),
    RightsCase(0, 1 << 63, .execute, user: false, .executeDisable, 0b10001),
    RightsCase(2, 0, .write, user: true, [], 0b00111),
    RightsCase(2, 0, .write, user: false, [], nil),
    RightsCase(2, 0, .write, user: false, .writeProtect, 0b00011),
    RightsCase(4, 0, .read, user: true, [], 0b00101),
    RightsCase(4, 0, .read, user: false, [], nil),
    RightsCase(0, 0, .execute, user: false, .supervisorExecutionPrevention, 0b10001),
    RightsCase(4, 0, .execute, user: false, .supervisorExecutionPrevention, nil),
    RightsCase(0, 0, .read, user: false, .supervisorAccessPrevention, 0b00001),
    RightsCase(0, 0, .read, user: false, smap: false, .supervisorAccessPrevention, nil),
    RightsCase(0, 0, .read, user: true, .supervisorAccessPrevention, nil),
  ]

  @Test func rights() {
    for (number, row) in Self.rightsCases.enumerated() {
      let memory = Self.memory()
      defer { memory.free() }
      memory[0x4018] = memory[0x4018] & ~row.clear | row.set
      let code = Self.errorCode(Self.paging(row.controls), row.access, memory)
      #expect(code == row.expected, "case \(number)")
    }
  }

  @Test func upperEntriesNarrowTheRights() {
    for entry in [0x1000 + 256 * 8, 0x2000 + 257 * 8, 0x3018] {
      let memory = Self.memory()
      defer { memory.free() }
      memory[entry] &= ~2
      #expect(Self.errorCode(Self.paging(), LinearAccess(.write, isUser: true), memory) == 0b00111)
    }
  }

  @Test func paePaging() throws {
    let memory = TestMemory()
    defer { memory.free() }
    memory[0x3000 + 3 * 8] = 0x4007
    memory[0x4000 + 5 * 8] = 0x1_2345_6007
    var paging = LinearPaging(mode: .pae, cr3: 0, controls: [], physicalAddressWidth: 46)
    paging.pdptes = (0, 0, 0x3001, 0)
    let linear: UInt64 = 2 << 30 | 3 << 21 | 5 << 12 | 0x18
    let mapping = try paging.translate(linear, for: LinearAccess(.write, isUser: true), in: memory)
    #expect(mapping.address.rawValue == 0x1_2345_6018)
    #expect(Self.errorCode(paging, LinearAccess(.read, isUser: false), memory, linear: 0) == 0)
    memory[0x4000 + 5 * 8] |= 1 << 52
    #expect(Self.errorCode(paging, LinearAccess(.read, isUser: false), memory, linear: linear) == 0b01001)
  }

  @Test func paging32() throws {
    let memory = TestMemory()
    defer { memory.free() }
    memory.store32(0x2007, at: 0x1000 + 7 * 4)
    memory.store32(0x0BCD_E007, at: 0x2000 + 9 * 4)
    memory.store32(0x0180_6087, at: 0x1000 + 8 * 4)
    var paging = LinearPaging(mode: .bits32, cr3: 0x1000, controls: [], physicalAddressWidth: 46)
    let linear: UInt64 = 7 << 22 | 9 << 12 | 0x44
    let mapping = try paging.translate(linear, for: LinearAccess(.write, isUser: true), in: memory)
    #expect(mapping.address.rawValue == 0x0BCD_E044)
    #expect(memory.load32(at: 0x2000 + 9 * 4) == 0x0BCD_E067)
    #expect(memory.load32(at: 0x2000 + 8 * 4) == 0)
    paging.controls = .pageSizeExtensions
    let big = try paging.translate(8 << 22 | 0x1234, for: LinearAccess(.read, isUser: true), in: memory)
    #expect(big.address.rawValue == 0x3_0180_1234, "bits 39:32 from bits 20:13")
    #expect(big.size == .page4M)
  }
}
