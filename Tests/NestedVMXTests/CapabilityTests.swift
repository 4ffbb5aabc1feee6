import NestedVMX
import Testing
import VMX
import X86

@Suite("What L1 is offered")
struct CapabilityTests {
  let offered = VirtualCapabilities.offered(on: TestProcessor.capabilities)

  @Test func nothingBeyondTheProcessor() {
    var processor = TestProcessor.capabilities
    processor.secondaryProcessorBased = TestProcessor.msr(0, 2)
    let offered = VirtualCapabilities.offered(on: processor)
    #expect(offered.allows(SecondaryProcessorBasedControls.enableEPT))
    #expect(!offered.allows(SecondaryProcessorBasedControls.enableVPID))
    #expect(!offered.eptAndVPID.contains(.invvpid))
    // L0 does this itself where the processor has EPT.
    let ofL0: SecondaryProcessorBasedControls = [.enablePML, .eptViolationVE]
    for kind in ControlWordKind.allCases {
      let own = kind == .secondaryProcessorBased ? UInt64(ofL0.rawValue) : 0
      #expect(offered.capability(of: kind).allowed1 & ~processor.capability(of: kind).allowed1 == own)
    }
  }

  @Test func allowedSettingsAreConsistent() {
    for kind in ControlWordKind.allCases {
      let capability = offered.capability(of: kind)
      #expect(capability.allowed0 & ~capability.allowed1 == 0)
    }
  }

  @Test func everyFieldThatL1HasHasARule() {
    for position in 0..<VMCSField.count {
      let field = VMCSField.rows[position].field
      guard field.exists(on: offered), field.area != .readOnlyData else { continue }
      if case .absent = MergeRow.rule(for: field) {
        #expect(field == .executiveVMCSPointer, "L1 has \(field.name) but vmcs02 has no rule for it")
      }
    }
  }

  @Test func offeredControlsAreMerged() {
    for kind in [ControlWordKind.pinBased, .primaryProcessorBased, .secondaryProcessorBased] {
      let capability = offered.capability(of: kind)
      let optional = capability.allowed1 & ~capability.allowed0
      #expect(optional & ~ControlMerge(of: kind).coveredBits == 0, "a control that L1 may set has no rule")
    }
  }

  @Test func notOffered() {
    #expect(!offered.allows(PrimaryProcessorBasedControls.activateTertiaryControls))
    #expect(!offered.basic.hasDualMonitorTreatment)
    #expect(offered.value(ofMSR: 0x491) == 1, "EPTP switching")
  }

  @Test func revisionAndEnumeration() {
    #expect(offered.basic.revision == VirtualCapabilities.revision)
    #expect(offered.basic.regionSize == 4096)
    #expect(offered.vmcsEnumeration >> 1 >= 0x16, "GUEST_IA32_SYSENTER_EIP and HOST_RIP have index 13 and 11")
  }
}
