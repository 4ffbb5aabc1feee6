import Hypervisor
import Testing

/// The problem that booting `image` on a machine of `memory` bytes has, or nil if it boots.
private func problem(_ image: TestImage, memory: UInt64 = 4 << 20, by wanted: BootProtocol? = nil) -> String?
{
  var configuration = MachineConfiguration(image: image.image)
  configuration.memorySize = memory
  configuration.bootProtocol = wanted
  do {
    _ = try Machine(configuration) { ScriptedProcessor(memory: $0) }
    return nil
  } catch let error as ImageError {
    return error.problem
  } catch {
    return "unexpected: \(error)"
  }
}

/// An image and how its error should begin.
struct BadImage: CustomTestStringConvertible {
  var name: String
  var expected: String
  var image: TestImage

  init(_ name: String, _ expected: String, _ spoil: (inout TestImage) -> Void) {
    self.name = name
    self.expected = expected
    image = TestImage(pvh: true)
    spoil(&image)
  }

  var testDescription: String { name }

  static let all: [BadImage] = [
    BadImage("empty", "empty file") { $0.bytes = [] },
    BadImage("text", "not an ELF file: expected 7f 45 4c 46 at offset 0, found 68 65 6c 6c") {
      $0.bytes = Array("hello, world\n".utf8)
    },
    BadImage("header cut", "truncated: the ELF header needs 64 bytes") {
      $0.bytes.removeLast($0.bytes.count - 40)
    },
    BadImage("of no class", "of unknown ELF class 3: expected class 2 (64-bit) or 1 (32-bit)") {
      $0.bytes[4] = 3
    },
    BadImage("big-endian", "not little-endian") { $0.bytes[5] = 2 },
    BadImage("shared object", "not a static executable: expected e_type 2 (EXEC) at offset 0x10, found 3") {
      $0.put(UInt16(3), at: 0x10)
    },
    BadImage("arm64", "not for x86-64: expected e_machine 62 at offset 0x12, found 183") {
      $0.put(UInt16(183), at: 0x12)
    },
    BadImage("no program headers", "no program headers") { $0.put(UInt16(0), at: 0x38) },
    BadImage("small program headers", "its program headers are malformed") { $0.put(UInt16(32), at: 0x36) },
    BadImage("too many program headers", "its program headers are malformed") {
      $0.put(UInt16.max, at: 0x38)
    },
    BadImage("program headers far away", "truncated: the program header table") {
      $0.put(UInt64.max - 10, at: 0x20)
    },
    BadImage("segment cut", "truncated: a PT_LOAD segment needs 256 bytes at offset 0x200") {
      $0.bytes.removeLast()
    },
    BadImage("segment size wraps", "truncated: a PT_LOAD segment") { $0.put(UInt64.max, at: 64 + 32) },
    BadImage("note cut", "truncated: a PT_NOTE segment") { $0.put(UInt64.max, at: 64 + 56 + 32) },
    BadImage("file larger than memory", "the PT_LOAD segment at offset 0x40 is malformed") {
      $0.put(UInt64(0x10), at: 64 + 40)
    },
    BadImage("nothing to load", "nothing to load") { $0.put(UInt32(2), at: 64) },
    BadImage("segment beyond memory", "its segment at physical 0x100000, 0x40000000 bytes, is not within") {
      $0.put(UInt64(1 << 30), at: 64 + 40)
    },
    BadImage("segment address wraps", "its entry point") { $0.put(UInt64.max - 0xF, at: 64 + 24) },
    BadImage("over the boot information", "its segment at physical 0x3000, 0x88000 bytes, overlaps") {
      $0.put(UInt64(0x8_8000), at: 64 + 40)
      $0.put(UInt64(0x3000), at: 64 + 24)
      $0.put(UInt32(0x3010), at: TestImage.noteOffset + 16)
    },
    BadImage("segment that ends beyond the last address", "its segment at physical 0x100000") {
      $0.put(UInt64.max, at: 64 + 40)
    },
    BadImage("segments over each other", "its segments at physical 0x100000 and 0x100100 overlap") {
      $0.addSegment(at: 0x10_0100)
    },
    BadImage("entry outside", "its entry point 0x500000 (pvh) is in none of its segments") {
      $0.put(UInt32(0x50_0000), at: TestImage.noteOffset + 16)
    },
  ]
}

