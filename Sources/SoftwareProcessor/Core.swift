import InstructionDecoder
import Processor
import X86

/// The processor as its own code sees it: one pointer to the state, passed by value, with the processor's operations
/// as methods, one extension per concept.
///
/// Methods that carry out an instruction throw an ``Interruption`` when it faults or exits; nothing architectural has
/// changed then but what the SDM says, and `rip` is the start of the instruction.
struct Core {
  let cpu: UnsafeMutablePointer<CPUState>

  @inline(always)
  init(_ cpu: UnsafeMutablePointer<CPUState>) { self.cpu = cpu }
}

// MARK: - Registers

extension Core {
  /// The instruction pointer.
  @inline(always)
  var rip: UInt64 {
    get { cpu.pointee.rip }
    nonmutating set { cpu.pointee.rip = newValue }
  }

  /// The whole 64-bit register number `index`: 0...15, or ``zeroRegister``.
  @inline(always)
  subscript(register index: UInt8) -> UInt64 {
    get { words[Int(index)] }
    nonmutating set { words[Int(index)] = newValue }
  }

  /// The state as words, of which the general-purpose registers are the first.
  @inline(always)
  private var words: UnsafeMutablePointer<UInt64> {
    UnsafeMutableRawPointer(cpu).assumingMemoryBound(to: UInt64.self)
  }

  /// The whole 64-bit register `register`.
  @inline(always)
  subscript(_ register: GeneralRegister) -> UInt64 {
    get { self[register: register.rawValue] }
    nonmutating set { self[register: register.rawValue] = newValue }
  }

  /// The number of the register that is always zero: the word after ``RegisterFile``.
  static var zeroRegister: UInt8 { UInt8(truncatingIfNeeded: MemoryLayout<RegisterFile>.size / 8) }

  /// A segment register with its hidden part.
  @inline(always)
  subscript(_ segment: SegmentRegister) -> SegmentState {
    get { segments[Int(segment.rawValue)] }
    nonmutating set { segments[Int(segment.rawValue)] = newValue }
  }

  /// ES, CS, SS, DS, FS, GS, LDTR, TR, in the order of their declarations and of the VMCS's fields.
  @inline(always)
  var segments: UnsafeMutablePointer<SegmentState> {
    let offset = MemoryLayout<CPUState>.offset(of: \.es) ?? 0
    return (UnsafeMutableRawPointer(cpu) + offset).assumingMemoryBound(to: SegmentState.self)
  }
}

// MARK: - Interruptions

extension Core {
  /// Makes `exception` the pending event: `throw core.raise(.generalProtection, errorCode: 0)`.
  @inline(never)
  func raise(_ exception: ExceptionVector, errorCode: UInt32 = 0) -> Interruption {
    cpu.pointee.pending.vector = exception.rawValue
    cpu.pointee.pending.kind = .hardwareException
    cpu.pointee.pending.hasErrorCode = exception.hasErrorCode
    cpu.pointee.pending.errorCode = errorCode
    cpu.pointee.pending.address = 0
    cpu.pointee.pending.isRedirected = false
    return .exception
  }

  /// Makes a page fault at linear address `address` the pending event. CR2 changes only at its delivery.
  @inline(never)
  func pageFault(at address: UInt64, errorCode: UInt32) -> Interruption {
    let fault = raise(.pageFault, errorCode: errorCode)
    cpu.pointee.pending.address = address
    return fault
  }
}

// MARK: - The clock

extension Core {
  /// Adds the instructions retired since the last call to the clock, which is then exact.
  ///
  /// The interpreter does so before every ``executeSystem(_:)`` and whenever ``execute(budget:)`` ends.
  func countRetired() {
    let retired = UInt64(truncatingIfNeeded: cpu.pointee.counted &- cpu.pointee.budget)
    cpu.pointee.machine.clock.pointee.instructions &+= retired
    cpu.pointee.machine.clock.pointee.cycles &+= retired
    cpu.pointee.counted = cpu.pointee.budget
  }
}
