import NestedVMX
import Processor
import VMX
import X86

/// IN, OUT, INS and OUTS.
extension VirtualCPU {
  mutating func emulateIO() {
    let guest = guest
    let access = IOQualification(rawValue: guest[.exitQualification])
    if access.isString {
      emulateStringIO(access)
      return devices.noteAccess()
    }
    if access.isIn {
      let value = UInt64(devices.board.ports.read(access.port, size: access.size))
      guest[.rax] = Self.merged(guest[.rax], value, size: access.size)
    } else {
      devices.board.ports.write(UInt32(truncatingIfNeeded: guest[.rax]), to: access.port, size: access.size)
    }
    guest.completeInstruction()
    guest.notePortBreakpoints(access)
    devices.noteAccess()
  }

  /// `register` after IN of `size` bytes: 8 and 16 bits leave the rest, 32 bits clear the upper half.
  static func merged(_ register: UInt64, _ value: UInt64, size: UInt8) -> UInt64 {
    switch size {
    case 1: register & ~0xFF | value & 0xFF
    case 2: register & ~0xFFFF | value & 0xFFFF
    default: value & 0xFFFF_FFFF
    }
  }
}
