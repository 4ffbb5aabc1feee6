import NestedVMX
import Processor
import VMX
import X86

/// INS and OUTS, whose memory operand may be RAM or a device.
///
/// Source: SDM volume 2, "INS/INSB/INSW/INSD—Input from Port to String" and its counterpart OUTS.
extension VirtualCPU {
  /// The elements moved per exit at the most; a longer REP exits again.
  private static var elementLimit: UInt64 { 4096 }

  mutating func emulateStringIO(_ access: IOQualification) {
    var operation = StringOperation(access, of: guest)
    let space = addressSpace
    var moved: UInt64 = 0
    // A trap behind each element: of a single step, and of an I/O breakpoint.
    let isTrapped = guest.isSingleStepping || guest.portBreakpoints(access) != []
    let limit = isTrapped ? 1 : Self.elementLimit
    while operation.remaining > 0, moved < limit {
      do throws(GuestFault) {
        try move(operation, access, space)
      } catch {
        operation.writeBack(to: guest)
        take(error)
        return
      }
      operation.advance()
      moved &+= 1
    }
    operation.writeBack(to: guest)
    if moved > 0 { guest.notePortBreakpoints(access) }
    if operation.remaining == 0 {
      guest.completeInstruction()
    } else if isTrapped {
      guest.trapBetweenElements()
    }
    // With elements left RIP stays, and the instruction exits again.
  }

  /// Moves one element between the port and memory; a port is not read for what cannot be stored.
  private func move(
    _ operation: StringOperation, _ access: IOQualification, _ space: GuestAddressSpace
  ) throws(GuestFault) {
    let ports = devices.board.ports
    guard access.isIn else {
      let value = try space.load(operation.linear, size: access.size)
      ports.write(UInt32(truncatingIfNeeded: value), to: access.port, size: access.size)
      return
    }
    try space.probe(operation.linear, size: access.size, .write)
    let value = ports.read(access.port, size: access.size)
    try space.store(UInt64(value), at: operation.linear, size: access.size)
  }

  /// Gives the guest the exception of `fault`, or L1 the exit.
  mutating func take(_ fault: GuestFault) {
    guard !guest.raise(fault), case .extended(let fault, let address, let linear, let isFinal) = fault else {
      return
    }
    reflect(vmx.extendedFault(fault, at: address, linear: linear, isFinal: isFinal))
  }
}

/// The registers of a string instruction: which element is next, and how many there are.
struct StringOperation {
  /// RSI for OUTS, RDI for INS.
  private let indexRegister: GeneralRegister
  private let isREP: Bool
  /// The bits of the index and count registers that the address size uses.
  private let mask: UInt64
  private let step: UInt64
  private let base: UInt64
  private var index: UInt64
  private(set) var remaining: UInt64

  init(_ access: IOQualification, of guest: RunningGuest) {
    let information = ExitInstructionInformation(
      rawValue: UInt32(truncatingIfNeeded: guest[.exitInstructionInformation]))
    switch information.addressSize {
    case 2: mask = 0xFFFF
    case 4: mask = 0xFFFF_FFFF
    default: mask = .max
    }
    indexRegister = access.isIn ? .rdi : .rsi
    isREP = access.isREP
    index = guest[indexRegister] & mask
    base = guest[.guestLinearAddress] &- index
    remaining = isREP ? guest[.rcx] & mask : 1
    let size = UInt64(access.size)
    step = RFLAGS(rawValue: guest[.guestRFLAGS]).contains(.df) ? 0 &- size : size
  }

  /// The linear address of the next element.
  var linear: UInt64 { base &+ index }

  mutating func advance() {
    index = (index &+ step) & mask
    remaining &-= 1
  }

  /// Stores the registers as the instruction leaves them after the elements so far.
  func writeBack(to guest: RunningGuest) {
    guest[indexRegister] = written(index, over: guest[indexRegister])
    if isREP { guest[.rcx] = written(remaining, over: guest[.rcx]) }
  }

  /// A write of 32 bits clears the upper half, one of 16 bits keeps the rest.
  private func written(_ value: UInt64, over old: UInt64) -> UInt64 {
    mask == 0xFFFF ? old & ~mask | value : value
  }
}
