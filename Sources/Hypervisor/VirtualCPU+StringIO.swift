import NestedVMX
import Platform
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
    // Asked once, for each question copies the virtual CPU.
    let (guest, ports, space) = (guest, devices.board.ports, addressSpace)
    var operation = StringOperation(access, of: guest)
    var moved: UInt64 = 0
    let hasPortBreakpoint = guest.portBreakpoints(access) != []
    while operation.remaining > 0, moved < Self.elementLimit {
      // A trap comes behind each element.
      if moved > 0, hasPortBreakpoint || guest.stopsBetweenElements { break }
      do throws(GuestFault) {
        try operation.move(access, ports, space)
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
    } else if hasPortBreakpoint || guest.stopsBetweenElements {
      guest.trapBetweenElements()
    }
    // With elements left RIP stays, and the instruction exits again.
    emulateAPICWrite()
  }

  /// Gives the guest the exception of `fault`, or L1 the exit; false if it is neither.
  @discardableResult
  mutating func take(_ fault: GuestFault) -> Bool {
    switch fault {
    case .extended(let fault, let address, let linear, let translation):
      let exit = vmx.extendedFault(fault, at: address, linear: linear, translation: translation)
      if let exit { reflect(exit) }
    case .apicAccess(let access): reflect(vmx.apicAccess(access))
    default: return guest.raise(fault)
    }
    return true
  }

  /// Does what follows an instruction that has written to L2's virtual-APIC page.
  mutating func emulateAPICWrite() {
    let offset = work.pointee.apicWrite
    guard offset != RunningGuest.HandlerWork.noAPICWrite, vmx.isInL2 else { return }
    if let exit = vmx.emulateAPICWrite(at: UInt64(offset)) { reflect(exit) }
  }
}

/// The registers of a string instruction: which element is next, and how many there are.
struct StringOperation {
  /// The segment of the memory operand: ES for INS.
  let segment: SegmentRegister
  /// RSI for OUTS, RDI for INS.
  private let indexRegister: GeneralRegister
  private let isREP: Bool
  /// The bits of the index and count registers that the address size uses.
  private let mask: UInt64
  private let step: UInt64
  /// The offset of the next element.
  private(set) var index: UInt64
  private(set) var remaining: UInt64

  init(_ access: IOQualification, of guest: RunningGuest) {
    let information = ExitInstructionInformation(
      rawValue: UInt32(truncatingIfNeeded: guest[.exitInstructionInformation]))
    switch information.addressSize {
    case 2: mask = 0xFFFF
    case 4: mask = 0xFFFF_FFFF
    default: mask = .max
    }
    segment = access.isIn ? .es : information.segment
    indexRegister = access.isIn ? .rdi : .rsi
    isREP = access.isREP
    index = guest[indexRegister] & mask
    remaining = isREP ? guest[.rcx] & mask : 1
    let size = UInt64(access.size)
    step = RFLAGS(rawValue: guest[.guestRFLAGS]).contains(.df) ? 0 &- size : size
  }

  /// Moves one element between the port and memory; a port is not read for what cannot be stored.
  func move(_ access: IOQualification, _ ports: PortBus, _ space: GuestAddressSpace) throws(GuestFault) {
    let linear = try space.linear(
      segment, index, size: UInt64(access.size), access.isIn ? .write : .read)
    guard access.isIn else {
      let value = try space.load(linear, size: access.size)
      ports.write(UInt32(truncatingIfNeeded: value), to: access.port, size: access.size)
      return
    }
    try space.probe(linear, size: access.size, .write)
    let value = ports.read(access.port, size: access.size)
    try space.store(UInt64(value), at: linear, size: access.size)
  }

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
