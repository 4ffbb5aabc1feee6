import GuestMemory
import Testing
import X86

@Suite struct PhysicalMemoryTests {
  typealias Address = PhysicalAddress<L0>

  @Test(arguments: [0, 1, 4095, 4097, 1 << 47, UInt64.max, UInt64.max & ~0xFFF])
  func impossibleSizesAreRefused(_ size: UInt64) {
    let error = #expect(throws: MemoryError.self) { try PhysicalMemory(size: size) }
    #expect(error == .invalidSize(size))
    #expect(error?.description.contains("4096") == true)
  }

  @Test func memoryIsZeroAndLittleEndian() throws {
    let memory = try PhysicalMemory(size: 8192)
    #expect(memory.load(Address(0), as: UInt64.self) == 0)
    #expect(memory.store(UInt32(0x1234_5678), at: Address(4094)))
    #expect(memory.load(Address(4094), as: UInt8.self) == 0x78)
    #expect(memory.load(Address(4097), as: UInt8.self) == 0x12)
  }

  /// An access is inside RAM with its last byte too, and no sum of address and size may wrap.
  @Test func holesBeginExactlyAtTheEnd() throws {
    let memory = try PhysicalMemory(size: 4096)
    #expect(memory.load(Address(4088), as: UInt64.self) == 0)
    #expect(memory.load(Address(4089), as: UInt64.self) == nil)
    #expect(memory.load(Address(.max), as: UInt8.self) == nil)
    #expect(memory.load(Address(.max - 3), as: UInt64.self) == nil)
    #expect(!memory.contains(Address(0), count: .max))
    #expect(!memory.contains(Address(4096), count: 0))
    #expect(!memory.store(UInt64(1), at: Address(4089)))
    #expect(memory.load(Address(4088), as: UInt64.self) == 0)
  }

  @Test func blockIsWrittenWholeOrNotAtAll() throws {
    let memory = try PhysicalMemory(size: 4096)
    let bytes: [UInt8] = [1, 2, 3, 4]
    #expect(bytes.withUnsafeBytes { memory.write($0, at: Address(4092)) })
    #expect(bytes.withUnsafeBytes { !memory.write($0, at: Address(4093)) })
    #expect(memory.load(Address(4092), as: UInt32.self) == 0x0403_0201)
  }

  @Test func writesToCodePagesAreReportedOnce() throws {
    let memory = try PhysicalMemory(size: 16384)
    memory.codePages[1] = 1
    memory.codePages[2] = 1
    memory.store(UInt8(1), at: Address(0))
    #expect(memory.takeStaleCodePages() == [])
    memory.store(UInt64(1), at: Address(8188))
    #expect(memory.takeStaleCodePages() == [1, 2])
    #expect(memory.takeStaleCodePages() == [])
  }
}
