import VMX
import X86

/// An interrupt or exception on its way to its handler.
struct Event {
  var vector: UInt8
  var kind: InterruptionInformation.Kind
  var hasErrorCode = false
  var errorCode: UInt32 = 0
  /// A page fault's linear address, or a debug exception's bits of DR6.
  var address: UInt64 = 0
  /// The length of the instruction that a software interrupt or exception is of; the handler returns behind it.
  var instructionLength: UInt32 = 0

  /// Whether it is an INT n that goes to a handler of the 8086 program itself.
  var isRedirected = false
  /// Whether VM entry injects it.
  var isInjected = false
  /// Whether it is a fault of an IRET that has ended a blocking by NMI.
  var unblockedNMIs = false

  /// The EXT bit of error codes of faults met during the delivery.
  var external: UInt32 {
    switch kind {
    case .softwareInterrupt, .softwareException: 0
    default: 1
    }
  }

  /// Whether it is INT n, INT3 or INTO, whose gate must be accessible from the CPL.
  var checksGatePrivilege: Bool { external == 0 }

  var isSoftware: Bool { information.usesInstructionLength }

  var information: InterruptionInformation {
    InterruptionInformation(vector: vector, kind: kind, hasErrorCode: hasErrorCode)
  }

  /// Whether it is an exception of this vector that the processor found.
  func isHardwareException(_ exception: ExceptionVector) -> Bool {
    kind == .hardwareException && vector == exception.rawValue
  }

  /// Whether RFLAGS.RF is set in the image of RFLAGS that it saves: for faults.
  var setsResumeFlag: Bool {
    guard kind == .hardwareException else { return false }
    // Of the debug exceptions, general detection alone is a fault that sets RF (SDM volume 3, "Debug Exceptions").
    return vector != ExceptionVector.debug.rawValue || address & DR6.bd.rawValue != 0
  }

  /// Its class in the double-fault rule; interrupts and software events are benign.
  var exceptionClass: ExceptionClass {
    guard kind == .hardwareException else { return .benign }
    return ExceptionVector(rawValue: vector)?.exceptionClass ?? .benign
  }

  static var doubleFault: Event {
    Event(vector: ExceptionVector.doubleFault.rawValue, kind: .hardwareException, hasErrorCode: true)
  }

  static func debug(_ bits: UInt64) -> Event {
    Event(vector: ExceptionVector.debug.rawValue, kind: .hardwareException, address: bits)
  }
}

extension Core {
  /// The event that an instruction announced by throwing ``Interruption/exception``.
  var pendingEvent: Event {
    let pending = cpu.pointee.pending
    return Event(
      vector: pending.vector, kind: pending.kind, hasErrorCode: pending.hasErrorCode,
      errorCode: pending.errorCode, address: pending.address, instructionLength: pending.eventLength,
      isRedirected: pending.isRedirected)
  }

  /// Makes INT n, INT3, INTO or INT1 of the instruction at `rip` the pending event.
  func raiseSoftware(
    _ vector: UInt8, _ kind: InterruptionInformation.Kind, length: UInt8
  ) -> Interruption {
    _ = raise(.debug)
    cpu.pointee.pending.vector = vector
    cpu.pointee.pending.kind = kind
    cpu.pointee.pending.eventLength = UInt32(length)
    return .exception
  }
}
