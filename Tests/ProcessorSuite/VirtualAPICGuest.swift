import GuestMemory
import SoftwareProcessor
import Testing
import VMX
import X86

/// A guest with a virtual-APIC page and an APIC-access page, which RAX points to.
struct VirtualAPICGuest {
  static let virtualAPIC: UInt64 = 0x20_0000
  static let apicAccess: UInt64 = 0x20_1000
  static let descriptor: UInt64 = 0x20_2000
  static let notification: UInt64 = 0xF2
  /// `vmcall`, by which the code of these tests ends.
  static let end: [UInt8] = [0x0F, 0x01, 0xC1]

  let guest: SystemGuest

  init(
    _ code: [UInt8], _ secondary: SecondaryProcessorBasedControls, tprShadow: Bool = true, ept: Bool = false
  ) throws {
    guest = try SystemGuest(code + Self.end)
    if ept { guest.enableEPT() }
    guest.enable(.externalInterruptExiting)
    if tprShadow { guest.enable(.useTPRShadow) }
    guest.enable(secondary)
    vmcs[.virtualAPICAddress] = Self.virtualAPIC
    vmcs[.apicAccessAddress] = Self.apicAccess
    guest.registers.pointee.rax = Self.apicAccess
    for vector: UInt64 in [0x51, 0x52, 0x61] { guest.setGate(vector, to: Place.handler) }
  }

  var vmcs: VMCS { guest.vmcs }
  var registers: UnsafeMutablePointer<RegisterFile> { guest.registers }

  /// The 32-bit register at `offset` of the virtual-APIC page.
  subscript(offset: UInt64) -> UInt32 {
    get { UInt32(truncatingIfNeeded: guest[Self.virtualAPIC + offset]) }
    nonmutating set {
      let high = guest[Self.virtualAPIC + offset] & ~0xFFFF_FFFF
      guest[Self.virtualAPIC + offset] = high | UInt64(newValue)
    }
  }

  /// Whether `vector` is in the 256-bit register at `first`.
  func contains(_ vector: UInt8, in first: UInt64) -> Bool {
    self[VirtualAPICRegister.word(of: vector, from: first)] >> UInt32(vector & 31) & 1 != 0
  }

  func insert(_ vector: UInt8, into first: UInt64) {
    self[VirtualAPICRegister.word(of: vector, from: first)] |= 1 << UInt32(vector & 31)
  }

  func expectExit(
    _ reason: ExitReason, qualification: UInt64? = nil, sourceLocation: SourceLocation = #_sourceLocation
  ) {
    guest.expectExit(reason, sourceLocation: sourceLocation)
    if let qualification {
      #expect(vmcs[.exitQualification] == qualification, sourceLocation: sourceLocation)
    }
  }

  /// Expects that the guest reaches its `vmcall`.
  func expectEnd(sourceLocation: SourceLocation = #_sourceLocation) {
    expectExit(.vmcall, sourceLocation: sourceLocation)
  }

  func expectAPICAccess(
    _ access: APICAccessQualification.Access, _ offset: UInt16,
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    expectExit(
      .apicAccess, qualification: APICAccessQualification(access, offset: offset).rawValue,
      sourceLocation: sourceLocation)
  }
}

private typealias Place = SystemGuest.Place
