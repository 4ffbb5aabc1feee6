import Foundation
import GuestMemory
import SoftwareProcessor
import Testing
import X86

/// Random integer instructions, executed by the host's own CPU and by the interpreter.
@Suite("Properties against the host's CPU", .serialized)
struct PropertyTests {
  /// How often each test takes a family, and the sequences.
  private static var caseCount: Int {
    let inBothModes = PropertyFamily.all + PropertyFamily.x87 + PropertyFamily.vectors
    let families = (inBothModes + inBothModes + PropertyFamily.legacy).filter { $0.isComparable() }
    let faulting = PropertyFamily.faulting.filter { $0.isComparable(faulting: true) }
    return (families.count + PropertyLastPage.allCases.count * faulting.count) * casesPerFamily
      + sequenceCount
  }

  @Test("They are a million cases, on a host of Intel's that has AVX2")
  func areManyCases() throws {
    print("\(Self.caseCount) random cases are compared with the host's CPU")
    #if !DEBUG
      let isWhole = PropertyHostCPU.has("GenuineIntel") && PropertyHostCPU.has("avx2")
      #expect(Self.caseCount >= 1_000_000 || !isWhole)
    #endif
  }

  @Test("Every family of integer instructions does what the host's CPU does in 64-bit mode")
  func agreesWithTheHost() throws {
    try compare(PropertyFamily.all, try PropertyBareSubject(.bits64), seed: 0x5EED_C0DE)
  }

  @Test("… and in 32-bit code")
  func agreesWithTheHostIn32BitCode() throws {
    let families = PropertyFamily.all + PropertyFamily.legacy
    try compare(families, try PropertyBareSubject(.bits32), codeSize: .bits32, seed: 0x5EED_0032)
  }

  @Test("x87 instructions do what the host's CPU does in 64-bit mode")
  func x87AgreesWithTheHost() throws {
    try compare(PropertyFamily.x87, try PropertyBareSubject(.bits64), seed: 0x5EED_0087)
  }

  @Test("x87 instructions do what the host's CPU does in 32-bit code")
  func x87AgreesWithTheHostIn32BitCode() throws {
    try compare(PropertyFamily.x87, try PropertyBareSubject(.bits32), codeSize: .bits32, seed: 0x5EED_8087)
  }

  @Test("MMX, SSE and AVX do what the host's CPU does in 64-bit mode")
  func vectorsAgreeWithTheHost() throws {
    try compare(PropertyFamily.vectors, try PropertyBareSubject(.bits64), seed: 0x5EED_055E)
  }

  @Test("MMX, SSE and AVX do what the host's CPU does in 32-bit code")
  func vectorsAgreeWithTheHostIn32BitCode() throws {
    try compare(
      PropertyFamily.vectors, try PropertyBareSubject(.bits32), codeSize: .bits32, seed: 0x5EED_855E)
  }

  @Test(
    "Every family does what the host's CPU does in user mode, up to its page faults",
    arguments: PropertyLastPage.allCases)
  func agreesWithTheHostWithPaging(_ lastPage: PropertyLastPage) throws {
    try compare(
      PropertyFamily.faulting, try PropertyGuestSubject(lastPage), lastPage: lastPage, seed: 0x5EED_9A6E)
  }

  @Test("Sequences in loops leave what they leave on the host's CPU")
  func sequencesAgreeWithTheHost() throws {
    let bench = try Self.bench(try PropertyBareSubject(.bits64))
    var random = PropertyRandom(seed: 0x5EED_5E0)
    for _ in 0..<Self.sequenceCount {
      let (test, instructions) = PropertySequence.build(&random)
      let difference = bench.difference(test, budget: instructions)
      #expect(difference == nil)
      if difference != nil { break }
    }
  }

  private static func bench(
    _ subject: any PropertySubject, _ codeSize: BareProcessor.CodeSize = .bits64,
    _ lastPage: PropertyLastPage = .writable
  ) throws -> PropertyBench {
    guard let bench = PropertyBench(subject, codeSize, lastPage) else {
      try Test.cancel("this needs an x86-64 Linux host that lets a process map code at a fixed address")
    }
    return bench
  }

