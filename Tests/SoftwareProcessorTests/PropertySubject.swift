import GuestMemory
import Processor
import SoftwareProcessor
import Testing
import VMX
import X86

/// What is compared with the host's CPU: something that executes code at ``PropertyLayout/instruction``.
protocol PropertySubject: AnyObject {
  /// The pages of the data, in the order of their linear addresses.
  var dataPages: [UnsafeMutableRawPointer] { get }
  /// Executes `budget` instructions of `code`.
  func run(_ code: [UInt8], _ start: PropertyRegisters, budget: Int64) -> PropertyOutcome
}

/// What the last page of the data lets a case do.
enum PropertyLastPage: CaseIterable {
  case writable, readOnly, absent
}

/// The interpreter alone, without paging.
final class PropertyBareSubject: PropertySubject {
  private let processor: BareProcessor

  init(_ codeSize: BareProcessor.CodeSize) throws {
    processor = try #require(BareProcessor(memorySize: PropertyLayout.end, codeSize))
    processor.place([UInt8](repeating: 0xCC, count: 0x1000), at: PropertyLayout.code)
  }

  var dataPages: [UnsafeMutableRawPointer] {
    (0..<3).map { processor.memory.base + Int(PropertyLayout.data) + $0 * 0x1000 }
  }

  func run(_ code: [UInt8], _ start: PropertyRegisters, budget: Int64) -> PropertyOutcome {
    processor.place(code, at: PropertyLayout.instruction)
    for register in GeneralRegister.allCases {
      processor.registers[register] = start.general[Int(register.rawValue)]
    }
    processor.rflags = start.flags
    start.extended.bytes.withUnsafeBytes { processor.loadExtendedState($0) }
    processor.rip = start.rip
    let outcome = processor.run(budget)
    processor.place([UInt8](repeating: 0xCC, count: code.count), at: PropertyLayout.instruction)
    let general = GeneralRegister.allCases.map { processor.registers[$0] }
    var registers = PropertyRegisters(general: general, flags: processor.rflags, rip: processor.rip)
    registers.extended = PropertyExtendedState(filledBy: { processor.saveExtendedState(to: $0) })
    switch outcome {
    case .ran: return PropertyOutcome(registers: registers, vector: nil)
    case .exception(let vector):
      return PropertyOutcome(registers: registers, vector: vector?.rawValue ?? 0xFF)
    case .exit: return PropertyOutcome(registers: registers, vector: 0xFE)
    }
  }
}

/// A user-mode guest in VMX non-root operation with paging, whose data pages lie apart and out of order in its
/// physical memory, under EPT; exceptions exit.
final class PropertyGuestSubject: PropertySubject {
  private let guest: SystemGuest

  private enum Place {
    static let directory: UInt64 = 0x10_0000
    static let pageTable: UInt64 = 0x10_1000
    static let code: UInt64 = 0x10_2000
    static let data: [UInt64] = [0x12_5000, 0x11_1000, 0x18_3000]
  }

  init(_ lastPage: PropertyLastPage) throws {
    guest = try SystemGuest()
    guest.enterUserMode()
    guest.enableEPT()
    guest.vmcs[.exceptionBitmap] = 0xFFFF_FFFF
    guest.vmcs[.guestCR4] |= CR4([.osfxsr, .osxmmexcpt, .osxsave]).rawValue
    _ = guest.cpu.writeXCR0(ExtendedStateComponent.user)
    let user: UInt64 = 5
    let userWritable: UInt64 = 7
    // Linear 1000_0000H is entry 128 of the first page directory.
    guest[SystemGuest.Place.pd + 128 * 8] = Place.pageTable | userWritable
    func map(_ linear: UInt64, _ physical: UInt64) {
      guest[Place.pageTable + (linear >> 12 & 0x1FF) * 8] = physical
    }
    map(PropertyLayout.code, Place.code | user)
    map(PropertyLayout.data, Place.data[0] | userWritable)
    map(PropertyLayout.data + 0x1000, Place.data[1] | userWritable)
    switch lastPage {
    case .writable: map(PropertyLayout.data + 0x2000, Place.data[2] | userWritable)
    case .readOnly: map(PropertyLayout.data + 0x2000, Place.data[2] | user)
    case .absent: break
    }
  }

  var dataPages: [UnsafeMutableRawPointer] { Place.data.map { guest.memory.base + Int($0) } }

  func run(_ code: [UInt8], _ start: PropertyRegisters, budget: Int64) -> PropertyOutcome {
    let place = Place.code + PropertyLayout.instruction - PropertyLayout.code
    guest.place(code, at: place)
    for register in GeneralRegister.allCases {
      guest.registers[register] = start.general[Int(register.rawValue)]
    }
    guest.vmcs[.guestRSP] = start.general[Int(GeneralRegister.rsp.rawValue)]
    guest.vmcs[.guestRIP] = start.rip
    guest.vmcs[.guestRFLAGS] = start.flags
    start.extended.bytes.withUnsafeBytes { guest.cpu.loadExtendedState($0) }
    let outcome = guest.run(limit: UInt64(budget))
    guest.place([UInt8](repeating: 0xCC, count: code.count), at: place)
    var general = GeneralRegister.allCases.map { guest.registers[$0] }
    general[Int(GeneralRegister.rsp.rawValue)] = guest.vmcs[.guestRSP]
    var registers = PropertyRegisters(
      general: general, flags: guest.vmcs[.guestRFLAGS], rip: guest.vmcs[.guestRIP])
    registers.extended = PropertyExtendedState(filledBy: { guest.cpu.saveExtendedState(to: $0) })
    guard outcome != .stopped(.instructionLimit) else {
      return PropertyOutcome(registers: registers, vector: nil)
    }
    guard outcome == .exit(ExitReasonField(.exceptionOrNMI)) else {
      return PropertyOutcome(registers: registers, vector: 0xFE)
    }
    let vector = UInt8(truncatingIfNeeded: guest.vmcs[.exitInterruptionInformation])
    var result = PropertyOutcome(registers: registers, vector: vector)
    if vector == ExceptionVector.pageFault.rawValue {
      result.pageFault = PropertyPageFault(
        address: guest.vmcs[.exitQualification], errorCode: guest.vmcs[.exitInterruptionErrorCode])
    }
    return result
  }
}
