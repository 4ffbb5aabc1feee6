import Testing
import VMX

@Suite struct ControlWordTests {
  static func names<Word: ControlWord>(_ type: Word.Type) -> [(bit: UInt8, name: String)] {
    (0..<Word.controlCount).map { (Word.control(at: $0).bit, Word.control(at: $0).name.description) }
  }

  private func check<Word: ControlWord>(_ type: Word.Type) {
    let names = Self.names(type)
    #expect(names.map(\.bit) == names.map(\.bit).sorted())
    #expect(Set(names.map(\.bit)).count == names.count)
    #expect(Set(names.map(\.name)).count == names.count)
    for (bit, name) in names {
      #expect(Word.name(ofBit: bit)?.description == name)
      #expect(Word.kind.name(ofBit: bit)?.description == name)
      #expect(Word.all.contains(Word(rawValue: 1 << Word.RawValue(bit))))
    }
    #expect(Word.all.rawValue.nonzeroBitCount == names.count)
  }

  @Test func everyControlHasOneNameAndOneBit() {
    check(PinBasedControls.self)
    check(PrimaryProcessorBasedControls.self)
    check(SecondaryProcessorBasedControls.self)
    check(TertiaryProcessorBasedControls.self)
    check(PrimaryExitControls.self)
    check(SecondaryExitControls.self)
    check(EntryControls.self)
    check(VMFunctionControls.self)
  }

  /// Bits of the SDM's tables of controls.
  @Test func controlsAreAtTheBitsOfTheSDM() {
    #expect(PinBasedControls.name(ofBit: 6)?.description == "Activate VMX-preemption timer")
    #expect(PrimaryProcessorBasedControls.hltExiting.rawValue == 0x80)
    #expect(PrimaryProcessorBasedControls.useMSRBitmaps.rawValue == 0x1000_0000)
    #expect(SecondaryProcessorBasedControls.vmcsShadowing.rawValue == 0x4000)
    #expect(SecondaryProcessorBasedControls.unrestrictedGuest.rawValue == 0x80)
    #expect(SecondaryProcessorBasedControls.useTSCScaling.rawValue == 0x200_0000)
    #expect(PrimaryExitControls.hostAddressSpaceSize.rawValue == 0x200)
    #expect(PrimaryExitControls.acknowledgeInterruptOnExit.rawValue == 0x8000)
    #expect(EntryControls.ia32eModeGuest.rawValue == 0x200)
    #expect(EntryControls.loadEFER.rawValue == 0x8000)
    #expect(PinBasedControls.name(ofBit: 1) == nil)
    #expect(SecondaryProcessorBasedControls.name(ofBit: 29) == nil)
  }

  /// SDM volume 3, appendix "VMX Capability Reporting Facility".
  @Test func allowedSettingsDecideEveryControl() {
    let capability = ControlCapability(msr: 0x0000_00FF_0000_0016)
    #expect(capability.msr == 0x0000_00FF_0000_0016)
    #expect(capability.permits(0x16))
    #expect(capability.permits(0xFF))
    #expect(!capability.permits(0))
    #expect(!capability.permits(0x116))
    #expect(capability.missing(in: 0x4) == 0x12)
    #expect(capability.excess(in: 0x316) == 0x300)
    #expect(capability.violations(in: 0x304) == 0x312)
    #expect(capability.adjusted(0x308) == 0x1E)
    #expect(capability.adjusted(0) == 0x16)
    for word in UInt64(0)..<0x400 {
      #expect(capability.permits(capability.adjusted(word)))
      #expect(capability.permits(word) == (capability.adjusted(word) == word))
    }
  }