@Suite struct ImageTests {
  @Test func aGoodImageBootsByEachProtocol() {
    #expect(problem(TestImage(pvh: true)) == nil)
    #expect(problem(TestImage(multiboot: true)) == nil)
    #expect(problem(TestImage(multiboot: true, multibootAddresses: true)) == nil)
    #expect(problem(TestImage()) == nil)
  }

  @Test(arguments: BadImage.all) func aBadImageIsOneClearLine(_ bad: BadImage) throws {
    let found = try #require(problem(bad.image))
    #expect(found.hasPrefix(bad.expected), "\(found)")
    #expect(!found.contains("\n"))
  }

  @Test func anErrorNamesTheImage() {
    #expect(ImageError(image: "a/b.elf", problem: "empty file").description == "a/b.elf: empty file")
  }

  @Test func segmentsSideBySideAreLoaded() {
    var image = TestImage(pvh: true)
    image.addSegment(at: 0x10_0200)
    #expect(problem(image) == nil)
  }

  @Test func aProtocolThatIsAskedForMustBeThere() {
    #expect(problem(TestImage(), by: .pvh)?.hasPrefix("no PVH note") == true)
    #expect(problem(TestImage(), by: .multiboot)?.hasPrefix("no Multiboot 1 header") == true)
    #expect(problem(TestImage(pvh: true, multiboot: true), by: .multiboot) == nil)
    #expect(problem(TestImage(pvh: true), by: .entry64) == nil)
  }

  @Test func unknownMultibootDemandsAreRefused() {
    var image = TestImage(multiboot: true)
    image.put(UInt32(7), at: TestImage.multibootOffset + 4)
    image.put(0 &- (0x1BAD_B002 &+ UInt32(7)), at: TestImage.multibootOffset + 8)
    #expect(problem(image)?.hasPrefix("its Multiboot header at offset 0x200 demands features 0x7") == true)
  }

  @Test func multibootAddressesAreChecked() {
    let fields = [
      (12, UInt32(0x2F_FFFF), "is malformed"), (16, 0x2F_0000, "is malformed"),
      (20, 0x2F_0000, "is malformed"), (20, 0x40_0000, "truncated"), (28, 0x50_0000, "entry point"),
    ]
    for (offset, value, expected) in fields {
      var image = TestImage(multiboot: true, multibootAddresses: true)
      image.put(value, at: TestImage.multibootOffset + offset)
      #expect(problem(image)?.contains(expected) == true, "field at \(offset)")
    }
  }

  /// Every truncation, and every byte of the headers set to all ones, ends in an error or in a machine.
  @Test func noDamageCrashesTheLoader() {
    let whole = TestImage(pvh: true, multiboot: true, multibootAddresses: true)
    for length in 0..<whole.bytes.count {
      var image = whole
      image.bytes.removeLast(whole.bytes.count - length)
      #expect(problem(image) != nil, "\(length) bytes")
    }
    let note = TestImage.noteOffset..<TestImage.noteOffset + 20
    let multiboot = TestImage.multibootOffset..<TestImage.multibootOffset + 32
    for offset in Array(0..<64 + 2 * 56) + Array(note) + Array(multiboot) {
      for value: UInt8 in [0xFF, 0x80, 0x00] {
        var image = whole
        image.bytes[offset] = value
        for wanted in [nil] + BootProtocol.allCases { _ = problem(image, by: wanted) }
      }
    }
  }

  @Test func memoryOutOfRangeIsRefused() {
    for size: UInt64 in [0, 4096, (2 << 20) + 1, 1 << 41] {
      var configuration = MachineConfiguration(image: TestImage().image)
      configuration.memorySize = size
      #expect(throws: MachineError.memorySize(size)) {
        try Machine(configuration) { ScriptedProcessor(memory: $0) }
      }
    }
  }

  @Test func aCommandLineTooLongIsRefused() {
    var configuration = MachineConfiguration(image: TestImage().image)
    configuration.commandLine = String(repeating: "x", count: 2048)
    #expect(throws: MachineError.commandLineTooLong(2048, limit: 2047)) {
      try Machine(configuration) { ScriptedProcessor(memory: $0) }
    }
  }
}
