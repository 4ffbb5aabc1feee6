import Foundation
import SoftwareProcessor

/// The registers of a case, before or after its instruction.
struct PropertyRegisters: Equatable {
  /// By their numbers in encodings.
  var general = [UInt64](repeating: 0, count: 16)
  var flags: UInt64 = 0
  var rip: UInt64 = 0
  /// x87, SSE and AVX.
  var extended = PropertyExtendedState()
}

/// How the instruction ended.
struct PropertyOutcome: Equatable {
  var registers: PropertyRegisters
  /// The exception's vector, or nil if the instruction completed.
  var vector: UInt8?
  /// For a page fault, what CR2 has, and the error code.
  var pageFault: PropertyPageFault?
}

struct PropertyPageFault: Equatable {
  var address: UInt64
  var errorCode: UInt64
}

/// Where code and data of a case lie, on the host and on the processor alike, so that registers that hold addresses
/// compare equal. Low enough for absolute 32-bit displacements, and outside what a process uses.
enum PropertyLayout {
  static let stub: UInt64 = 0x1000_0000
  static let context: UInt64 = 0x1000_1000
  static let code: UInt64 = 0x1000_4000
  /// The instruction; the rest of the page is INT3, so that a branch anywhere in it ends the case.
  static let instruction: UInt64 = code + 0x800
  static let data: UInt64 = 0x1001_0000
  static let dataSize = 0x3000
  /// The end of the host's memory and the processor's.
  static let end: UInt64 = 0x1002_0000
}

/// Runs single instructions on the host's own CPU.
///
/// A stub loads the registers and flags and jumps to the instruction. Whatever comes next is a trap or a fault, whose
/// signal handler takes the registers out of the signal's context and lets the thread go on behind the stub.
final class PropertyHostCPU {
  private let alternateStack: UnsafeMutableRawPointer
  private var oldStack = stack_t()
  private var oldActions: [(Int32, sigaction)] = []
  private let is32Bit: Bool

  #if arch(x86_64) && os(Linux)
    private static let isX86 = true
  #else
    private static let isX86 = false
  #endif

  private static let signals = [SIGFPE, SIGSEGV, SIGBUS, SIGILL, SIGTRAP]
  private static let stackSize = 1 << 16

  /// Linux's selectors for user code and data.
  private enum Selector {
    static let code32: UInt16 = 0x23
    static let data: UInt16 = 0x2B
    static let code64: UInt16 = 0x33
  }

  /// The context page: where the stub finds and the handler leaves registers, in bytes.
  fileprivate enum Context {
    static let hostRSP: UInt64 = PropertyLayout.context
    static let flags: UInt64 = PropertyLayout.context + 8
    static let general: UInt64 = PropertyLayout.context + 16
    static let results: UInt64 = PropertyLayout.context + 256
    static let recovery: UInt64 = PropertyLayout.context + 1024
    /// A far pointer to the instruction.
    static let farPointer: UInt64 = PropertyLayout.context + 1032
    /// XSAVE areas: what the instruction starts with, what it leaves, and what the process had.
    static let extended: UInt64 = PropertyLayout.context + 0x1000
    static let extendedResults: UInt64 = PropertyLayout.context + 0x1800
    static let hostExtended: UInt64 = PropertyLayout.context + 0x2000
  }

  /// Maps code and data and takes the signals over; nil if the host is no x86-64 Linux or does not allow it.
  init?(_ codeSize: BareProcessor.CodeSize = .bits64) {
    guard Self.isX86, Self.has("xsave") else { return nil }
    is32Bit = codeSize == .bits32
    let size = Int(PropertyLayout.end - PropertyLayout.stub)
    let protection = PROT_READ | PROT_WRITE | PROT_EXEC
    let wanted = UnsafeMutableRawPointer(bitPattern: UInt(PropertyLayout.stub))
    let fixedNoReplace: Int32 = 0x10_0000
    let mapped = mmap(wanted, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | fixedNoReplace, -1, 0)
    guard let mapped, mapped == wanted else { return nil }
    alternateStack = UnsafeMutableRawPointer.allocate(byteCount: Self.stackSize, alignment: 16)
    var stack = stack_t()
    stack.ss_sp = alternateStack
    stack.ss_size = Self.stackSize
    sigaltstack(&stack, &oldStack)
    memset(pointer(PropertyLayout.code), 0xCC, 0x1000)
    writeStub()
    for signal in Self.signals { oldActions.append((signal, Self.takeOver(signal))) }
    // A host may have no code segment for 32-bit code: then the far jump itself faults.
    let isUsable = run([0x90], PropertyRegisters(flags: 0x202)).vector == nil
    guard isUsable else { return nil }
  }

