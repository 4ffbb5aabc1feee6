import CInstructions
import CMinimal
import X86

/// L2: does its workload, tells L1 the checksum of what it got, and is never resumed.
///
/// It runs on its own stack, and touches no memory but its own and the code.
@c(l2_main)
func l2Main(workload: UInt64, iterations: UInt64) -> Never {
  var checksum: UInt64 = 0
  if let workload = Workload(rawValue: workload) {
    checksum = L2Program(iterations: iterations).run(workload)
  }
  _ = vmcall(Hypercall.done, checksum)
  while true { hlt() }
}

struct L2Program {
  let iterations: UInt64

  func run(_ workload: Workload) -> UInt64 {
    switch workload {
    case .cpuid: eachIteration { UInt64(cpuid(CPUIDLeaf.vendor, UInt32(truncatingIfNeeded: $0)).ebx) }
    case .hypercall: eachIteration { vmcall(Hypercall.ask, $0) }
    case .io: eachIteration(writePort)
    case .msr: eachIteration(useMSR)
    case .hlt: eachIteration(halt)
    case .memory: eachIteration(touchWindow)
    case .interrupt: eachIteration { _ in wait_for_answer() }
    case .none: compute()
    }
  }

  /// The checksum of what `body` got in each iteration.
  @inline(__always)
  private func eachIteration(_ body: (UInt64) -> UInt64) -> UInt64 {
    var checksum = Checksum()
    var iteration: UInt64 = 0
    while iteration != iterations {
      checksum.fold(body(iteration))
      iteration &+= 1
    }
    return checksum.value
  }

  private func writePort(_ iteration: UInt64) -> UInt64 {
    let byte = UInt8(truncatingIfNeeded: iteration)
    out8(L2Port.number, byte)
    return UInt64(byte)
  }

  /// Writes a value in even iterations, and reads it back in odd ones.
  private func useMSR(_ iteration: UInt64) -> UInt64 {
    let register = ModelSpecificRegister.tscAux.rawValue
    if iteration & 1 != 0 { return rdmsr(register) }
    wrmsr(register, iteration)
    return iteration
  }

  private func halt(_ iteration: UInt64) -> UInt64 {
    hlt()
    return iteration
  }

  private func touchWindow(_ iteration: UInt64) -> UInt64 {
    WindowPage.answer(L2AddressSpace.windowBase &+ (iteration % L2AddressSpace.windowPageCount) << 12)
  }

  private func compute() -> UInt64 {
    let computation = Computation(scratch: address_of_l2_scratch())
    var sum: UInt64 = 0
    var iteration: UInt64 = 0
    while iteration != iterations {
      sum &+= computation.round(iteration)
      iteration &+= 1
    }
    return sum
  }
}
