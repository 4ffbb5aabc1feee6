import Hypervisor
import Testing

/// What is wrong with booting `kernel` on a machine that `configure` changes, or nil if it boots.
private func problem(
  _ kernel: TestKernel = TestKernel(), _ configure: (inout MachineConfiguration) -> Void = { _ in }
) -> String? {
  var configuration = MachineConfiguration(image: kernel.image)
  configuration.memorySize = 32 << 20
  configure(&configuration)
  do {
    _ = try Machine(configuration) { ScriptedProcessor(memory: $0) }
    return nil
  } catch {
    return "\(error)"
  }
}

/// A bzImage and how its error should begin.
struct BadKernel: CustomTestStringConvertible {
  typealias Field = TestKernel.Field

  var name: String
  var expected: String
  var kernel = TestKernel()

  init(_ name: String, _ expected: String, _ spoil: (inout TestKernel) -> Void) {
    self.name = name
    self.expected = expected
    spoil(&kernel)
  }

  var testDescription: String { name }

  static let all: [BadKernel] = [
    BadKernel("no boot flag", "a malformed bzImage: expected aa55 at offset 0x1fe, found 1234") {
      $0.put(UInt16(0x1234), at: Field.bootFlag)
    },
    BadKernel("another magic", "not an ELF file: expected 7f 45 4c 46 at offset 0") {
      $0.put(UInt32(0), at: Field.magic)
    },
    BadKernel("an old protocol", "its boot protocol is 2.2 (offset 0x206): expected 2.12 or later") {
      $0.put(UInt16(0x0202), at: Field.version)
    },
    BadKernel("for 32 bits", "a kernel without a 64-bit entry point: bit 0 of xloadflags") {
      $0.put(UInt16(0), at: Field.extendedLoadFlags)
    },
    BadKernel("a zImage", "a zImage: bit 0 of loadflags at offset 0x211 is 0") {
      $0.put(UInt8(0), at: Field.loadFlags)
    },
    BadKernel(
      "too many setup sectors", "truncated: the protected-mode kernel needs 1024 bytes at offset 0x20000"
    ) { $0.put(UInt8(255), at: Field.setupSectors) },
    BadKernel(
      "setup sectors left out", "truncated: the protected-mode kernel needs 1024 bytes at offset 0xa00"
    ) {
      $0.put(UInt8(0), at: Field.setupSectors)
    },
    BadKernel(
      "too few setup sectors", "a malformed bzImage: its compressed kernel should begin at offset 0x610"
    ) {
      $0.put(UInt8(1), at: Field.setupSectors)
    },
    BadKernel(
      "no kernel", "a malformed bzImage: its protected-mode kernel has 0 bytes (syssize at offset 0x1f4)"
    ) {
      $0.put(UInt32(0), at: Field.paragraphs)
    },
    BadKernel("a huge kernel", "truncated: the protected-mode kernel needs 68719476720 bytes") {
      $0.put(UInt32.max, at: Field.paragraphs)
    },
    BadKernel(
      "a short header", "a malformed bzImage: its setup header ends at offset 0x212, before init_size"
    ) {
      $0.put(UInt8(0x10), at: Field.jumpDistance)
    },
    BadKernel("odd alignment", "a malformed bzImage: kernel_alignment 0x3 at offset 0x230") {
      $0.put(UInt32(3), at: Field.alignment)
    },
    BadKernel("a place below 1 MByte", "a malformed bzImage: kernel_alignment 0x200000") {
      $0.put(UInt64(0x1000), at: Field.preferredAddress)
    },
    BadKernel("a place far away", "a malformed bzImage: kernel_alignment 0x200000") {
      $0.put(UInt64.max, at: Field.preferredAddress)
    },
    BadKernel("a payload outside", "a malformed bzImage: its payload of 256 bytes at 0x3f0 ends outside") {
      $0.put(UInt32(0x3F0), at: Field.payloadOffset)
    },
    BadKernel("a huge payload", "a malformed bzImage: its payload of 4294967295 bytes at 0x210") {
      $0.put(UInt32.max, at: Field.payloadSize)
    },
    BadKernel("more than low memory", "the kernel needs memory up to 0x100ffffff to start") {
      $0.put(UInt32.max, at: Field.initialSize)
    },
  ]
}

