import Processor
import SoftwareProcessor
import Testing
import VMX
import X86

private typealias Place = SystemGuest.Place

/// The XSAVE family, FXSAVE, and what x87 and SSE instructions need: what no comparison with the host's user mode shows.
@Suite struct ExtendedStateTests {
  /// An instruction with what is different from a guest that may use everything, and the exception that it raises.
  struct Row {
    var name: String
    var code: [UInt8]
    var cr0: CR0 = []
    var without: CR4 = []
    var rcx: UInt64 = 0
    /// FLDCW and an invalid operation come first, which leave an unmasked exception pending.
    var isErrorPending = false
    var isUser = false
    var secondary: SecondaryProcessorBasedControls = []
    /// Nil if it completes.
    var exception: ExceptionVector?
  }

  // The memory operands are [rdi], which is aligned to 64.
  static let rows: [Row] = [
    Row(name: "fninit", code: [0xDB, 0xE3]),
    Row(name: "fninit, EM", code: [0xDB, 0xE3], cr0: .em, exception: .deviceNotAvailable),
    Row(name: "fninit, TS", code: [0xDB, 0xE3], cr0: .ts, exception: .deviceNotAvailable),
    Row(name: "wait, TS", code: [0x9B], cr0: .ts),
    Row(name: "wait, MP and TS", code: [0x9B], cr0: [.mp, .ts], exception: .deviceNotAvailable),
    Row(name: "wait, pending", code: [0x9B], isErrorPending: true, exception: .floatingPointError),
    Row(name: "fld1, pending", code: [0xD9, 0xE8], isErrorPending: true, exception: .floatingPointError),
    Row(name: "fnstsw, pending", code: [0xDF, 0xE0], isErrorPending: true),
    Row(name: "fnclex, pending; wait", code: [0xDB, 0xE2, 0x9B], isErrorPending: true),
    Row(name: "fldcw, pending", code: [0xD9, 0x2F], isErrorPending: true, exception: .floatingPointError),
    Row(name: "fxsave, pending", code: [0x0F, 0xAE, 0x07], isErrorPending: true),
    Row(name: "fxsave, EM", code: [0x0F, 0xAE, 0x07], cr0: .em, exception: .deviceNotAvailable),
    Row(name: "fxrstor, TS", code: [0x0F, 0xAE, 0x0F], cr0: .ts, exception: .deviceNotAvailable),
    Row(name: "fxsave, not aligned", code: [0x0F, 0xAE, 0x47, 0x08], exception: .generalProtection),
    Row(name: "stmxcsr, EM", code: [0x0F, 0xAE, 0x1F], cr0: .em, exception: .invalidOpcode),
    Row(name: "stmxcsr, TS", code: [0x0F, 0xAE, 0x1F], cr0: .ts, exception: .deviceNotAvailable),
    Row(name: "ldmxcsr, no OSFXSR", code: [0x0F, 0xAE, 0x17], without: .osfxsr, exception: .invalidOpcode),
    Row(name: "xgetbv, no OSXSAVE", code: [0x0F, 0x01, 0xD0], without: .osxsave, exception: .invalidOpcode),
    Row(name: "xgetbv of 2", code: [0x0F, 0x01, 0xD0], rcx: 2, exception: .generalProtection),
    Row(name: "xgetbv of 1, user", code: [0x0F, 0x01, 0xD0], rcx: 1, isUser: true),
    Row(name: "xsetbv, user", code: [0x0F, 0x01, 0xD1], isUser: true, exception: .generalProtection),
    Row(name: "xsetbv, no OSXSAVE", code: [0x0F, 0x01, 0xD1], without: .osxsave, exception: .invalidOpcode),
    Row(name: "xsave, no OSXSAVE", code: [0x0F, 0xAE, 0x27], without: .osxsave, exception: .invalidOpcode),
    Row(name: "xsave, TS", code: [0x0F, 0xAE, 0x27], cr0: .ts, exception: .deviceNotAvailable),
    Row(name: "xsave, EM", code: [0x0F, 0xAE, 0x27], cr0: .em),
    Row(name: "xsave, not aligned", code: [0x0F, 0xAE, 0x67, 0x10], exception: .generalProtection),
    Row(name: "xsaves, no control", code: [0x0F, 0xC7, 0x2F], exception: .invalidOpcode),
    Row(name: "xsaves", code: [0x0F, 0xC7, 0x2F], secondary: .enableXSAVES),
    Row(
      name: "xsaves, user", code: [0x0F, 0xC7, 0x2F], isUser: true, secondary: .enableXSAVES,
      exception: .generalProtection),
    Row(
      name: "xrstors of the standard format", code: [0x0F, 0xC7, 0x1F], secondary: .enableXSAVES,
      exception: .generalProtection),
  ]

