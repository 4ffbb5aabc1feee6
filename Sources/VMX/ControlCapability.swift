/// Which settings of a word of controls a processor allows.
///
/// Source: SDM volume 3, appendix "VMX Capability Reporting Facility": a control may be 0 unless its allowed
/// 0-setting is 1, and may be 1 only if its allowed 1-setting is 1.
public struct ControlCapability: Equatable, Sendable {
  /// The allowed 0-settings: the controls that must be 1.
  public var allowed0: UInt64
  /// The allowed 1-settings: the controls that may be 1.
  public var allowed1: UInt64

  @inlinable
  public init(allowed0: UInt64, allowed1: UInt64) {
    self.allowed0 = allowed0
    self.allowed1 = allowed1
  }

  /// The capability that an MSR of two halves reports: bits 31:0 allowed 0-settings, bits 63:32 allowed 1-settings.
  @inlinable
  public init(msr: UInt64) {
    self.init(allowed0: msr & 0xFFFF_FFFF, allowed1: msr >> 32)
  }

  /// The MSR of two halves that reports this capability of a 32-bit word.
  @inlinable
  public var msr: UInt64 { allowed1 << 32 | allowed0 & 0xFFFF_FFFF }

  /// Whether every control of `word` has an allowed setting.
  @inlinable
  public func permits(_ word: UInt64) -> Bool { violations(in: word) == 0 }

  /// The controls of `word` that have a setting that is not allowed.
  @inlinable
  public func violations(in word: UInt64) -> UInt64 { allowed0 & ~word | word & ~allowed1 }

  /// The controls of `word` that must be 1 and are 0.
  @inlinable
  public func missing(in word: UInt64) -> UInt64 { allowed0 & ~word }

  /// The controls of `word` that must be 0 and are 1.
  @inlinable
  public func excess(in word: UInt64) -> UInt64 { word & ~allowed1 }

  /// `word` with every control that must be 1 set, and every one that must be 0 cleared.
  @inlinable
  public func adjusted(_ word: UInt64) -> UInt64 { (word | allowed0) & allowed1 }

  /// Whether `controls` may all be 1.
  @inlinable
  public func allows<Word: ControlWord>(_ controls: Word) -> Bool {
    UInt64(controls.rawValue) & ~allowed1 == 0
  }
}
