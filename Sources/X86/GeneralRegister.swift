/// A general-purpose register by its number in instruction encodings and exit qualifications.
///
/// Source: SDM volume 3, "Exit Qualification for Control-Register Accesses".
public enum GeneralRegister: UInt8, CaseIterable, Sendable {
  case rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi
  case r8, r9, r10, r11, r12, r13, r14, r15

  /// The register that bits 3:0 of `number` encode.
  @inlinable
  public init(number: UInt64) {
    self = Self(rawValue: UInt8(truncatingIfNeeded: number) & 0xF) ?? .rax
  }
}

/// The registers that a VMCS does not hold, as one block of memory shared by a processor and L0.
///
/// `rsp` is a slot only: across a VM entry and a VM exit the value of RSP is in the VMCS, like RIP and RFLAGS.
public struct RegisterFile: Sendable {
  public var rax: UInt64 = 0
  public var rcx: UInt64 = 0
  public var rdx: UInt64 = 0
  public var rbx: UInt64 = 0
  public var rsp: UInt64 = 0
  public var rbp: UInt64 = 0
  public var rsi: UInt64 = 0
  public var rdi: UInt64 = 0
  public var r8: UInt64 = 0
  public var r9: UInt64 = 0
  public var r10: UInt64 = 0
  public var r11: UInt64 = 0
  public var r12: UInt64 = 0
  public var r13: UInt64 = 0
  public var r14: UInt64 = 0
  public var r15: UInt64 = 0
  public var cr2: UInt64 = 0
  public var dr0: UInt64 = 0
  public var dr1: UInt64 = 0
  public var dr2: UInt64 = 0
  public var dr3: UInt64 = 0
  public var dr6: UInt64 = 0xFFFF_0FF0

  @inlinable
  public init() {}
}

extension UnsafeMutablePointer where Pointee == RegisterFile {
  /// The 64-bit value of general-purpose register `register`.
  @inlinable
  public subscript(register: GeneralRegister) -> UInt64 {
    get { UnsafeRawPointer(self).load(fromByteOffset: Int(register.rawValue) &* 8, as: UInt64.self) }
    nonmutating set {
      UnsafeMutableRawPointer(self).storeBytes(
        of: newValue, toByteOffset: Int(register.rawValue) &* 8, as: UInt64.self)
    }
  }
}
