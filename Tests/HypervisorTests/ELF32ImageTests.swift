import Hypervisor
import Testing

/// An ELF32 file with a Multiboot header in its one segment, as kvm-unit-tests have, made field by field.
struct TestImage32 {
  var bytes: [UInt8]

  private static let segmentOffset = 0x100

  init() {
    bytes = Array(repeating: 0, count: 0x200)
    bytes.replaceSubrange(0..<6, with: [0x7F, 0x45, 0x4C, 0x46, 1, 1])
    put(UInt16(2), at: 0x10)
    put(UInt16(3), at: 0x12)
    put(0x10_0040, at: 0x18)
    put(52, at: 0x1C)
    put(UInt16(32), at: 0x2A)
    put(UInt16(1), at: 0x2C)
    putSegment(0, at: 0x10_0000)
    put(0x1BAD_B002, at: Self.segmentOffset)
    put(0 &- 0x1BAD_B002, at: Self.segmentOffset + 8)
  }

  mutating func put<T: FixedWidthInteger>(_ value: T, at offset: Int) {
    withUnsafeBytes(of: value.littleEndian) { bytes.replaceSubrange(offset..<offset + $0.count, with: $0) }
  }

  mutating func put(_ value: UInt32, at offset: Int) {
    withUnsafeBytes(of: value.littleEndian) { bytes.replaceSubrange(offset..<offset + 4, with: $0) }
  }

  /// Puts a PT_LOAD header of 100H bytes at the physical address.
  mutating func putSegment(_ index: Int, at address: UInt32) {
    let header = 52 + index * 32
    for (word, value) in [1, UInt32(Self.segmentOffset), address, address, 0x100, 0x100].enumerated() {
      put(value, at: header + word * 4)
    }
    put(UInt16(index + 1), at: 0x2C)
  }

  /// The problem that booting it has, or nil if it boots.
  func problem(_ configure: (inout MachineConfiguration) -> Void = { _ in }) -> String? {
    var configuration = MachineConfiguration(image: GuestImage(name: "test.elf", bytes: bytes))
    configuration.memorySize = 4 << 20
    configure(&configuration)
    do {
      _ = try Machine(configuration) { ScriptedProcessor(memory: $0) }
      return nil
    } catch {
      return "\(error)"
    }
  }
}

@Suite struct ELF32ImageTests {
  private static let header = 52

  @Test func aGoodImageBoots() {
    #expect(TestImage32().problem() == nil)
  }

  @Test func hostileProgramHeadersAreOneClearLine() throws {
    let spoils: [(offset: Int, value: UInt32, expected: String)] = [
      (0x1C, .max, "truncated: the program header table"),
      (Self.header + 4, .max, "truncated: a PT_LOAD segment needs 256 bytes at offset 0xffffffff"),
      (Self.header + 16, .max, "truncated: a PT_LOAD segment needs 4294967295 bytes"),
      (Self.header + 20, 0x10, "the PT_LOAD segment at offset 0x34 is malformed: its p_filesz 0x100"),
      (Self.header + 20, .max, "its segment at physical 0x100000, 0xffffffff bytes, is not within"),
      (Self.header + 12, 0xFFFF_FFF0, "its entry point 0x100040 (multiboot) is in none of its segments"),
      (0x18, 0x1000, "its entry point 0x1000 (multiboot) is in none of its segments"),
      (Self.header, 2, "nothing to load"),
    ]
    for spoil in spoils {
      var image = TestImage32()
      image.put(spoil.value, at: spoil.offset)
      let found = try #require(image.problem())
      #expect(found.hasPrefix("test.elf: " + spoil.expected), "\(found)")
      #expect(!found.contains("\n"))
    }
  }

  @Test func segmentsMustNotOverlap() {
    var image = TestImage32()
    image.putSegment(1, at: 0x10_0100)
    #expect(image.problem() == nil)
    image.putSegment(1, at: 0xF_FF01)
    #expect(
      image.problem()?.hasPrefix("test.elf: its segments at physical 0xfff01 and 0x100000 overlap") == true)
  }

  @Test func modulesMustFit() throws {
    let module = { (size: Int) in
      BootModule(GuestImage(name: "module.bin", bytes: Array(repeating: 1, count: size)), text: "module.bin")
    }
    // From 101000H to the end of memory, in whole pages.
    #expect(TestImage32().problem { $0.modules = [module(0x10_0000), module(0x1F_F000)] } == nil)
    let found = try #require(TestImage32().problem { $0.modules = [module(0x10_0000), module(0x1F_F001)] })
    #expect(
      found.hasPrefix("module.bin: its 2093057 bytes do not fit: beside the kernel, 2093056 of"), "\(found)")
    #expect(found.hasSuffix("such as --memory 64M"))
    let many = Array(repeating: module(1), count: 65)
    #expect(
      TestImage32().problem { $0.modules = many }?.hasPrefix("there are 65 modules: expected at most 64")
        == true)
    let wordy = BootModule(GuestImage(name: "m", bytes: [1]), text: String(repeating: "x", count: 20_000))
    #expect(
      TestImage32().problem { $0.modules = [wordy] }?.hasPrefix(
        "the modules' arguments are too long: expected at most")
        == true)
  }

  @Test func withoutAProtocolItIsRefused() {
    var image = TestImage32()
    image.put(UInt32(0), at: 0x100)
    #expect(
      image.problem()?.hasPrefix(
        "test.elf: a 32-bit ELF file with neither a PVH note nor a Multiboot 1 header") == true)
  }
}
