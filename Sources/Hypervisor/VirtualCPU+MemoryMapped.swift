import NestedVMX
import Processor
import VMX
import X86

/// Accesses of memory that is no RAM: L0 performs the instruction that made them.
extension VirtualCPU {
  /// The memory of the guest that runs.
  var addressSpace: GuestAddressSpace {
    GuestAddressSpace(
      guest, ram: ram, board: devices.board, number: number, extended: vmx.extendedPagingOfL2,
      log: vmx.isInL2 ? vmx.pageModificationLog : nil, apic: vmx.apicPagesOfL2)
  }

  /// The guest met an address where ept01 maps nothing.
  mutating func emulateMemoryAccess() {
    let guest = guest
    let qualification = EPTViolationQualification(rawValue: guest[.exitQualification])
    let address = vmx.isInL2 ? vmx.faultingAddress.rawValue : guest[.guestPhysicalAddress]
    // A walk of paging structures that lie outside of memory, and the delivery of an event through tables that do, are
    // no accesses of an instruction; nor is there code in devices.
    guard !qualification.contains(.fetch), qualification.contains([.linearAddressValid, .finalTranslation]),
      !guest.vmcs.idtVectoringInformation.isValid
    else {
      outcome = outsideMemory(address)
      return
    }
    var emulator = InstructionEmulator(addressSpace)
    do throws(GuestFault) {
      try emulator.executeInstruction()
      emulateAPICWrite()
    } catch {
      take(error, address, emulator)
    }
    devices.noteAccess()
  }

  private mutating func take(_ fault: GuestFault, _ address: UInt64, _ emulator: InstructionEmulator) {
    guard !take(fault) else { return }
    switch fault {
    case .noCode(let place): outcome = outsideMemory(place.rawValue)
    case .notEmulated where beginDeviceStep(emulator.instruction): break
    default:
      outcome = .shutdown(
        sentence: "\(level.name) accessed a device at \(hexadecimal(address)) by the instruction "
          + "\(emulator.instruction.mnemonic) at RIP \(hexadecimal(guest[.guestRIP])), which L0 does not emulate "
          + "for devices")
    }
  }
}
