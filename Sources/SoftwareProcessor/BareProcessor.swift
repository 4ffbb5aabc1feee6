import GuestMemory
import X86

/// The interpreter without a VMCS: flat memory, no paging, no intercepts. What tests of instructions run on.
package final class BareProcessor {
  package let memory: PhysicalMemory
  private let core: Core

  /// How a run ended.
  package enum Outcome: Equatable {
    /// The budget was used up, or a system instruction executed.
    case ran
    /// The instruction at `rip` raised an exception.
    case exception(ExceptionVector?)
    /// It caused a VM exit.
    case exit
  }

  /// The default sizes of code and stack.
  package enum CodeSize {
    case bits16, bits32, bits64
  }

  /// A processor of `memorySize` bytes of RAM, in the given mode with flat segments; nil if the host has no memory.
  ///
  /// Without `specialised`, no instruction has a record of its own form, and none are fused.
  package init?(memorySize: UInt64, _ codeSize: CodeSize = .bits64, specialised: Bool = true) {
    guard let memory = try? PhysicalMemory(size: memorySize), let core = Core.allocate(memory: memory)
    else { return nil }
    self.memory = memory
    self.core = core
    let sizeBits: UInt32 =
      switch codeSize {
      case .bits16: 0
      case .bits32: 0x4000
      case .bits64: 0x2000
      }
    for segment in SegmentRegister.allCases {
      let type: UInt32 = segment == .cs ? 0x9B : 0x93
      let defaults = segment == .cs || codeSize != .bits64 ? sizeBits : 0x4000
      core[segment] = SegmentState(
        selector: 8, accessRights: type | 0x8000 | defaults, limit: codeSize == .bits16 ? 0xFFFF : 0xFFFF_FFFF
      )
    }
    core.cpu.pointee.cr0 = 1
    core.cpu.pointee.cr4 = CR4([.osfxsr, .osxmmexcpt, .osxsave]).rawValue
    core.cpu.pointee.xcr0 = ExtendedStateComponent.user
    if codeSize == .bits64 { core.cpu.pointee.efer = 0x500 }
    core.updateMode()
    if !specialised { core.cpu.pointee.mode = core.cpu.pointee.mode.union(.carried) }
  }

  deinit { core.deallocate() }

  package var registers: UnsafeMutablePointer<RegisterFile> {
    UnsafeMutableRawPointer(core.cpu).assumingMemoryBound(to: RegisterFile.self)
  }

  package var rip: UInt64 {
    get { core.rip }
    set { core.rip = newValue }
  }

  package var rflags: UInt64 {
    get { core.rflags }
    set { core.rflags = newValue }
  }

  /// Makes the x87, SSE and AVX state what the XSAVE area `image` has, and back; see ``ExtendedStateImage``.
  package func loadExtendedState(_ image: UnsafeRawBufferPointer) {
    ExtendedStateImage.load(image, into: core)
  }
  package func saveExtendedState(to image: UnsafeMutableRawBufferPointer) {
    ExtendedStateImage.save(core, to: image)
  }

  /// Instructions retired since the beginning.
  package var instructions: UInt64 { core.cpu.pointee.machine.clock.pointee.instructions }
  /// The error code of the last exception, and the linear address of the last page fault.
  package var errorCode: UInt32 { core.cpu.pointee.pending.errorCode }
  package var faultAddress: UInt64 { core.cpu.pointee.pending.address }

  /// Runs at most `budget` instructions.
  package func run(_ budget: Int64) -> Outcome {
    core.forgetStaleCode(memory)
    do {
      try core.execute(budget: budget)
      return .ran
    } catch {
      return error == .vmExit ? .exit : .exception(ExceptionVector(rawValue: core.cpu.pointee.pending.vector))
    }
  }
}
