import InstructionDecoder
import VMX
import X86

// What system instructions ask of the state, in the SDM's words.
extension Core {
  var cr0: CR0 { CR0(rawValue: cpu.pointee.cr0) }
  var cr4: CR4 { CR4(rawValue: cpu.pointee.cr4) }
  var efer: EFER { EFER(rawValue: cpu.pointee.efer) }

  /// RFLAGS without a look at the status flags.
  var systemFlags: RFLAGS { RFLAGS(rawValue: cpu.pointee.rflagsSystem) }

  var cpl: UInt8 { cpu.pointee.cpl }
  var iopl: UInt8 { systemFlags.iopl }

  /// IA-32e mode: 64-bit mode and compatibility mode.
  var isIA32e: Bool { efer.contains(.lma) }
  var isVirtual8086: Bool { systemFlags.contains(.vm) }
  /// CR0.PE and not RFLAGS.VM: selectors name descriptors.
  var usesDescriptors: Bool { cr0.contains(.pe) && !isVirtual8086 }

  var nonRoot: UnsafeMutablePointer<NonRootState> { cpu.pointee.machine.nonRoot }
  var vmcs: VMCS { nonRoot.pointee.vmcs }

  /// Blocking by STI, MOV SS, SMI and NMI.
  var interruptibility: InterruptibilityState {
    get { InterruptibilityState(rawValue: cpu.pointee.interruptibility) }
    nonmutating set { cpu.pointee.interruptibility = newValue.rawValue }
  }

  /// `pointer` cut to the width of the code segment's instruction pointer.
  func instructionPointer(_ pointer: UInt64) -> UInt64 {
    if is64BitMode { return pointer }
    return pointer & 0xFFFF_FFFF
  }

  /// The low `size` bytes of `value`.
  func cut(_ value: UInt64, to size: UInt8) -> UInt64 {
    size >= 8 ? value : value & ((1 << (UInt64(size) &* 8)) &- 1)
  }

  /// The linear address of `offset` in a system table at `base`: 32 bits wide outside IA-32e mode.
  func systemAddress(_ base: UInt64, _ offset: UInt64) -> UInt64 {
    isIA32e ? base &+ offset : (base &+ offset) & 0xFFFF_FFFF
  }

  /// Refuses with #GP(0) unless the CPL is 0 (in real-address mode it is).
  func requireCPL0() throws(Interruption) {
    guard cpl == 0 else { throw raise(.generalProtection) }
  }

  /// Changes the bits of RFLAGS that are in `mask`.
  func setFlags(_ value: UInt64, mask: UInt64) {
    rflags = rflags & ~mask | value & mask
  }

  /// The current TSC as RDTSC returns it in VMX non-root operation.
  var timeStampCounter: UInt64 {
    let counter = cpu.pointee.machine.clock.pointee.cycles &+ cpu.pointee.msrs.tscAdjust
    return TSCScaling.scaled(counter, by: cpu.pointee.msrs.tscMultiplier) &+ cpu.pointee.msrs.tscOffset
  }
}
