/// An exception by its vector.
///
/// Source: SDM volume 3, "Exception and Interrupt Vectors".
public enum ExceptionVector: UInt8, CaseIterable, Sendable {
  case divideError = 0
  case debug = 1
  /// The non-maskable interrupt: an interrupt, but with a vector of its own.
  case nmi = 2
  case breakpoint = 3
  case overflow = 4
  case boundRangeExceeded = 5
  case invalidOpcode = 6
  case deviceNotAvailable = 7
  case doubleFault = 8
  case coprocessorSegmentOverrun = 9
  case invalidTSS = 10
  case segmentNotPresent = 11
  case stackSegmentFault = 12
  case generalProtection = 13
  case pageFault = 14
  case floatingPointError = 16
  case alignmentCheck = 17
  case machineCheck = 18
  case simdFloatingPoint = 19
  case virtualization = 20
  case controlProtection = 21

  /// The SDM's mnemonic.
  public var mnemonic: StaticString {
    switch self {
    case .divideError: "#DE"
    case .debug: "#DB"
    case .nmi: "NMI"
    case .breakpoint: "#BP"
    case .overflow: "#OF"
    case .boundRangeExceeded: "#BR"
    case .invalidOpcode: "#UD"
    case .deviceNotAvailable: "#NM"
    case .doubleFault: "#DF"
    case .coprocessorSegmentOverrun: "CSO"
    case .invalidTSS: "#TS"
    case .segmentNotPresent: "#NP"
    case .stackSegmentFault: "#SS"
    case .generalProtection: "#GP"
    case .pageFault: "#PF"
    case .floatingPointError: "#MF"
    case .alignmentCheck: "#AC"
    case .machineCheck: "#MC"
    case .simdFloatingPoint: "#XM"
    case .virtualization: "#VE"
    case .controlProtection: "#CP"
    }
  }

  /// Whether delivery in protected mode pushes an error code.
  @inlinable
  public var hasErrorCode: Bool { Self.errorCodeVectors >> UInt32(rawValue) & 1 != 0 }

  /// The vectors that push an error code, as a bit mask: 8, 10 to 14, 17 and 21.
  @inlinable
  public static var errorCodeVectors: UInt32 { 0x0022_7D00 }

  /// How the exception reports: before the instruction, after it, or not restartable.
  ///
  /// A #DB can be a fault (instruction breakpoints, general detect) or a trap; this says trap.
  @inlinable
  public var kind: ExceptionKind {
    switch self {
    case .debug, .breakpoint, .overflow: .trap
    case .doubleFault, .machineCheck: .abort
    case .nmi: .interrupt
    default: .fault
    }
  }

  /// The class that decides what a second exception during delivery becomes.
  @inlinable
  public var exceptionClass: ExceptionClass {
    switch self {
    case .divideError, .invalidTSS, .segmentNotPresent, .stackSegmentFault, .generalProtection,
      .controlProtection:
      .contributory
    case .pageFault, .virtualization: .pageFault
    case .doubleFault: .doubleFault
    default: .benign
    }
  }
}

/// How an exception reports relative to its instruction.
///
/// Source: SDM volume 3, "Exception Classifications".
public enum ExceptionKind: Equatable, Sendable {
  case fault
  case trap
  case abort
  case interrupt
}

/// The class of an exception for the double-fault rule.
///
/// Source: SDM volume 3, "Interrupt 8—Double Fault Exception (#DF)".
public enum ExceptionClass: Equatable, Sendable {
  case benign
  case contributory
  case pageFault
  case doubleFault

  /// What happens when an exception of class `second` arises while one of this class is being delivered.
  @inlinable
  public func combined(with second: ExceptionClass) -> ExceptionCombination {
    switch (self, second) {
    case (.doubleFault, .contributory), (.doubleFault, .pageFault), (.doubleFault, .doubleFault): .tripleFault
    case (.contributory, .contributory): .doubleFault
    case (.pageFault, .contributory), (.pageFault, .pageFault): .doubleFault
    default: .serial
    }
  }
}

/// What becomes of two exceptions, the second of which arose in the delivery of the first.
public enum ExceptionCombination: Equatable, Sendable {
  /// The second is delivered on its own.
  case serial
  case doubleFault
  /// Shutdown, or a VM exit due to a triple fault.
  case tripleFault
}

/// The error code of a page fault.
///
/// Source: SDM volume 3, "Page-Fault Exceptions".
public struct PageFaultErrorCode: OptionSet, Hashable, Sendable {
  public var rawValue: UInt32

  @inlinable
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// The page was present: a protection violation.
  @inlinable public static var present: Self { Self(rawValue: 1 << 0) }
  /// The access was a write.
  @inlinable public static var write: Self { Self(rawValue: 1 << 1) }
  /// The access was a user-mode one.
  @inlinable public static var user: Self { Self(rawValue: 1 << 2) }
  /// A reserved bit was set in a paging-structure entry.
  @inlinable public static var reserved: Self { Self(rawValue: 1 << 3) }
  /// The access was an instruction fetch.
  @inlinable public static var fetch: Self { Self(rawValue: 1 << 4) }
  /// A protection key forbade the access.
  @inlinable public static var protectionKey: Self { Self(rawValue: 1 << 5) }
  /// The access was a shadow-stack access.
  @inlinable public static var shadowStack: Self { Self(rawValue: 1 << 6) }
  /// No translation by HLAT paging.
  @inlinable public static var hlat: Self { Self(rawValue: 1 << 7) }
  /// The fault was due to SGX.
  @inlinable public static var sgx: Self { Self(rawValue: 1 << 15) }
}