  deinit {
    for (signal, action) in oldActions {
      var action = action
      sigaction(signal, &action, nil)
    }
    sigaltstack(&oldStack, nil)
    alternateStack.deallocate()
    munmap(pointer(PropertyLayout.stub), Int(PropertyLayout.end - PropertyLayout.stub))
  }

  /// The data pages.
  var data: UnsafeMutableRawPointer { pointer(PropertyLayout.data) }

  /// Runs `code` once with `registers`, of which `rip` is of no matter.
  func run(_ code: [UInt8], _ registers: PropertyRegisters) -> PropertyOutcome {
    let instruction = pointer(PropertyLayout.instruction)
    copy(code, to: instruction)
    for (number, value) in registers.general.enumerated() {
      pointer(Context.general).storeBytes(of: value, toByteOffset: number * 8, as: UInt64.self)
    }
    pointer(Context.flags).storeBytes(of: registers.flags, as: UInt64.self)
    copy(registers.extended.image, to: pointer(Context.extended))
    typealias Stub = @convention(c) () -> Void
    unsafeBitCast(UInt(PropertyLayout.stub), to: Stub.self)()
    memset(instruction, 0xCC, code.count)
    return outcome()
  }

  private func outcome() -> PropertyOutcome {
    let results = pointer(Context.results)
    func result(_ register: Int) -> UInt64 { results.load(fromByteOffset: register * 8, as: UInt64.self) }
    let order = [13, 14, 12, 11, 15, 10, 9, 8, 0, 1, 2, 3, 4, 5, 6, 7]
    var registers = PropertyRegisters()
    registers.general = order.map(result)
    registers.rip = result(16)
    registers.flags = result(17)
    registers.extended = PropertyExtendedState(
      image: UnsafeRawBufferPointer(
        start: pointer(Context.extendedResults), count: PropertyExtendedState.size))
    let vector = UInt8(truncatingIfNeeded: result(20))
    let breakpoint: UInt8 = 3
    guard vector != breakpoint else {
      // INT3 is behind the instruction, or where it branched to.
      registers.rip -= 1
      return PropertyOutcome(registers: registers, vector: nil)
    }
    let isPageFault = vector == 14
    return PropertyOutcome(
      registers: registers, vector: vector,
      pageFault: isPageFault ? PropertyPageFault(address: result(22), errorCode: result(19)) : nil)
  }

  /// Sets what the last page of the data lets a case do.
  func protectLastPage(_ access: PropertyLastPage) {
    let protection =
      switch access {
      case .writable: PROT_READ | PROT_WRITE
      case .readOnly: PROT_READ
      case .absent: PROT_NONE
      }
    mprotect(data + 0x2000, 0x1000, protection)
  }

  private func copy(_ bytes: [UInt8], to place: UnsafeMutableRawPointer) {
    UnsafeMutableRawBufferPointer(start: place, count: bytes.count).copyBytes(from: bytes)
  }

  private func pointer(_ address: UInt64) -> UnsafeMutableRawPointer {
    // The mapping was made at this very address.
    UnsafeMutableRawPointer(bitPattern: UInt(address)) ?? alternateStack
  }

  /// Installs the handler and returns the action that was there.
  private static func takeOver(_ signal: Int32) -> sigaction {
    var action = sigaction()
    action.__sigaction_handler.sa_sigaction = { signal, _, context in
      guard let context else { return }
      // The general registers of `ucontext_t`, in the order of its REG_ constants: R8 to R15, RDI, RSI, RBP, RBX, RDX,
      // RAX, RCX, RSP, RIP, EFL, segments, ERR, TRAPNO; four words on, the pointer to the XSAVE area.
      let registers = context + 40
      let rip = registers.load(fromByteOffset: 16 * 8, as: UInt64.self)
      guard rip >= PropertyLayout.stub, rip < PropertyLayout.end,
        let results = UnsafeMutableRawPointer(bitPattern: UInt(Context.results)),
        let extendedResults = UnsafeMutableRawPointer(bitPattern: UInt(Context.extendedResults)),
        let extended = registers.load(fromByteOffset: 23 * 8, as: UnsafeRawPointer?.self),
        let recovery = UnsafeRawPointer(bitPattern: UInt(Context.recovery))
      else {
        // Not ours: let it happen again without us.
        Glibc.signal(signal, SIG_DFL)
        return
      }
      results.copyMemory(from: registers, byteCount: 23 * 8)
      extendedResults.copyMemory(from: extended, byteCount: PropertyExtendedState.size)
      registers.storeBytes(of: recovery.load(as: UInt64.self), toByteOffset: 16 * 8, as: UInt64.self)
      registers.storeBytes(of: Selector.code64, toByteOffset: 18 * 8, as: UInt16.self)
      registers.storeBytes(of: 0x202, toByteOffset: 17 * 8, as: UInt64.self)
    }
    action.sa_flags = SA_SIGINFO | SA_ONSTACK
    var old = sigaction()
    sigaction(signal, &action, &old)
    return old
  }

