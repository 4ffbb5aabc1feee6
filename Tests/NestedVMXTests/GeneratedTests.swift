import NestedVMX
import Testing
import VMX
import X86

/// What follows from the tables of capabilities and of exit routing, checked for every entry of them.
@Suite("Generated from the tables")
struct GeneratedTests {
  static let words: [ControlWordKind] = [
    .pinBased, .primaryProcessorBased, .secondaryProcessorBased, .exit, .entry,
  ]

  /// SDM, "Checks on VMX Controls": a reserved control must have the setting that its capability MSR allows.
  @Test(arguments: words) func reservedControlsFailTheEntry(kind: ControlWordKind) throws {
    let machine = try TestMachine()
    machine.prepareVMCS12()
    let capability = machine.vmx.capabilities.capability(of: kind)
    let word = machine.vmcs12[kind.field]
    for bit: UInt64 in 0..<32 {
      let mask: UInt64 = 1 << bit
      let forbidden: UInt64? =
        capability.allowed1 & mask == 0 ? word | mask : capability.allowed0 & mask != 0 ? word & ~mask : nil
      guard let forbidden else { continue }
      machine.vmcs12[kind.field] = forbidden
      #expect(
        machine.execute(.vmlaunch) == .failValid(.entryInvalidControlFields),
        "bit \(bit) of \(kind.field.name)")
    }
    machine.vmcs12[kind.field] = word
    #expect(machine.execute(.vmlaunch) == .enterL2(loadMSRs: .none))
  }

  /// The controls under which a row of the routing table is asked, and whether L1 then wants the exit.
  private struct Setting {
    var pin: PinBasedControls = []
    var primary: PrimaryProcessorBasedControls = []
    var secondary: SecondaryProcessorBasedControls = []
    var isWanted = false
  }

  private func settings(of interest: L1Interest) -> [Setting] {
    switch interest {
    case .always: [Setting(isWanted: true)]
    case .never: [Setting()]
    case .pin(let pin): [Setting(), Setting(pin: pin, isWanted: true)]
    case .primary(let primary): [Setting(), Setting(primary: primary, isWanted: true)]
    case .secondary(let secondary): [Setting(), Setting(secondary: secondary, isWanted: true)]
    case .either(let primary, let secondary):
      [
        Setting(), Setting(primary: primary, isWanted: true), Setting(secondary: secondary, isWanted: true),
      ]
    case .both(let primary, let secondary):
      [
        Setting(), Setting(primary: primary), Setting(secondary: secondary),
        Setting(primary: primary, secondary: secondary, isWanted: true),
      ]
    case .details: []
    }
  }

  /// Each exit of L2 goes where its row says under each setting of the controls that the row names, and L1 finds reason,
  /// qualification and L2's state.
  @Test func exitsAreRoutedAsTheTableSays() throws {
    for position in 0..<ExitRoute.count {
      let row = ExitRoute.row(at: position)
      if row.l0First != nil { continue }
      for setting in settings(of: row.l1) {
        let machine = try TestMachine()
        machine.launch()
        let vmcs12 = machine.vmcs12
        vmcs12.pinBasedControls = setting.pin
        vmcs12.primaryProcessorBasedControls = setting.primary.union(.activateSecondaryControls)
        vmcs12.secondaryProcessorBasedControls = setting.secondary
        machine.vmx.vmcs02[.guestRIP] = 0x1234
        let route = machine.exitL2(row.reason, qualification: 0x55)
        guard setting.isWanted else {
          #expect(route == .keptByL0(row.otherwise), "\(row.reason.name)")
          continue
        }
        guard case .reflectedToL1(let exit) = route else {
          Issue.record("\(row.reason.name) is kept")
          continue
        }
        _ = machine.vmx.reflect(exit)
        #expect(!machine.isInL2)
        #expect(machine.vmcs01[.guestRIP] == 0x7000, "the host's RIP")
        #expect(machine.vmread(.exitReason) & 0xFFFF == UInt64(row.reason.rawValue))
        if !exit.reason.isEntryFailure {
          #expect(machine.vmread(.exitQualification) == 0x55 && machine.vmread(.guestRIP) == 0x1234)
        }
      }
    }
  }
}
