import NestedVMX
import Processor
import VMX
import X86

/// RDMSR and WRMSR, by the table of ``MSRPolicy``.
extension VirtualCPU {
  func emulateRDMSR() {
    let guest = guest
    guard let value = readMSR(UInt32(truncatingIfNeeded: guest[.rcx]), of: guest) else {
      guest.raise(.generalProtection)
      return
    }
    guest[.rax] = value & 0xFFFF_FFFF
    guest[.rdx] = value >> 32
    guest.completeInstruction()
  }

  func emulateWRMSR() {
    let guest = guest
    let value = guest[.rdx] << 32 | guest[.rax] & 0xFFFF_FFFF
    guard writeMSR(UInt32(truncatingIfNeeded: guest[.rcx]), value, of: guest) else {
      guest.raise(.generalProtection)
      return
    }
    guest.completeInstruction()
  }

  /// The value of the MSR `index` for `guest`, or nil if the machine has no such MSR.
  func readMSR(_ index: UInt32, of guest: RunningGuest) -> UInt64? {
    guard let row = MSRPolicy.row(index) else { return nil }
    switch row.source {
    case .field(let field): return guest[field]
    case .processor: return processor.readMSR(index)
    case .constant(let value): return value
    case .timeStampCounter: return clock.pointee.cycles &+ guest[.tscOffset]
    case .nested:
      return index == ModelSpecificRegister.featureControl.rawValue
        ? vmx.featureControl : vmx.capabilities.value(ofMSR: index)
    }
  }

  /// Writes the MSR `index` for `guest`; false, and nothing written, if that is #GP(0).
  func writeMSR(_ index: UInt32, _ value: UInt64, of guest: RunningGuest) -> Bool {
    guard let row = MSRPolicy.row(index), let current = readMSR(index, of: guest) else { return false }
    let isPaging = CR0(rawValue: guest.vmcs[.guestCR0]).contains(.pg)
    guard MSRPolicy.allows(value, by: row.writes, current: current, isPaging: isPaging) else { return false }
    switch row.source {
    case .field(.guestEFER):
      // LMA is the processor's own.
      let lma = EFER.lma.rawValue
      guest[.guestEFER] = value & ~lma | current & lma
    case .field(let field): guest[field] = value
    case .processor: return processor.writeMSR(index, value)
    case .timeStampCounter: guest[.tscOffset] = value &- clock.pointee.cycles
    case .constant, .nested: break
    }
    return true
  }
}