  @Test(arguments: rows)
  func needsWhatItNeeds(_ row: Row) throws {
    // fldcw [rdi], of a word of zeros; fld1; fchs; fsqrt
    let pending: [UInt8] = row.isErrorPending ? [0xD9, 0x2F, 0xD9, 0xE8, 0xD9, 0xE0, 0xD9, 0xFA] : []
    let guest = try Self.guest(pending + row.code + [0x0F, 0xA2])
    if row.isUser { guest.enterUserMode() }
    guest.vmcs[.guestCR0] |= row.cr0.rawValue
    guest.vmcs[.guestCR4] &= ~row.without.rawValue
    guest.enable(row.secondary)
    guest.registers.pointee.rcx = row.rcx
    guard let exception = row.exception else { return guest.expectExit(.cpuid) }
    guest.expectExit(.exceptionOrNMI)
    let vector = UInt8(truncatingIfNeeded: guest.vmcs[.exitInterruptionInformation])
    #expect(vector == exception.rawValue)
    #expect(guest.vmcs[.guestRIP] == Place.code + UInt64(pending.count))
  }

  /// A guest that may use x87, SSE and XSAVE, with RDI at aligned zeros, and RFBM of everything.
  private static func guest(_ code: [UInt8]) throws -> SystemGuest {
    let guest = try SystemGuest(code)
    guest.vmcs[.exceptionBitmap] = 0xFFFF_FFFF
    guest.vmcs[.guestCR4] |= CR4([.osfxsr, .osxmmexcpt, .osxsave]).rawValue
    guest.registers.pointee.rdi = Place.data
    guest.registers.pointee.rax = 7
    #expect(guest.cpu.writeXCR0(ExtendedStateComponent.user))
    return guest
  }

  @Test func xsetbvIsAlwaysAnExit() throws {
    let guest = try Self.guest([0x0F, 0x01, 0xD1])
    guest.expectExit(.xsetbv)
    #expect(guest.vmcs[.exitInstructionLength] == 3)
    #expect(guest.cpu.xcr0 == 7)
  }