  private func compare(
    _ families: [PropertyFamily], _ subject: any PropertySubject,
    codeSize: BareProcessor.CodeSize = .bits64, lastPage: PropertyLastPage = .writable, seed: UInt64
  ) throws {
    let bench = try Self.bench(subject, codeSize, lastPage)
    var random = PropertyRandom(seed: seed)
    for family in families where family.isComparable(faulting: lastPage != .writable) {
      bench.completed = 0
      for _ in 0..<Self.casesPerFamily {
        var builder = PropertyBuilder(
          family.name, random, is32Bit: codeSize == .bits32, atLastPage: lastPage != .writable)
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

  private static let sequenceCount = 55 * casesPerFamily
  #if DEBUG
    private static let casesPerFamily = 150
  #else
    private static let casesPerFamily = 2_000
  #endif
}

/// The host's CPU and what is compared with it, side by side.
final class PropertyBench {
  private let host: PropertyHostCPU
  private let subject: any PropertySubject
  private let template: [UInt8]
  private let registers: ArraySlice<GeneralRegister>
  private let lastPage: PropertyLastPage
  /// How many instructions completed on the host.
  var completed = 0

  init?(_ subject: any PropertySubject, _ codeSize: BareProcessor.CodeSize, _ lastPage: PropertyLastPage) {
    guard let host = PropertyHostCPU(codeSize) else { return nil }
    self.host = host
    self.subject = subject
    self.lastPage = lastPage
    // 32-bit code has no way to the others, which are then undefined.
    registers = GeneralRegister.allCases.prefix(codeSize == .bits32 ? 8 : 16)
    var random = PropertyRandom(seed: 0xDA7A)
    template = (0..<PropertyLayout.dataSize).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    for page in [0, 1, 2] { fill(hostPages[page], page) }
    for page in [0, 1, 2] { fill(subject.dataPages[page], page) }
    host.protectLastPage(lastPage)
  }

  /// Whether a patch changed the last page though no case can.
  private var isLastPagePatched = false

  private var hostPages: [UnsafeMutableRawPointer] { (0..<3).map { host.data + $0 * 0x1000 } }
  /// How many of the pages there are to a case.
  private var pageCount: Int { lastPage == .absent ? 2 : 3 }

  /// A sentence on what differs in the results of the two, or nil.
  ///
  /// What differs is run a second time: which components of the state the host's XSAVE calls in use can change with a
  /// switch to another process.
  func difference(_ test: PropertyCase, budget: Int64 = 1) -> String? {
    differenceOnce(test, budget) == nil ? nil : differenceOnce(test, budget)
  }

  private func differenceOnce(_ test: PropertyCase, _ budget: Int64) -> String? {
    prepare(test)
    let start = PropertyRegisters(
      general: test.general, flags: test.flags, rip: PropertyLayout.instruction, extended: test.extended)
    let expected = host.run(test.code, start)
    if expected.vector == nil { completed += 1 }
    let actual = subject.run(test.code, start, budget: budget)
    let differences = registerDifferences(test, expected, actual) + dataDifferences
    guard !differences.isEmpty else { return nil }
    return describe(test) + ": " + differences.joined(separator: ", ")
  }

  private func fill(_ data: UnsafeMutableRawPointer, _ page: Int) {
    UnsafeMutableRawBufferPointer(start: data, count: 0x1000).copyBytes(
      from: template[(page * 0x1000)..<((page + 1) * 0x1000)])
  }

  private func prepare(_ test: PropertyCase) {
    let lastPageAddress = PropertyLayout.data + 0x2000
    let isPatched = test.patches.contains { $0.address &+ UInt64($0.size) > lastPageAddress }
    let isOpened = lastPage == .readOnly && (isPatched || isLastPagePatched)
    if isOpened { host.protectLastPage(.writable) }
    let count = lastPage == .writable || isOpened ? 3 : 2
    for pages in [hostPages, subject.dataPages] {
      for page in 0..<count { fill(pages[page], page) }
      for patch in test.patches { apply(patch, pages) }
    }
    if isOpened { host.protectLastPage(.readOnly) }
    isLastPagePatched = isPatched
  }

  private func apply(_ patch: PropertyCase.Patch, _ pages: [UnsafeMutableRawPointer]) {
    for byte in 0..<UInt64(min(patch.size, 8)) {
      let offset = Int(patch.address &+ byte &- PropertyLayout.data)
      guard offset < pageCount * 0x1000 else { continue }
      let value = UInt8(truncatingIfNeeded: patch.value >> (byte * 8))
      pages[offset / 0x1000].storeBytes(of: value, toByteOffset: offset % 0x1000, as: UInt8.self)
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
    if expected.pageFault != actual.pageFault, !areBothAbsent(test, expected, actual),
      expected.vector == actual.vector, actual.pageFault != nil
    {
      compare("CR2", expected.pageFault?.address ?? 0, actual.pageFault?.address ?? 0)
      compare("the error code", expected.pageFault?.errorCode ?? 0, actual.pageFault?.errorCode ?? 0)
    }
    for register in registers {
      let number = Int(register.rawValue)
      compare("\(register)", expected.registers.general[number], actual.registers.general[number])
    }
    let defined = PropertyFlag.compared & ~(expected.vector == nil ? test.undefinedFlags : 0)
    compare("RFLAGS", expected.registers.flags & defined, actual.registers.flags & defined)
    compare("RIP", expected.registers.rip, actual.registers.rip)
    return differences
      + actual.registers.extended.differences(from: expected.registers.extended, test.extendedTolerance)
  }

  /// Whether the two page faults are of the two operands of one CMPS, of which either may be the first.
  private func areBothAbsent(
    _ test: PropertyCase, _ expected: PropertyOutcome, _ actual: PropertyOutcome
  ) -> Bool {
    guard let compared = test.compared, let first = expected.pageFault, let second = actual.pageFault,
      first.errorCode == second.errorCode
    else { return false }
    let mask: UInt64 = compared.addressSize == 4 ? 0xFFFF_FFFF : .max
    let general = expected.registers.general
    func meets(_ register: GeneralRegister, _ fault: PropertyPageFault) -> Bool {
      fault.address &- (general[Int(register.rawValue)] & mask) < UInt64(compared.size)
    }
    return meets(.rsi, first) && meets(.rdi, second) || meets(.rdi, first) && meets(.rsi, second)
  }

  private var dataDifferences: [String] {
    for page in 0..<pageCount {
      let expected = hostPages[page]
      let actual = subject.dataPages[page]
      guard memcmp(expected, actual, 0x1000) != 0 else { continue }
      for offset in 0..<0x1000 {
        let left = expected.load(fromByteOffset: offset, as: UInt8.self)
        let right = actual.load(fromByteOffset: offset, as: UInt8.self)
        guard left != right else { continue }
        let address = hex(PropertyLayout.data + UInt64(page * 0x1000 + offset))
        return ["the byte at \(address) is \(hex(UInt64(right))), expected \(hex(UInt64(left)))"]
      }
    }
    return []
  }

  private func describe(_ test: PropertyCase) -> String {
    let code = test.code.map { hex(UInt64($0)) }.joined(separator: " ")
    let registers = GeneralRegister.allCases.map { "\($0)=\(hex(test.general[Int($0.rawValue)]))" }
    return "\(test.name) [\(code)] with \(registers.joined(separator: " ")) RFLAGS=\(hex(test.flags))"
      + test.extended.summary
  }

  private func text(_ vector: UInt8?) -> String { vector.map { "\($0)" } ?? "none" }
  private func hex(_ value: UInt64) -> String { String(value, radix: 16) }
}
