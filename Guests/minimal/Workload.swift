/// What L2 does, chosen by `workload=` on the command line.
///
/// Each iteration of every workload but ``none`` causes exactly one VM exit. One hypercall more ends L2.
enum Workload: UInt64, CaseIterable {
  /// CPUID.
  case cpuid
  /// VMCALL.
  case hypercall
  /// OUT to a port.
  case io
  /// WRMSR and RDMSR of one MSR in turn.
  case msr
  /// HLT.
  case hlt
  /// The first access to a page: an EPT violation.
  case memory
  /// Waiting for an answer that L1 gives at a timer interrupt.
  case interrupt
  /// Computing: no VM exit.
  case none

  var name: StaticString {
    switch self {
    case .cpuid: "cpuid"
    case .hypercall: "hypercall"
    case .io: "io"
    case .msr: "msr"
    case .hlt: "hlt"
    case .memory: "memory"
    case .interrupt: "interrupt"
    case .none: "none"
    }
  }
}

/// The numbers that L2 puts in RAX before VMCALL.
enum Hypercall {
  /// RBX = any number; the answer is in RAX.
  static var ask: UInt64 { 1 }
  /// L2 is finished; RBX = its checksum. There is no answer.
  static var done: UInt64 { 0x444F_4E45 }
}

/// What both sides compute over everything that L1 gave to L2: if the two differ, something was lost or invented.
struct Checksum {
  private(set) var value: UInt64 = 0xCBF2_9CE4_8422_2325

  mutating func fold(_ word: UInt64) {
    value = (value ^ word) &* 0x100_0000_01B3
  }
}