  /// Assembles the stub: it saves what a C function must keep, loads everything, and jumps; the recovery undoes it.
  private func writeStub() {
    func absolute(_ address: UInt64) -> [UInt8] {
      withUnsafeBytes(of: UInt32(truncatingIfNeeded: address).littleEndian) { Array($0) }
    }
    // push rbx, rbp, r12 to r15
    var code: [UInt8] = [0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57]
    if is32Bit {
      // mov eax, data; mov ds, eax; mov es, eax
      code += [0xB8] + absolute(UInt64(Selector.data)) + [0x8E, 0xD8, 0x8E, 0xC0]
      pointer(Context.farPointer).storeBytes(of: UInt32(PropertyLayout.instruction), as: UInt32.self)
      pointer(Context.farPointer + 4).storeBytes(of: Selector.code32, as: UInt16.self)
    }
    // mov eax, 7; xor edx, edx; xsave64 [hostExtended]; xrstor64 [extended]
    let allComponents: [UInt8] = [0xB8, 7, 0, 0, 0, 0x31, 0xD2]
    code += allComponents + [0x48, 0x0F, 0xAE, 0x24, 0x25] + absolute(Context.hostExtended)
    code += [0x48, 0x0F, 0xAE, 0x2C, 0x25] + absolute(Context.extended)
    // mov [hostRSP], rsp; push [flags]; popfq
    code += [0x48, 0x89, 0x24, 0x25] + absolute(Context.hostRSP)
    code += [0xFF, 0x34, 0x25] + absolute(Context.flags) + [0x9D]
    for number in UInt8(0)..<16 {
      // mov register, [general + 8 * number]
      code += [0x48 | (number >> 3) << 2, 0x8B, (number & 7) << 3 | 4, 0x25]
      code += absolute(Context.general + UInt64(number) * 8)
    }
    if is32Bit {
      // jmp far [farPointer]
      code += [0xFF, 0x2C, 0x25] + absolute(Context.farPointer)
    } else {
      let next = PropertyLayout.stub + UInt64(code.count) + 5
      code += [0xE9] + absolute(PropertyLayout.instruction &- next)
    }
    let recovery = PropertyLayout.stub + UInt64(code.count)
    // xrstor64 [hostExtended]; mov rsp, [hostRSP]; pop r15 to r12, rbp, rbx; ret
    code += allComponents + [0x48, 0x0F, 0xAE, 0x2C, 0x25] + absolute(Context.hostExtended)
    code += [0x48, 0x8B, 0x24, 0x25] + absolute(Context.hostRSP)
    code += [0x41, 0x5F, 0x41, 0x5E, 0x41, 0x5D, 0x41, 0x5C, 0x5D, 0x5B, 0xC3]
    copy(code, to: pointer(PropertyLayout.stub))
    pointer(Context.recovery).storeBytes(of: recovery, as: UInt64.self)
  }

  /// The features of the host's CPU by the names of /proc/cpuinfo, and its vendor.
  private static let features: Set<Substring> = {
    let text = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
    let lines = text.split(separator: "\n")
    let flags = lines.first { $0.hasPrefix("flags") } ?? ""
    let vendor = lines.first { $0.hasPrefix("vendor_id") } ?? ""
    return Set(flags.split(separator: " ") + vendor.split(separator: " "))
  }()

  /// Whether the host has `feature`; nil is what every host has.
  static func has(_ feature: Substring?) -> Bool { feature.map(features.contains) ?? true }
}
