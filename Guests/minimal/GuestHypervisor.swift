import CHypervisor
import CInstructions
import CMinimal
import VMX
import X86

/// L1: runs L2 and handles its VM exits until L2 says that it is done.
struct GuestHypervisor {
  /// How many exits were handled; the last hypercall is none of them.
  private(set) var handledExits: UInt64 = 0
  /// Everything that L2 was given.
  private(set) var given = Checksum()

  private var registers = RegisterFile()
  private var addressSpace: L2AddressSpace
  private var tscAux: UInt64 = 0
  /// Ticks for the workload that is interrupted.
  private var timer: L1Timer?
  private let iterations: UInt64

  /// Prepares a VMCS and makes it current.
  init(_ options: Options, _ capabilities: VMXCapabilities, _ pages: inout L1Pages) {
    addressSpace = L2AddressSpace(&pages, capabilities.eptAndVPID)
    let region = pages.take()
    let revision = capabilities.basic.revision &+ (options.mistake == .revision ? 1 : 0)
    UnsafeMutablePointer<UInt32>(physical: region).pointee = revision
    if vmclear(region) { vmxFailed("VMCLEAR") }
    if vmptrld(region) { vmxFailed("VMPTRLD") }
    timer = options.workload == .interrupt ? L1Timer() : nil
    iterations = options.iterations
    L2Controls(
      capabilities: capabilities, mistake: options.mistake, exitsByInterrupts: timer != nil
    ).write(eptPointer: addressSpace.pointer, &pages)
    HostState.write()
    if options.mistake == .hostCR4 { vmwrite(.hostCR4, 0) }
    L2State.write(options.mistake)
    registers.rdi = options.workload.rawValue
    registers.rsi = options.iterations
  }

  /// Runs L2 to its end and gives the checksum that it reports.
  mutating func run() -> UInt64 {
    var isLaunched = false
    if iterations != 0 { timer?.arm() }
    while true {
      if enter_guest(&registers, isLaunched) { vmxFailed(isLaunched ? "VMRESUME" : "VMLAUNCH") }
      isLaunched = true
      let exit = L2Exit.last()
      if exit.reason == ExitReasonField(.vmcall) && registers.rax == Hypercall.done {
        addressSpace.checkAnswers()
        return registers.rbx
      }
      handle(exit)
      handledExits &+= 1
    }
  }

  private mutating func handle(_ exit: L2Exit) {
    guard !exit.reason.isEntryFailure else { exit.refuse() }
    switch exit.reason.basic {
    case .cpuid: emulateCPUID()
    case .vmcall: answerHypercall(exit)
    case .ioInstruction: emulateOUT(exit)
    case .rdmsr: emulateRDMSR(exit)
    case .wrmsr: emulateWRMSR(exit)
    case .hlt: given.fold(handledExits)
    case .eptViolation:
      // L2 repeats the access.
      given.fold(addressSpace.fill(at: vmread(.guestPhysicalAddress)))
      return
    case .externalInterrupt:
      answerAtInterrupt(exit)
      return
    default: exit.refuse()
    }
    exit.skipInstruction()
  }

  /// L2 gets what L1 gets.
  private mutating func emulateCPUID() {
    let leaf = UInt32(truncatingIfNeeded: registers.rax)
    let result = cpuid(leaf, UInt32(truncatingIfNeeded: registers.rcx))
    registers.rax = UInt64(result.eax)
    registers.rbx = UInt64(result.ebx)
    registers.rcx = UInt64(result.ecx)
    registers.rdx = UInt64(result.edx)
    given.fold(registers.rbx)
  }

  private mutating func answerHypercall(_ exit: L2Exit) {
    guard registers.rax == Hypercall.ask else { exit.refuse() }
    registers.rax = registers.rbx &* 3 &+ handledExits
    given.fold(registers.rax)
  }

  /// L2 goes on where the timer interrupted it, with an answer if it waits for one. Else L1 and what lies below it took
  /// longer than the timer, which is armed for twice as long from then on, and the exit does not count.
  private mutating func answerAtInterrupt(_ exit: L2Exit) {
    guard timer != nil, L1Timer.isItsInterrupt(vmread(.exitInterruptionInformation)) else { exit.refuse() }
    timer?.finishInterrupt()
    let isInLoop = exit.rip >= address_of_l2_waits() && exit.rip < address_of_l2_waits_end()
    guard isInLoop && registers.rax == 0 else {
      timer?.slowDown()
      timer?.arm()
      handledExits &-= 1
      return
    }
    if handledExits &+ 1 != iterations { timer?.arm() }
    registers.rax = handledExits &+ 1
    given.fold(registers.rax)
  }

  /// A port that takes bytes.
  private mutating func emulateOUT(_ exit: L2Exit) {
    guard IOQualification(rawValue: exit.qualification) == L2Port.output else { exit.refuse() }
    given.fold(registers.rax & 0xFF)
  }

  /// IA32_TSC_AUX belongs to L2 in name only: L1 keeps its value.
  private mutating func emulateRDMSR(_ exit: L2Exit) {
    guard ModelSpecificRegister(rawValue: UInt32(truncatingIfNeeded: registers.rcx)) == .tscAux else {
      exit.refuse()
    }
    registers.rax = tscAux & 0xFFFF_FFFF
    registers.rdx = tscAux >> 32
    given.fold(tscAux)
  }

  private mutating func emulateWRMSR(_ exit: L2Exit) {
    guard ModelSpecificRegister(rawValue: UInt32(truncatingIfNeeded: registers.rcx)) == .tscAux else {
      exit.refuse()
    }
    tscAux = registers.rdx << 32 | registers.rax & 0xFFFF_FFFF
    given.fold(tscAux)
  }
}
