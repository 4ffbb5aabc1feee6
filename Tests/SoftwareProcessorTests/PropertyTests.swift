import Foundation
import GuestMemory
import SoftwareProcessor
import Testing
import X86

/// Random integer instructions, executed by the host's own CPU and by the interpreter.
@Suite("Properties against the host's CPU", .serialized)
struct PropertyTests {
  @Test("Every family of integer instructions does what the host's CPU does in 64-bit mode")
  func agreesWithTheHost() throws {
    try compare(PropertyFamily.all, .bits64, seed: 0x5EED_C0DE)
  }

  @Test("… and in 32-bit code")
  func agreesWithTheHostIn32BitCode() throws {
    try compare(PropertyFamily.all + PropertyFamily.legacy, .bits32, seed: 0x5EED_0032)
  }

  @Test("Sequences in loops leave what they leave on the host's CPU")
  func sequencesAgreeWithTheHost() throws {
    guard let bench = try PropertyBench(.bits64) else { try Self.cancel() }
    var random = PropertyRandom(seed: 0x5EED_5E0)
    for _ in 0..<(10 * Self.casesPerFamily) {
      let (test, instructions) = PropertySequence.build(&random)
      let difference = bench.difference(test, budget: instructions)
      #expect(difference == nil)
      if difference != nil { break }
    }
  }

  private static func cancel() throws -> Never {
    try Test.cancel("this needs an x86-64 Linux host that lets a process map code at a fixed address")
  }

  private func compare(_ families: [PropertyFamily], _ codeSize: BareProcessor.CodeSize, seed: UInt64) throws
  {
    guard let bench = try PropertyBench(codeSize) else { try Self.cancel() }
    var random = PropertyRandom(seed: seed)
    for family in families where PropertyHostCPU.has(family.feature) {
      bench.completed = 0
      for _ in 0..<Self.casesPerFamily {
        var builder = PropertyBuilder(family.name, random, is32Bit: codeSize == .bits32)
        family.build(&builder)
        let difference = bench.difference(builder.finish())
        random = builder.random
        #expect(difference == nil)
        if difference != nil { break }
      }
      // Faults are the exception in all but one.
      #expect(bench.completed > 0 || family.name == "undefined")
    }
  }

  #if DEBUG
    private static let casesPerFamily = 200
  #else
    private static let casesPerFamily = 3_000
  #endif
}

/// Both processors, side by side.
final class PropertyBench {
  private let host: PropertyHostCPU
  private let software: BareProcessor
  private let template: [UInt8]
  private let registers: ArraySlice<GeneralRegister>
  /// How many instructions completed on the host.
  var completed = 0

  init?(_ codeSize: BareProcessor.CodeSize) throws {
    guard let host = PropertyHostCPU(codeSize) else { return nil }
    self.host = host
    software = try #require(BareProcessor(memorySize: PropertyLayout.end, codeSize))
    // 32-bit code has no way to the others, which are then undefined.
    registers = GeneralRegister.allCases.prefix(codeSize == .bits32 ? 8 : 16)
    var random = PropertyRandom(seed: 0xDA7A)
    template = (0..<PropertyLayout.dataSize).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    software.place([UInt8](repeating: 0xCC, count: 0x1000), at: PropertyLayout.code)
  }

  private var softwareData: UnsafeMutableRawPointer { software.memory.base + Int(PropertyLayout.data) }

  /// A sentence on what differs in the results of the two, or nil.
  func difference(_ test: PropertyCase, budget: Int64 = 1) -> String? {
    prepare(host.data, test)
    prepare(softwareData, test)
    let start = PropertyRegisters(general: test.general, flags: test.flags, rip: PropertyLayout.instruction)
    let expected = host.run(test.code, start)
    if expected.vector == nil { completed += 1 }
    let actual = runSoftware(test.code, start, budget)
    var differences = registerDifferences(test, expected, actual)
    if memcmp(host.data, softwareData, PropertyLayout.dataSize) != 0 { differences.append(dataDifference) }
    guard !differences.isEmpty else { return nil }
    return describe(test) + ": " + differences.joined(separator: ", ")
  }

  private func prepare(_ data: UnsafeMutableRawPointer, _ test: PropertyCase) {
    UnsafeMutableRawBufferPointer(start: data, count: template.count).copyBytes(from: template)
    for patch in test.patches {
      let offset = Int(patch.address - PropertyLayout.data)
      withUnsafeBytes(of: patch.value) {
        UnsafeMutableRawBufferPointer(start: data + offset, count: patch.size).copyBytes(
          from: $0.prefix(patch.size))
      }
    }
  }

  private func runSoftware(_ code: [UInt8], _ start: PropertyRegisters, _ budget: Int64) -> PropertyOutcome {
    software.place(code, at: PropertyLayout.instruction)
    for register in GeneralRegister.allCases {
      software.registers[register] = start.general[Int(register.rawValue)]
    }
    software.rflags = start.flags
    software.rip = start.rip
    let outcome = software.run(budget)
    software.place([UInt8](repeating: 0xCC, count: code.count), at: PropertyLayout.instruction)
    let general = GeneralRegister.allCases.map { software.registers[$0] }
    let registers = PropertyRegisters(general: general, flags: software.rflags, rip: software.rip)
    switch outcome {
    case .ran: return PropertyOutcome(registers: registers, vector: nil)
    case .exception(let vector):
      return PropertyOutcome(registers: registers, vector: vector?.rawValue ?? 0xFF)
    case .exit: return PropertyOutcome(registers: registers, vector: 0xFE)
    }
  }

  private func registerDifferences(
    _ test: PropertyCase, _ expected: PropertyOutcome, _ actual: PropertyOutcome
  ) -> [String] {
    var differences: [String] = []
    func compare(_ name: String, _ expected: UInt64, _ actual: UInt64) {
      guard expected != actual else { return }
      differences.append("\(name) is \(hex(actual)), expected \(hex(expected))")
    }
    if expected.vector != actual.vector {
      differences.append("vector is \(text(actual.vector)), expected \(text(expected.vector))")
    }
    for register in registers {
      let number = Int(register.rawValue)
      compare("\(register)", expected.registers.general[number], actual.registers.general[number])
    }
    let defined = PropertyFlag.compared & ~(expected.vector == nil ? test.undefinedFlags : 0)
    compare("RFLAGS", expected.registers.flags & defined, actual.registers.flags & defined)
    compare("RIP", expected.registers.rip, actual.registers.rip)
    return differences
  }

  private var dataDifference: String {
    for offset in 0..<PropertyLayout.dataSize {
      let expected = host.data.load(fromByteOffset: offset, as: UInt8.self)
      let actual = softwareData.load(fromByteOffset: offset, as: UInt8.self)
      guard expected != actual else { continue }
      let address = hex(PropertyLayout.data + UInt64(offset))
      return "the byte at \(address) is \(hex(UInt64(actual))), expected \(hex(UInt64(expected)))"
    }
    return ""
  }

  private func describe(_ test: PropertyCase) -> String {
    let code = test.code.map { hex(UInt64($0)) }.joined(separator: " ")
    let registers = GeneralRegister.allCases.map { "\($0)=\(hex(test.general[Int($0.rawValue)]))" }
    return "\(test.name) [\(code)] with \(registers.joined(separator: " ")) RFLAGS=\(hex(test.flags))"
  }

  private func text(_ vector: UInt8?) -> String { vector.map { "\($0)" } ?? "none" }
  private func hex(_ value: UInt64) -> String { String(value, radix: 16) }
}
