import NestedVMX
import Processor
import Translation
import VMX
import X86

/// INS and OUTS of L1, whose memory operand L0 reaches through L1's page tables.
///
/// Source: SDM volume 2, "INS/INSB/INSW/INSD—Input from Port to String" and its counterpart OUTS.
extension VirtualCPU {
  /// The elements moved per exit at the most; a longer REP exits again.
  private static var elementLimit: UInt64 { 4096 }

  mutating func emulateStringIO(_ access: IOQualification) {
    guard !vmx.isInL2 else {
      outcome = .shutdown(
        sentence: "L2 executed INS or OUTS at RIP \(hexadecimal(guest[.guestRIP])) for port "
          + "\(hexadecimal(UInt64(access.port))), which L1 leaves to L0; L0 emulates these for L1 only")
      return
    }
    var operation = StringOperation(access, of: guest)
    var moved: UInt64 = 0
    while operation.remaining > 0, moved < Self.elementLimit {
      do throws(StringFault) {
        try move(operation, access)
      } catch {
        operation.writeBack(to: guest)
        registers.pointee.cr2 = error.linear
        guest.raise(.pageFault, errorCode: error.code)
        return
      }
      operation.advance()
      moved &+= 1
    }
    operation.writeBack(to: guest)
    // With elements left RIP stays, and the instruction exits again.
    if operation.remaining == 0 { guest.completeInstruction() }
  }

  /// Moves one element between the port and memory.
  private func move(_ operation: StringOperation, _ access: IOQualification) throws(StringFault) {
    let size = UInt64(access.size)
    let kind: AccessKind = access.isIn ? .write : .read
    let first = try physical(operation.linear, kind)
    let room = 4096 &- operation.linear & 0xFFF
    let second = size > room ? try physical(operation.linear &+ room, kind) : first
    func place(_ position: UInt64) -> PhysicalAddress<L0>? {
      let address = position < room ? first + position : second + (position &- room)
      return ram.translate(address, count: 1)
    }
    work.pointee.memoryAccesses &+= 1
    if access.isIn {
      let value = devices.board.ports.read(access.port, size: access.size)
      for position in 0..<size {
        guard let place = place(position) else { continue }
        ram.memory.store(UInt8(truncatingIfNeeded: value >> (UInt32(position) &* 8)), at: place)
      }
      return
    }
    var value: UInt32 = 0
    for position in 0..<size {
      // What L1 has no memory for reads as ones.
      let byte = place(position).flatMap { ram.memory.load($0, as: UInt8.self) } ?? 0xFF
      value |= UInt32(byte) << (UInt32(position) &* 8)
    }
    devices.board.ports.write(value, to: access.port, size: access.size)
  }

  /// The L1-physical address of `linear`.
  private func physical(_ linear: UInt64, _ kind: AccessKind) throws(StringFault) -> PhysicalAddress<L1> {
    let guest = guest
    let isUser = guest.vmcs[.guestSSAccessRights] >> 5 & 3 == 3
    let obeysSMAP = !RFLAGS(rawValue: guest.vmcs[.guestRFLAGS]).contains(.ac)
    let access = LinearAccess(kind, isUser: isUser, obeysSMAP: obeysSMAP)
    do throws(LinearFault<Never>) {
      let paging = LinearPaging(
        ofGuestOf: guest.vmcs, physicalAddressWidth: L1RAM.physicalAddressWidth)
      let mapping = try paging.translate(linear, for: access, in: L1PageTables(memory: ram))
      work.pointee.memoryAccesses &+= UInt64(mapping.references)
      return mapping.address
    } catch {
      guard case .pageFault(let code) = error else { throw StringFault(linear: linear, code: 0) }
      throw StringFault(linear: linear, code: code.rawValue)
    }
  }
}

/// A page fault of INS or OUTS.
struct StringFault: Error {
  var linear: UInt64
  var code: UInt32
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
