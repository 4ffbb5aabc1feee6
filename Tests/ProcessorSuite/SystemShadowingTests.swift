import Processor
import SoftwareProcessor
import Testing
import VMX
import X86

private typealias Place = SystemGuest.Place

/// VMREAD and VMWRITE in VMX non-root operation under VMCS shadowing.
@Suite(.onTestedProcessor) struct SystemShadowingTests {
  private func guest(_ code: [UInt8]) throws -> (SystemGuest, VMCS) {
    let guest = try SystemGuest(code + [0xF4])
    guest.enable(.vmcsShadowing)
    let region = try #require(guest.memory.pointer(PhysicalAddress(Place.shadow), count: 4096))
    let shadow = VMCS(region: region)
    shadow.revision = guest.cpu.capabilities.basic.revision | 1 << 31
    guest.vmcs[.vmcsLinkPointer] = Place.shadow
    return (guest, shadow)
  }

  @Test func readsAndWritesWithoutAnExit() throws {
    // vmread rdx, rcx; vmwrite rbx, rdx
    let (guest, shadow) = try guest([0x0F, 0x78, 0xCA, 0x0F, 0x79, 0xDA])
    shadow[.guestRIP] = 0x1234_5678_9ABC
    guest.registers.pointee.rcx = UInt64(VMCSField.guestRIP.rawValue)
    guest.registers.pointee.rbx = UInt64(VMCSField.guestRSP.rawValue)
    guest.vmcs[.guestRFLAGS] = 0x8D7
    guest.expectExit(.hlt)
    #expect(guest.registers.pointee.rdx == 0x1234_5678_9ABC)
    #expect(shadow[.guestRSP] == 0x1234_5678_9ABC)
    #expect(guest.vmcs[.guestRFLAGS] == 2, "VMsucceed clears the status flags")
    #expect(guest.cpu.clock.pointee.instructions == 2)
  }

  @Test func bitmapsDecide() throws {
    let (guest, _) = try guest([0x0F, 0x78, 0xCA, 0x0F, 0x79, 0xCA])
    let encoding = UInt64(VMCSField.guestRIP.rawValue)
    guest.registers.pointee.rcx = encoding
    guest.place([1 << UInt8(encoding & 7)], at: Place.vmwriteBitmap + encoding / 8)
    guest.expectExit(.vmwrite)
    #expect(guest.vmcs[.guestRIP] == Place.code + 3)
    guest.place([1 << UInt8(encoding & 7)], at: Place.vmreadBitmap + encoding / 8)
    guest.vmcs[.guestRIP] = Place.code
    guest.expectExit(.vmread)
    guest.place([0], at: Place.vmreadBitmap + encoding / 8)
    guest.registers.pointee.rcx = encoding | 1 << 15
    guest.expectExit(.vmread)
  }

  @Test func failures() throws {
    let (guest, _) = try guest([0x0F, 0x78, 0xCA])
    guest.registers.pointee.rcx = 0x7FFE
    guest.registers.pointee.rdx = 99
    guest.expectExit(.hlt)
    #expect(guest.vmcs[.guestRFLAGS] == 0x42, "VMfailValid")
    #expect(guest.vmcs[.vmInstructionError] == 12, "the current VMCS is the guest's own")
    #expect(guest.registers.pointee.rdx == 99)
    guest.vmcs[.vmcsLinkPointer] = .max
    guest.vmcs[.guestRIP] = Place.code
    guest.expectExit(.hlt)
    #expect(guest.vmcs[.guestRFLAGS] == 0x03, "VMfailInvalid")
  }

  @Test func privilegeAndMemoryOperands() throws {
    let (user, _) = try guest([0x0F, 0x78, 0xCA])
    user.enterUserMode()
    user.vmcs[.exceptionBitmap] = 1 << 13
    user.expectExit(.exceptionOrNMI)

    // vmwrite rcx, [rax]; vmread [rax+8], rcx: the high half of a 64-bit field
    let (guest, shadow) = try guest([0x0F, 0x79, 0x08, 0x0F, 0x78, 0x48, 0x08])
    guest.registers.pointee.rax = Place.data
    guest.registers.pointee.rcx = UInt64(VMCSField.tscOffset.rawValue | 1)
    guest[Place.data] = 0x1111_2222_3333_4444
    shadow[.tscOffset] = 0x5555_6666_7777_8888
    guest.expectExit(.hlt)
    #expect(shadow[.tscOffset] == 0x3333_4444_7777_8888)
    #expect(guest[Place.data + 8] == 0x3333_4444)
  }
}