  @Test func xcr0HasItsRules() throws {
    let guest = try SystemGuest()
    #expect(guest.cpu.xcr0 == 1)
    for value: UInt64 in [0, 2, 5, 8, 1 << 62] { #expect(!guest.cpu.writeXCR0(value)) }
    for value: UInt64 in [1, 3, 7] {
      #expect(guest.cpu.writeXCR0(value))
      #expect(guest.cpu.xcr0 == value)
    }
    let xss = ModelSpecificRegister.xss.rawValue
    #expect(guest.cpu.writeMSR(xss, 0))
    #expect(!guest.cpu.writeMSR(xss, 1 << 8))
  }

  /// The state that an image of `seed` gives.
  private static func image(_ seed: UInt64) -> PropertyExtendedState {
    var random = PropertyRandom(seed: seed)
    var state = PropertyExtendedState()
    for register in 0..<16 {
      for word in 0..<4 { state[ymm: register, word] = random.next() }
    }
    for index in 0..<8 {
      state[st: index] = PropertyX87Value(significand: random.next() | 1 << 63, signAndExponent: 0x3FFF)
    }
    state.tags = 0xFF
    state.mxcsr = 0x1FA0
    return state
  }

  private static func load(_ state: PropertyExtendedState, _ cpu: SoftwareCPU) {
    state.bytes.withUnsafeBytes { cpu.loadExtendedState($0) }
  }

  private static func state(of cpu: SoftwareCPU) -> PropertyExtendedState {
    PropertyExtendedState(filledBy: { cpu.saveExtendedState(to: $0) })
  }

  @Test("XSAVES compacts, and XRSTORS brings back", arguments: [UInt64(1), 2, 3, 4, 5, 6, 7])
  func compaction(_ components: UInt64) throws {
    // xsaves [rdi]; cpuid; xrstors [rdi]; cpuid
    let guest = try Self.guest([0x0F, 0xC7, 0x2F, 0x0F, 0xA2, 0x0F, 0xC7, 0x1F, 0x0F, 0xA2])
    guest.enable(.enableXSAVES)
    guest.registers.pointee.rax = components
    let saved = Self.image(0x5A7E)
    Self.load(saved, guest.cpu)
    guest.expectExit(.cpuid)
    #expect(guest[Place.data + 512] == components)
    #expect(guest[Place.data + 520] == components | 1 << 63)
    if components & 4 != 0 { #expect(guest[Place.data + 576] == saved[ymm: 0, 2] as UInt64) }
    Self.load(Self.image(0x0DD), guest.cpu)
    guest.vmcs[.guestRIP] += 2
    guest.expectExit(.cpuid)
    let restored = Self.state(of: guest.cpu)
    let other = Self.image(0x0DD)
    for (component, word) in [(UInt64(2), 0), (4, 2)] {
      let expected = components & component != 0 ? saved : other
      #expect(restored[ymm: 15, word] == expected[ymm: 15, word])
    }
    #expect(restored[st: 7] == (components & 1 != 0 ? saved : other)[st: 7])
  }

  @Test("XSAVEOPT leaves out what is in its initial configuration, and XGETBV tells what is not")
  func initialConfigurations() throws {
    // xsaveopt [rdi]; mov ecx, 1; xgetbv; cpuid
    let guest = try Self.guest(
      [0x0F, 0xAE, 0x37, 0xB9, 1, 0, 0, 0, 0x0F, 0x01, 0xD0, 0x0F, 0xA2])
    for offset in stride(from: UInt64(0), to: 832, by: 8) { guest[Place.data + offset] = .max }
    guest[Place.data + 512] = 0
    var state = PropertyExtendedState()
    state[ymm: 3, 0] = 1
    Self.load(state, guest.cpu)
    guest.expectExit(.cpuid)
    #expect(guest.registers.pointee.rax == 2)
    #expect(guest[Place.data + 512] == 2)
    #expect(guest[Place.data + 32] == .max)
    #expect(guest[Place.data + 576] == .max)
    #expect(guest[Place.data + 160 + 3 * 16] == 1)
  }

  @Test func contextsAreOfOneVirtualCPU() throws {
    let cpu = try SystemGuest().cpu
    let lstar = ModelSpecificRegister.lstar.rawValue
    let contexts = UnsafeMutableRawPointer.allocate(byteCount: 2 * cpu.contextSize, alignment: 64)
    defer { contexts.deallocate() }
    let second = contexts + cpu.contextSize
    cpu.saveContext(to: second)
    Self.load(Self.image(1), cpu)
    #expect(cpu.writeXCR0(7))
    #expect(cpu.writeMSR(lstar, 0x1234))
    cpu.externalInterrupt = 0x31
    cpu.saveContext(to: contexts)
    cpu.restoreContext(from: second)
    #expect(cpu.xcr0 == 1)
    #expect(cpu.readMSR(lstar) == 0)
    #expect(cpu.externalInterrupt == nil)
    #expect(Self.state(of: cpu) == PropertyExtendedState())
    cpu.restoreContext(from: contexts)
    #expect(cpu.xcr0 == 7)
    #expect(cpu.readMSR(lstar) == 0x1234)
    #expect(cpu.externalInterrupt == 0x31)
    #expect(Self.state(of: cpu) == Self.image(1))
  }
}