@Suite struct LinuxImageTests {
  @Test func aGoodKernelBoots() {
    #expect(problem() == nil)
    var bare = TestKernel()
    bare.put(UInt32(0), at: TestKernel.Field.payloadSize)
    #expect(problem(bare) == nil)
  }

  @Test(arguments: BadKernel.all) func aBadKernelIsOneClearLine(_ bad: BadKernel) throws {
    let found = try #require(problem(bad.kernel))
    #expect(found.hasPrefix("bzImage: " + bad.expected), "\(found)")
    #expect(!found.contains("\n"))
    #expect(found.contains("expected") || found.contains(";"), "it does not say what to do: \(found)")
  }

  /// Every truncation ends in an error, and every damage to the header in an error or a machine.
  @Test func noDamageCrashesTheLoader() {
    let whole = TestKernel()
    for length in 0..<whole.bytes.count {
      var kernel = whole
      kernel.bytes.removeLast(whole.bytes.count - length)
      #expect(problem(kernel) != nil, "\(length) bytes")
    }
    for offset in 0x1F0..<0x290 {
      for value: UInt8 in [0xFF, 0x80, 0x7F, 0x00] {
        var kernel = whole
        kernel.bytes[offset] = value
        if let found = problem(kernel) { #expect(!found.contains("\n")) }
      }
    }
  }

  @Test func memoryTooSmallIsSaidWithWhatIsNeeded() {
    #expect(problem { $0.memorySize = TestKernel.neededMemory } == nil)
    #expect(
      problem { $0.memorySize = TestKernel.neededMemory - 4096 }
        == "bzImage: the kernel needs 17 MByte of memory to start, the machine has 16 MByte; give it more, such as "
        + "--memory 64M")
  }

  @Test func anInitialRAMDiskMustFit() throws {
    let disk = { (size: Int) in GuestImage(name: "initrd.img", bytes: Array(repeating: 0, count: size)) }
    #expect(problem { $0.initrd = disk(8 << 20) } == nil)
    let large = try #require(problem { $0.initrd = disk(33 << 20) })
    #expect(large.hasPrefix("initrd.img: its 34603008 bytes do not fit: beside the kernel, 15728640 of the"))
    #expect(large.hasSuffix("give it more memory, such as --memory 128M"), "\(large)")
    var limited = TestKernel()
    limited.put(UInt32(TestKernel.neededMemory + 0xFFF), at: TestKernel.Field.initrdLimit)
    #expect(problem(limited) { $0.initrd = disk(4096) } == nil)
    let low = try #require(problem(limited) { $0.initrd = disk(4097) })
    #expect(low.contains("its 4097 bytes do not fit: beside the kernel, 4096 of"), "\(low)")
    #expect(low.contains("initrd_addr_max"), "more memory does not help: \(low)")
  }

  @Test func aCommandLineIsAsLongAsTheKernelSays() {
    let limit = TestKernel.commandLineLimit
    #expect(problem { $0.commandLine = String(repeating: "x", count: limit) } == nil)
    #expect(
      problem { $0.commandLine = String(repeating: "x", count: limit + 1) }
        == "the command line has 256 bytes: expected at most 255; shorten what --cmdline says")
  }

  @Test func whatOnlyOtherProtocolsHaveIsRefused() throws {
    for wanted in BootProtocol.allCases where wanted != .linux {
      #expect(
        problem { $0.bootProtocol = wanted } == "bzImage: a bzImage, which can be started by linux only")
    }
    let module = BootModule(GuestImage(name: "module", bytes: [1]))
    for found in [problem { $0.modules = [module] }, problem { $0.environment = ["A=1"] }] {
      #expect(found?.contains("neither modules nor an environment; use --initrd and --cmdline") == true)
    }
  }
}
