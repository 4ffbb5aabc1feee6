import NestedVMX
import Testing
import VMX
import X86

/// What the VMCS access models but `off` and `hardware` let through, and what L0 is counted to copy.
@Suite("VMCS access models")
struct AccessModelTests {
  private static func entered(_ model: VMCSAccessModel) throws -> TestMachine {
    let machine = try TestMachine(policy: NestedPolicy(vmcsAccess: model))
    machine.prepareVMCS12()
    machine.syncShadow()
    #expect(machine.execute(.vmlaunch) == .enterL2(loadMSRs: .none))
    return machine
  }

  private static func shadow(_ machine: TestMachine) throws -> VMCS {
    let pointer = try #require(
      machine.pages.pointer(to: PhysicalAddress(machine.vmcs01[.vmcsLinkPointer])))
    return VMCS(region: pointer)
  }

  @Test(arguments: [VMCSAccessModel.ideal, .enlightened, .direct])
  func everyFieldOfL1IsReached(_ model: VMCSAccessModel) throws {
    let machine = try TestMachine(policy: NestedPolicy(vmcsAccess: model))
    machine.enterVMX()
    let bitmap = try #require(machine.pages.pointer(to: PhysicalAddress(machine.vmcs01[.vmreadBitmap])))
    for row in 0..<VMCSField.count {
      let field = VMCSField.rows[row].field
      let position = try #require(VMCSShadowingBitmap.position(of: UInt64(field.rawValue)))
      let exits = bitmap.load(fromByteOffset: Int(position.offset), as: UInt8.self) & position.mask != 0
      #expect(exits == !machine.vmx.hasField(field), "\(field.name)")
    }
  }

  @Test(arguments: [VMCSAccessModel.ideal, .direct])
  func nothingIsCopied(_ model: VMCSAccessModel) throws {
    let machine = try Self.entered(model)
    let before = machine.vmx.sync
    _ = machine.reflectFromL2(.cpuid)
    try Self.shadow(machine)[.hostRIP] = 0x1234
    #expect(machine.execute(.vmresume) == .enterL2(loadMSRs: .none))
    #expect(machine.vmx.sync == before)
    #expect(machine.vmcs12[.hostRIP] == 0x1234)
  }

  /// L0 copies guest state and exit information to L1 at an exit, and back the groups that L1 wrote.
  @Test func enlightenedCopiesTheGroupsThatL1Wrote() throws {
    let machine = try Self.entered(.enlightened)
    func fieldsCopied(by write: (VMCS) -> Void) throws -> UInt64 {
      _ = machine.reflectFromL2(.cpuid)
      write(try Self.shadow(machine))
      let before = machine.vmx.sync.fieldsFromShadow
      #expect(machine.execute(.vmresume) == .enterL2(loadMSRs: .none))
      return machine.vmx.sync.fieldsFromShadow - before
    }
    let clean = try fieldsCopied { _ in }
    // The bitmaps' group has two fields, and that of guest RSP, RFLAGS and interruptibility three.
    #expect(try fieldsCopied { $0[.ioBitmapA] = 0x5000 } == clean + 2)
    #expect(try fieldsCopied { $0[.guestRFLAGS] |= 1 } == clean + 3)
    #expect(try fieldsCopied { $0[.guestRIP] = 0x7000 } == clean, "no clean bit covers guest RIP")
    #expect(machine.vmcs12[.ioBitmapA] == 0x5000)
    #expect(machine.vmx.vmcs02[.guestRIP] == 0x7000)
  }

  @Test func everyControlFieldOfTheTableHasItsGroupOnce() {
    var seen: Set<VMCSField> = []
    for row in 0..<VMCSField.count {
      let field = VMCSField.rows[row].field
      if CleanFieldGroup.group(of: field) != .always { seen.insert(field) }
    }
    #expect(CleanFieldGroup.group(of: .guestESBase) == .guestGroup2)
    #expect(CleanFieldGroup.group(of: .guestPAT) == .guestGroup1)
    #expect(CleanFieldGroup.group(of: .hostRIP) == .hostGroup1)
    #expect(CleanFieldGroup.group(of: .hostRSP) == .hostPointers)
    #expect(CleanFieldGroup.group(of: .exitMSRLoadAddress) == .always)
    #expect(seen.count > 80)
  }

  /// The policy's own list of fields is what does not exit.
  @Test func hardwareTakesThePolicysFields() throws {
    var fields = ShadowedFieldSet()
    fields.insert(.guestRIP, writable: true)
    fields.insert(.exitReason)
    let machine = try TestMachine(policy: NestedPolicy(vmcsAccess: .hardware, shadowedFields: fields))
    machine.prepareVMCS12()
    machine.syncShadow()
    machine.execute(.vmlaunch)
    let before = machine.vmx.sync
    _ = machine.reflectFromL2(.cpuid)
    machine.execute(.vmresume)
    #expect(machine.vmx.sync.fieldsToShadow - before.fieldsToShadow == 2)
    #expect(machine.vmx.sync.fieldsFromShadow - before.fieldsFromShadow == 1)
  }
}
