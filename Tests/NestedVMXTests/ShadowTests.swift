import NestedVMX
import Testing
import VMX
import X86

@Suite("VMCS shadowing for L1")
struct ShadowTests {
  let machine: TestMachine

  init() throws { machine = try TestMachine(policy: NestedPolicy(vmcsAccess: .hardware)) }

  private var shadow: VMCS? {
    machine.pages.pointer(to: PhysicalAddress(machine.vmcs01[.vmcsLinkPointer])).map { VMCS(region: $0) }
  }

  private func exits(_ field: VMCSField, _ bitmap: VMCSField) -> Bool? {
    guard let position = VMCSShadowingBitmap.position(of: UInt64(field.rawValue)),
      let bytes = machine.pages.pointer(to: PhysicalAddress(machine.vmcs01[bitmap]))
    else { return nil }
    return bytes.load(fromByteOffset: Int(position.offset), as: UInt8.self) & position.mask != 0
  }

  @Test func offNeverLinks() throws {
    let machine = try TestMachine()
    machine.enterVMX()
    #expect(!machine.isShadowing)
    #expect(machine.vmcs01[.vmcsLinkPointer] == .max)
    #expect(!machine.vmcs01.secondaryProcessorBasedControls.contains(.vmcsShadowing))
    #expect(machine.vmx.sync.shadowFills == 0)
  }

  @Test func processorWithoutShadowingNeverLinks() throws {
    var processor = TestProcessor.capabilities
    processor.secondaryProcessorBased = TestProcessor.msr(0, 0xFFFF_BFFF)
    let machine = try TestMachine(processor: processor, policy: NestedPolicy(vmcsAccess: .hardware))
    machine.enterVMX()
    #expect(!machine.isShadowing)
  }

  @Test func currentVMCSIsLinked() {
    #expect(!machine.isShadowing)
    machine.enterVMX()
    #expect(machine.isShadowing)
    #expect(machine.vmcs01.secondaryProcessorBasedControls.contains(.vmcsShadowing))
    #expect(shadow?.revision == 0x8000_0777, "the processor's revision, and the shadow-VMCS indicator")
    machine.execute(.vmclear, pointer: TestMachine.region)
    #expect(machine.vmcs01[.vmcsLinkPointer] == .max)
    #expect(!machine.vmcs01.secondaryProcessorBasedControls.contains(.vmcsShadowing))
  }

  @Test func bitmapsFollowTheList() {
    machine.enterVMX()
    #expect(exits(.exitReason, .vmreadBitmap) == false)
    #expect(exits(.exitReason, .vmwriteBitmap) == true)
    #expect(exits(.guestRIP, .vmreadBitmap) == false)
    #expect(exits(.guestRIP, .vmwriteBitmap) == false)
    #expect(exits(.hostRIP, .vmreadBitmap) == true)
    var open = 0
    for position in 0..<VMCSField.count where exits(VMCSField.rows[position].field, .vmreadBitmap) == false {
      open += 1
    }
    #expect(open == ShadowedFields.readable.count + ShadowedFields.writable.count)
  }

  @Test func listedFieldsAreDistinct() {
    var seen: Set<VMCSField> = []
    for position in 0..<ShadowedFields.readable.count { seen.insert(ShadowedFields.readable[position]) }
    for position in 0..<ShadowedFields.writable.count { seen.insert(ShadowedFields.writable[position]) }
    #expect(seen.count == ShadowedFields.readable.count + ShadowedFields.writable.count)
  }

  @Test func whatL1WritesInTheShadowIsEntered() {
    machine.prepareVMCS12()
    machine.syncShadow()
    shadow?[.guestRIP] = 0x12_3456
    let before = machine.vmx.sync
    machine.execute(.vmlaunch)
    #expect(machine.vmx.vmcs02[.guestRIP] == 0x12_3456)
    #expect(machine.vmx.sync.shadowDrains == before.shadowDrains + 1)
    #expect(
      machine.vmx.sync.fieldsFromShadow == before.fieldsFromShadow + UInt64(ShadowedFields.writable.count))
  }

  @Test func reflectedExitIsReadInTheShadow() {
    machine.prepareVMCS12()
    machine.syncShadow()
    machine.execute(.vmlaunch)
    machine.vmx.vmcs02[.guestRIP] = 0x77_0000
    machine.vmx.vmcs02[.exitInstructionLength] = 2
    let before = machine.vmx.sync
    _ = machine.reflectFromL2(.cpuid)
    #expect(shadow?[.exitReason] == 10)
    #expect(shadow?[.exitInstructionLength] == 2)
    #expect(shadow?[.guestRIP] == 0x77_0000)
    #expect(machine.vmx.sync.shadowFills == before.shadowFills + 1)
  }

  @Test func vmclearTakesTheShadowWithIt() {
    machine.enterVMX()
    shadow?[.guestRIP] = 0xABC
    machine.execute(.vmclear, pointer: TestMachine.region)
    machine.execute(.vmptrld, pointer: TestMachine.region)
    #expect(shadow?[.guestRIP] == 0xABC)
    #expect(machine.vmcs12[.guestRIP] == 0xABC)
  }

  @Test func vmptrldOfAnotherSwitchesTheShadow() {
    machine.enterVMX()
    shadow?[.guestRIP] = 0xABC
    machine.execute(.vmptrld, pointer: TestMachine.otherRegion)
    #expect(shadow?[.guestRIP] == 0)
    machine.execute(.vmptrld, pointer: TestMachine.region)
    #expect(shadow?[.guestRIP] == 0xABC)
  }

  @Test func emulatedWritesReachTheShadow() {
    machine.enterVMX()
    _ = machine.vmwrite(.exitReason, 5)
    #expect(shadow?[.exitReason] == 5, "VMWRITE of it exits, VMREAD does not")
    machine.execute(.vmcall)
    #expect(shadow?[.vmInstructionError] == 1)
  }

  @Test func sameResultsAsWithoutShadowing() throws {
    for policy in [VMCSAccessModel.off, .hardware] {
      let machine = try TestMachine(policy: NestedPolicy(vmcsAccess: policy))
      machine.prepareVMCS12()
      machine.syncShadow()
      #expect(machine.execute(.vmlaunch) == .enterL2(loadMSRs: .none))
      machine.vmx.vmcs02[.guestRIP] = 0x10_0002
      _ = machine.reflectFromL2(.cpuid)
      #expect(machine.vmread(.guestRIP) == 0x10_0002)
      #expect(machine.vmread(.exitReason) == 10)
    }
  }
}
