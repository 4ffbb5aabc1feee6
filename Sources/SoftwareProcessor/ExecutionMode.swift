import X86

/// What a decoded block depends on beside its bytes: the execution mode.
///
/// Derived from CR0, EFER, RFLAGS.VM and CS by ``Core/updateMode()``, which whoever changes one of these calls.
struct ExecutionMode: Equatable {
  var rawValue: UInt8 = 0

  /// CS.D: 32-bit default operand and address sizes (outside 64-bit mode).
  static let code32 = ExecutionMode(rawValue: 1 << 0)
  /// 64-bit mode: EFER.LMA and CS.L.
  static let code64 = ExecutionMode(rawValue: 1 << 1)
  /// Real-address mode or virtual-8086 mode: segments are loaded as selector × 16.
  static let real = ExecutionMode(rawValue: 1 << 2)
  /// The block holds one instruction only, for a budget that ends before the whole block.
  static let single = ExecutionMode(rawValue: 1 << 3)
  /// SS.B: a 32-bit stack pointer (outside 64-bit mode).
  static let stack32 = ExecutionMode(rawValue: 1 << 4)

  /// Every instruction is carried whole, none specialised: what tests compare the specialised records with.
  static let carried = ExecutionMode(rawValue: 1 << 5)

  @inline(always)
  func contains(_ other: ExecutionMode) -> Bool { rawValue & other.rawValue == other.rawValue }

  @inline(always)
  func union(_ other: ExecutionMode) -> ExecutionMode { ExecutionMode(rawValue: rawValue | other.rawValue) }
}

extension Core {
  /// Whether the processor is in 64-bit mode.
  @inline(always)
  var is64BitMode: Bool { cpu.pointee.mode.contains(.code64) }

  /// Recomputes what is derived from CR0, CR3, CR4, EFER, RFLAGS, CS, SS, the CPL, EPTP and VPID: the mode that blocks
  /// are keyed by and the contexts that translations are keyed by. Whoever changes one of these calls it.
  func updateMode() {
    var mode = ExecutionMode()
    if cpu.pointee.efer & 0x400 != 0, cpu.pointee.cs.accessRights & 0x2000 != 0 { mode = .code64 }
    if mode != .code64, cpu.pointee.cs.accessRights & 0x4000 != 0 { mode = .code32 }
    if mode != .code64, cpu.pointee.ss.accessRights & 0x4000 != 0 { mode = mode.union(.stack32) }
    if cpu.pointee.cr0 & 1 == 0 || cpu.pointee.rflagsSystem & 0x2_0000 != 0 { mode = mode.union(.real) }
    cpu.pointee.mode = mode
    selectContexts()
  }
}
