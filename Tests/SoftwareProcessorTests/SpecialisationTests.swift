import GuestMemory
import SoftwareProcessor
import Testing
import X86

/// Random code, most of it valid, much of it faulting, run by specialised and fused records in one go on one
/// processor, and by whole instructions in random portions on another.
@Suite("Specialised records")
struct SpecialisationTests {
  #if DEBUG
    static let cases = 300
  #else
    static let cases = 40_000
  #endif

  /// Where the code is; data surrounds it, so that some cases modify themselves.
  static let code: UInt64 = 0x4000
  static let memorySize = 0x10000

  @Test("do what the whole instructions do, wherever the run is cut")
  func sameAsWhole() throws {
    let fast = try #require(BareProcessor(memorySize: UInt64(Self.memorySize)))
    let whole = try #require(BareProcessor(memorySize: UInt64(Self.memorySize), specialised: false))
    var random = SplitMix(state: 0x7E57_0D0)
    var retired: UInt64 = 0
    for number in 0..<Self.cases {
      let seed = random.next()
      prepare(fast, seed)
      prepare(whole, seed)
      let start = fast.instructions
      let outcome = fast.run(64)
      let count = fast.instructions - start
      var other = BareProcessor.Outcome.ran
      let wholeStart = whole.instructions
      while other == .ran, whole.instructions - wholeStart < count {
        let left = count - (whole.instructions - wholeStart)
        other = whole.run(Int64(1 + random.next() % left))
      }
      if other == .ran, outcome != .ran { other = whole.run(1) }
      retired += count
      let difference = difference(fast, whole)
      #expect(
        outcome == other && difference == nil,
        "case \(number), seed \(seed): \(difference ?? "\(outcome) and \(other)") after \(count)")
      if outcome != other || difference != nil { return }
    }
    // The code must get somewhere for the comparison to mean anything.
    #expect(retired > UInt64(Self.cases) * 4)
  }

  private func difference(_ a: BareProcessor, _ b: BareProcessor) -> String? {
    for register in GeneralRegister.allCases where a.registers[register] != b.registers[register] {
      return "\(register): \(a.registers[register]) and \(b.registers[register])"
    }
    if a.rip != b.rip { return "rip: \(a.rip) and \(b.rip)" }
    if a.rflags != b.rflags { return "flags: \(a.rflags) and \(b.rflags)" }
    let left = UnsafeRawBufferPointer(start: a.memory.base, count: Self.memorySize)
    let right = UnsafeRawBufferPointer(start: b.memory.base, count: Self.memorySize)
    return left.elementsEqual(right) ? nil : "memory"
  }

  private func prepare(_ processor: BareProcessor, _ seed: UInt64) {
    var random = SplitMix(state: seed)
    var bytes: [UInt8] = []
    while bytes.count < 160 { appendInstruction(&bytes, &random) }
    let memory = UnsafeMutableRawBufferPointer(start: processor.memory.base, count: Self.memorySize)
    for index in stride(from: 0, to: Self.memorySize, by: 8) {
      memory.storeBytes(of: UInt64(index) &* 0x9E37_79B9_7F4A_7C15, toByteOffset: index, as: UInt64.self)
    }
    processor.memory.noteWrite(PhysicalAddress<L0>(0), count: UInt64(Self.memorySize))
    processor.place(bytes, at: Self.code)
    for register in GeneralRegister.allCases {
      processor.registers[register] = randomValue(&random)
    }
    processor.registers[.rsp] = 0x8000 + random.next() % 0x1000
    processor.rip = Self.code
    processor.rflags = random.next() & 0xCD5
  }

  /// Mostly addresses inside memory, some small numbers, some anything.
  private func randomValue(_ random: inout SplitMix) -> UInt64 {
    switch random.next() % 8 {
    case 0: random.next()
    case 1: random.next() % 64
    case 2: 0 &- random.next() % 64
    default: 0x3000 + random.next() % 0x6000
    }
  }

  private static let prefixes: [UInt8] = [
    0x66, 0x67, 0x48, 0x48, 0x48, 0x49, 0x4C, 0x44, 0x41, 0x45, 0xF3, 0xF2, 0x64,
  ]

  /// A ModRM byte: registers mostly, else memory at a register and a byte of displacement.
  private func modRM(_ random: inout SplitMix) -> UInt8 {
    let rest = UInt8(truncatingIfNeeded: random.next() & 0x3F)
    switch random.next() % 8 {
    case 0: return rest
    case 1: return 0x80 | rest
    case 2...3: return 0x40 | rest
    default: return 0xC0 | rest
    }
  }

  private func appendInstruction(_ bytes: inout [UInt8], _ random: inout SplitMix) {
    if random.next() % 2 == 0 { bytes.append(Self.prefixes[Int(random.next() % 13)]) }
    let opcode = UInt8(truncatingIfNeeded: random.next())
    switch random.next() % 12 {
    case 0...1:
      // Jcc, short and forward, behind a comparison or a count.
      bytes += random.next() & 1 == 0 ? [0x39, 0xC0 | opcode & 0x3F] : [0xFF, 0xC8 | opcode & 7]
      bytes += [0x70 | opcode >> 4, UInt8(random.next() % 24)]
      return
    case 2: bytes += [0x0F, 0x40 | opcode & 0xF, modRM(&random)]
    case 3: bytes += [0x0F, 0x90 | opcode & 0xF, modRM(&random)]
    case 4: bytes += [0x0F, 0xA0 | opcode & 0x1F, modRM(&random)]
    case 5...6: bytes += [opcode & 0x3B, modRM(&random)]
    case 7: bytes += [0x80 | opcode & 0xF, modRM(&random)]
    case 8: bytes += [[0xC1, 0xD1, 0xD3, 0xF7, 0xFF, 0x69, 0x6B, 0x63][Int(opcode & 7)], modRM(&random)]
    case 9: bytes += [0x50 | opcode & 0xF]
    case 10: bytes += [0xB0 | opcode & 0xF, opcode, 0, 0, 0]
    default: bytes += [opcode, modRM(&random)]
    }
    // Displacements and immediates, small ones; more often than not what follows is them.
    if random.next() % 2 == 0 { bytes += [UInt8(random.next() % 32), 0, 0, 0] }
  }
}

/// A small generator with a fixed sequence: SplitMix64.
struct SplitMix {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
    return mixed ^ mixed >> 31
  }
}
