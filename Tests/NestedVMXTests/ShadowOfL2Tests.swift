import NestedVMX
import Testing
import VMX
import X86

/// VMCS shadowing that L1 uses for L2.
@Suite("VMCS shadowing for L2")
struct ShadowOfL2Tests {
  static let vmreadBitmap: UInt64 = 0x4_1000
  static let vmwriteBitmap: UInt64 = 0x4_2000

  let machine: TestMachine

  init() throws {
    machine = try TestMachine()
    machine.prepareVMCS12()
    machine.memory[TestMachine.otherRegion] = UInt64(VirtualCapabilities.revision) | 1 << 31
    machine.vmcs12.secondaryProcessorBasedControls.insert(.vmcsShadowing)
    machine.vmcs12[.vmreadBitmap] = Self.vmreadBitmap
    machine.vmcs12[.vmwriteBitmap] = Self.vmwriteBitmap
    machine.vmcs12[.vmcsLinkPointer] = TestMachine.otherRegion
  }

  /// What vmcs02 links to.
  private var shadow02: VMCS? {
    machine.pages.pointer(to: PhysicalAddress(machine.vmx.vmcs02[.vmcsLinkPointer])).map { VMCS(region: $0) }
  }

  /// The shadow VMCS of L1.
  private var shadow12: VMCS { VMCS(region: machine.memory.bytes + Int(TestMachine.otherRegion)) }

  private func isOpen(_ encoding: UInt32, in bitmap: VMCSField) -> Bool {
    guard let bytes = machine.pages.pointer(to: PhysicalAddress(machine.vmx.vmcs02[bitmap])) else {
      return false
    }
    return bytes.load(fromByteOffset: Int(encoding / 8), as: UInt8.self) >> (encoding & 7) & 1 == 0
  }

  private func close(_ field: VMCSField, in bitmap: UInt64) {
    let byte = machine.memory.bytes + Int(bitmap) + Int(field.rawValue / 8)
    byte.storeBytes(of: byte.load(as: UInt8.self) | 1 << UInt8(field.rawValue & 7), as: UInt8.self)
  }

  /// L2 exits by VMREAD or VMWRITE of the field in RAX.
  private func exit(_ reason: ExitReason, field: UInt64) -> Route {
    machine.registers[.rax] = field
    machine.vmx.vmcs02[.exitInstructionInformation] = UInt64(
      ExitInstructionInformation(register: .rcx).withSecondRegister(.rax).rawValue)
    machine.vmx.vmcs02[.exitInstructionLength] = 3
    return machine.exitL2(reason)
  }

  @Test func valuesGoToL2AndBack() {
    shadow12[.guestRIP] = 0x1234
    shadow12[.guestRSP] = 0x5678
    close(.guestRSP, in: Self.vmwriteBitmap)
    #expect(machine.execute(.vmlaunch) == .enterL2(loadMSRs: .none))
    #expect(machine.vmx.vmcs02.secondaryProcessorBasedControls.contains(.vmcsShadowing))
    guard let shadow02 else {
      Issue.record("no shadow VMCS")
      return
    }
    #expect(shadow02.revision == TestProcessor.capabilities.basic.revision | 1 << 31)
    #expect(shadow02[.guestRIP] == 0x1234 && shadow02[.guestRSP] == 0x5678)
    shadow02[.guestRIP] = 0x9999
    shadow02[.guestRSP] = 0x8888
    _ = machine.reflectFromL2(.cpuid)
    #expect(shadow12[.guestRIP] == 0x9999)
    #expect(shadow12[.guestRSP] == 0x5678, "not open for VMWRITE")
    #expect(shadow12.revision == VirtualCapabilities.revision | 1 << 31)
  }

  @Test func bitmapsAreL1sForTheFieldsThatItHas() {
    close(.guestRIP, in: Self.vmreadBitmap)
    machine.execute(.vmlaunch)
    #expect(!isOpen(VMCSField.guestRIP.rawValue, in: .vmreadBitmap))
    #expect(isOpen(VMCSField.guestRIP.rawValue, in: .vmwriteBitmap))
    #expect(isOpen(VMCSField.tscOffset.rawValue | 1, in: .vmreadBitmap), "the high half")
    #expect(!isOpen(VMCSField.hlatPointer.rawValue, in: .vmreadBitmap), "a field that L1's VMCS lacks")
    #expect(exit(.vmread, field: UInt64(VMCSField.guestRIP.rawValue)).isForL1)
    #expect(exit(.vmwrite, field: 1 << 15).isForL1, "bits 63:15 are never let through")
  }

  @Test func fieldsThatL1LacksFail() {
    machine.execute(.vmlaunch)
    let vmcs02 = machine.vmx.vmcs02
    let rip = vmcs02[.guestRIP]
    #expect(exit(.vmread, field: UInt64(VMCSField.hlatPointer.rawValue)) == .keptByL0(.vmxInstruction))
    #expect(machine.vmx.execute(.vmread) == .failValid(.unsupportedComponent))
    #expect(vmcs02[.guestRFLAGS] & 0x8D5 == 0x40)
    #expect(vmcs02[.guestRIP] == rip + 3)
    #expect(machine.vmcs12[.vmInstructionError] == 12)
    vmcs02[.guestSSAccessRights] = 0xC0F3
    #expect(
      machine.vmx.execute(.vmread) == .fault(InstructionFault(vector: .generalProtection, errorCode: 0)))
    #expect(vmcs02.entryInterruptionInformation.isValid)
  }

  @Test func withoutAShadowVMCSEveryAccessFails() {
    machine.vmcs12[.vmcsLinkPointer] = .max
    machine.execute(.vmlaunch)
    let vmcs02 = machine.vmx.vmcs02
    #expect(vmcs02[.vmcsLinkPointer] == .max)
    #expect(isOpen(VMCSField.guestRIP.rawValue, in: .vmreadBitmap))
    #expect(exit(.vmwrite, field: UInt64(VMCSField.hlatPointer.rawValue)) == .keptByL0(.vmxInstruction))
    #expect(machine.vmx.execute(.vmwrite) == .failInvalid)
    #expect(vmcs02[.guestRFLAGS] & 0x8D5 == 1)
  }

  /// SDM, "VMLAUNCH/VMRESUME—Launch/Resume Virtual Machine": the current VMCS must not be a shadow VMCS.
  @Test func shadowVMCSCanBeLoadedButNotEntered() {
    #expect(machine.execute(.vmptrld, pointer: TestMachine.otherRegion) == .succeeded)
    #expect(machine.execute(.vmlaunch) == .failInvalid)
    #expect(machine.vmwrite(.guestRIP, 5) == .succeeded)
    machine.execute(.vmclear, pointer: TestMachine.otherRegion)
    #expect(shadow12[.guestRIP] == 5)
    #expect(shadow12.revision == VirtualCapabilities.revision | 1 << 31)
  }
}

extension Route {
  fileprivate var isForL1: Bool {
    if case .reflectedToL1 = self { true } else { false }
  }
}