  @Test func trueMSRsDecideIfThereAreAny() {
    var capabilities = VMXCapabilities()
    capabilities.pinBased = 0x7F_0000_0016
    capabilities.truePinBased = 0x7F_0000_0000
    capabilities.basic = VMXBasicInformation(revision: 1, hasTrueControls: false)
    #expect(capabilities.capability(of: .pinBased).allowed0 == 0x16)
    #expect(capabilities.value(ofMSR: 0x48D) == nil)
    capabilities.basic = VMXBasicInformation(revision: 1)
    #expect(capabilities.capability(of: .pinBased).allowed0 == 0)
    #expect(capabilities.value(ofMSR: 0x48D) == 0x7F_0000_0000)
    #expect(capabilities.allows(PinBasedControls.nmiExiting))
    #expect(!capabilities.allows(PinBasedControls.processPostedInterrupts))
    #expect(capabilities.adjusted(PinBasedControls.all).rawValue == 0x69)
  }

  @Test func msrsExistWithTheControlsThatTheyReport() {
    var capabilities = VMXCapabilities()
    capabilities.basic = VMXBasicInformation(revision: 0x2A)
    capabilities.cr4Fixed1 = 0x1234
    #expect(capabilities.value(ofMSR: 0x480).map { $0 & 0x7FFF_FFFF } == 0x2A)
    #expect(capabilities.value(ofMSR: 0x489) == 0x1234)
    for index in UInt32(0x48B)...0x48C { #expect(capabilities.value(ofMSR: index) == nil) }
    for index in UInt32(0x491)...0x493 { #expect(capabilities.value(ofMSR: index) == nil) }
    #expect(capabilities.value(ofMSR: 0x47F) == nil)
    #expect(capabilities.value(ofMSR: 0x494) == nil)
    capabilities.truePrimaryProcessorBased = UInt64(PrimaryProcessorBasedControls.all.rawValue) << 32
    #expect(capabilities.value(ofMSR: 0x48B) != nil)
    #expect(capabilities.value(ofMSR: 0x492) != nil)
    #expect(capabilities.value(ofMSR: 0x48C) == nil)
    capabilities.secondaryProcessorBased = UInt64(SecondaryProcessorBasedControls.enableVPID.rawValue) << 32
    #expect(capabilities.value(ofMSR: 0x48C) != nil)
  }

  @Test func basicInformationIsLaidOutAsInTheSDM() {
    let basic = VMXBasicInformation(revision: 0xFFFF_FFFF)
    #expect(basic.revision == 0x7FFF_FFFF)
    #expect(basic.rawValue >> 31 & 1 == 0)
    #expect(basic.regionSize == 4096)
    #expect(basic.memoryType == 6)
    #expect(basic.reportsINSAndOUTSInformation && basic.hasTrueControls)
    #expect(!basic.limitsAddressesTo32Bits && !basic.hasDualMonitorTreatment && !basic.hasNestedExceptions)
    let miscellaneous = VMXMiscellaneousData(rawValue: 0x0004_C1E7)
    #expect(miscellaneous.preemptionTimerShift == 7)
    #expect(miscellaneous.storesLMA && miscellaneous.supportsHLTState && miscellaneous.supportsShutdownState)
    #expect(miscellaneous.cr3TargetCount == 4 && miscellaneous.greatestMSRListCount == 512)
    #expect(!miscellaneous.allowsWritingReadOnlyFields && !miscellaneous.allowsInstructionLengthZero)
  }

  @Test func controlsThatAreNotActivatedHaveNoEffect() {
    let vmcs = VMCS.allocate()
    defer { vmcs.deallocate() }
    vmcs.secondaryProcessorBasedControls = .enableEPT
    vmcs.tertiaryProcessorBasedControls = .enableHLAT
    vmcs.secondaryExitControls = .loadFRED
    #expect(vmcs.effectiveSecondaryControls == [] && vmcs.effectiveTertiaryControls == [])
    #expect(vmcs.effectiveSecondaryExitControls == [])
    vmcs.primaryProcessorBasedControls = [.activateSecondaryControls, .activateTertiaryControls]
    vmcs.exitControls = .activateSecondaryControls
    #expect(vmcs.effectiveSecondaryControls == .enableEPT && vmcs.effectiveTertiaryControls == .enableHLAT)
    #expect(vmcs.effectiveSecondaryExitControls == .loadFRED)
  }
}
