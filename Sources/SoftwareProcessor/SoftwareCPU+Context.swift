import Processor
import X86

/// What one virtual CPU has beside its VMCS and ``RegisterFile``.
///
/// The random number generator is not in it: it belongs to the machine, whose virtual CPUs take turns.
struct VirtualCPUContext {
  var msrs: ModelSpecificState
  var extended: ExtendedState
  var xcr0: UInt64
  /// These have fields in the VMCS, but not every VM entry loads them.
  var efer: UInt64
  var dr7: UInt64
  var cr8: UInt64
  var interruptLine: UInt16
  var isNMIPending: Bool
  var lastDelivery: UInt64
}

extension Core {
  var context: VirtualCPUContext {
    get {
      VirtualCPUContext(
        msrs: cpu.pointee.msrs, extended: cpu.pointee.extended, xcr0: cpu.pointee.xcr0,
        efer: cpu.pointee.efer,
        dr7: cpu.pointee.dr7, cr8: cpu.pointee.cr8, interruptLine: cpu.pointee.interruptLine,
        isNMIPending: cpu.pointee.isNMIPending, lastDelivery: cpu.pointee.lastDelivery)
    }
    nonmutating set {
      cpu.pointee.msrs = newValue.msrs
      cpu.pointee.extended = newValue.extended
      cpu.pointee.xcr0 = newValue.xcr0
      cpu.pointee.efer = newValue.efer
      cpu.pointee.dr7 = newValue.dr7
      cpu.pointee.cr8 = newValue.cr8
      cpu.pointee.interruptLine = newValue.interruptLine
      cpu.pointee.isNMIPending = newValue.isNMIPending
      cpu.pointee.lastDelivery = newValue.lastDelivery
      updateMode()
    }
  }

  /// Writes XCR0; false if a component is not supported, x87 is missing, or AVX is without SSE.
  ///
  /// Source: SDM volume 2, "XSETBV—Set Extended Control Register".
  func writeXCR0(_ value: UInt64) -> Bool {
    guard ExtendedStateComponent.isValidXCR0(value) else { return false }
    cpu.pointee.xcr0 = value
    updateMode()
    return true
  }
}

extension SoftwareCPU {
  public var xcr0: UInt64 { core.cpu.pointee.xcr0 }

  public func writeXCR0(_ value: UInt64) -> Bool { core.writeXCR0(value) }

  public var contextSize: Int { MemoryLayout<VirtualCPUContext>.size }

  public func saveContext(to place: UnsafeMutableRawPointer) {
    place.storeBytes(of: core.context, as: VirtualCPUContext.self)
  }

  public func restoreContext(from place: UnsafeRawPointer) {
    core.context = place.loadUnaligned(as: VirtualCPUContext.self)
  }
}
