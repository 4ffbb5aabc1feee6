import EntryCases
import EntryChecks
import Hypervisor
import NestedRig
import Testing
import VMX
import X86

/// Each check on VM entry violated alone, by a VMCS that L1 launches through the whole of L0.
@Suite("Entry checks through L0")
struct EntryCheckConformanceTests {
  /// Why L1 cannot violate a check alone here.
  enum Obstacle: Equatable {
    /// It is about a control that L0 does not offer.
    case notOffered(ControlWordKind, mask: UInt64)
    /// It is about system-management mode, which no virtual CPU enters.
    case noSMM
    /// It is about a bit of CR4 that no model here has.
    case noCR4(CR4)
    /// L0 offers what the check forbids on a processor without it.
    case offered(EPTAndVPIDCapability)

    static func control<Word: ControlWord>(_ word: Word) -> Obstacle {
      .notOffered(Word.kind, mask: UInt64(word.rawValue))
    }

    /// Whether it stands: it must fall as soon as L0 offers what is missing.
    var stands: Bool {
      switch self {
      case .notOffered(let kind, let mask): Rig.offered.capability(of: kind).allowed1 & mask == 0
      case .noSMM: true
      case .noCR4(let bit): Rig.offered.cr4Fixed1 & bit.rawValue == 0
      case .offered(let capability): Rig.offered.eptAndVPID.isSuperset(of: capability)
      }
    }
  }

  /// The checks that L1 cannot violate alone, and why.
  static let unreachable: [String: Obstacle] = [
    "Intel PT with guest-physical addresses needs EPT": .control(
      SecondaryProcessorBasedControls.ptUsesGuestPhysicalAddresses),
    "Intel PT with guest-physical addresses needs its control register loaded": .control(
      SecondaryProcessorBasedControls.ptUsesGuestPhysicalAddresses),
    "Intel PT with guest-physical addresses needs its control register cleared": .control(
      SecondaryProcessorBasedControls.ptUsesGuestPhysicalAddresses),
    "Sub-page write permissions needs EPT": .control(
      SecondaryProcessorBasedControls.subPageWritePermissionsForEPT),
    "Sub-page-permission-table pointer is aligned": .control(
      SecondaryProcessorBasedControls.subPageWritePermissionsForEPT),
    "Sub-page-permission-table pointer is within the physical-address width": .control(
      SecondaryProcessorBasedControls.subPageWritePermissionsForEPT),
    "Low PASID directory address is aligned": .control(SecondaryProcessorBasedControls.pasidTranslation),
    "Low PASID directory address is within the physical-address width": .control(
      SecondaryProcessorBasedControls.pasidTranslation),
    "High PASID directory address is aligned": .control(SecondaryProcessorBasedControls.pasidTranslation),
    "High PASID directory address is within the physical-address width": .control(
      SecondaryProcessorBasedControls.pasidTranslation),
    "Tertiary processor-based controls are allowed": .control(
      PrimaryProcessorBasedControls.activateTertiaryControls),
    "IPI virtualization needs the TPR shadow": .control(
      PrimaryProcessorBasedControls.activateTertiaryControls),
    "PID-pointer table address is aligned": .control(PrimaryProcessorBasedControls.activateTertiaryControls),
    "PID-pointer table is within the physical-address width": .control(
      PrimaryProcessorBasedControls.activateTertiaryControls),
    "HLAT needs EPT": .control(PrimaryProcessorBasedControls.activateTertiaryControls),
    "HLAT pointer has no reserved bits": .control(PrimaryProcessorBasedControls.activateTertiaryControls),
    "EPT paging-write control needs EPT": .control(PrimaryProcessorBasedControls.activateTertiaryControls),
    "Guest-paging verification needs EPT": .control(PrimaryProcessorBasedControls.activateTertiaryControls),
    "Secondary VM-exit controls are allowed": .control(PrimaryExitControls.activateSecondaryControls),
    "Host IA32_PERF_GLOBAL_CTRL has no reserved bits": .control(PrimaryExitControls.loadPerfGlobalCtrl),
    "Guest IA32_PERF_GLOBAL_CTRL has no reserved bits": .control(EntryControls.loadPerfGlobalCtrl),
    "Host IA32_PKRS has 32 bits": .control(PrimaryExitControls.loadPKRS),
    "Guest IA32_PKRS has 32 bits": .control(EntryControls.loadPKRS),
    "Host IA32_S_CET is possible": .control(PrimaryExitControls.loadCETState),
    "Host SSP is possible": .control(PrimaryExitControls.loadCETState),
    "Host IA32_INTERRUPT_SSP_TABLE_ADDR is canonical": .control(PrimaryExitControls.loadCETState),
    "Guest IA32_S_CET is possible": .control(EntryControls.loadCETState),
    "Guest SSP is possible": .control(EntryControls.loadCETState),
    "Guest IA32_INTERRUPT_SSP_TABLE_ADDR is canonical": .control(EntryControls.loadCETState),
    "Host CR4.CET needs CR0.WP": .noCR4(.cet),
    "Guest CR4.CET needs CR0.WP": .noCR4(.cet),
    "Guest IA32_BNDCFGS is possible": .control(EntryControls.loadBndcfgs),
    "Guest UINV is a vector": .control(EntryControls.loadUINV),
    "EPT accessed and dirty flags are supported": .offered(.accessedAndDirtyFlags),
    "Dual-monitor treatment is deactivated in SMM alone": .control(
      EntryControls.deactivateDualMonitorTreatment),
    "Entry to SMM does not deactivate dual-monitor treatment": .control(
      EntryControls.deactivateDualMonitorTreatment),
    "SMM is entered from SMM alone": .noSMM,
    "Entry to SMM is not to the wait-for-SIPI state": .noSMM,
    "Entry to SMM blocks SMIs": .noSMM,
  ]

  /// A case as a VMCS of L1: violating nothing, or also what it is for.
  struct Prepared {
    let machine: EntryMachine
    var is64BitL1: Bool { machine.environment.isInIA32eMode }

    init(_ test: EntryCase, isChanged: Bool) {
      machine = EntryMachine(capabilities: Rig.offered, definedPerfGlobalCtrl: 0)
      let link = machine.vmcs[.vmcsLinkPointer]
      RigVMCS.writeAddresses(machine.vmcs)
      machine.vmcs[.vmcsLinkPointer] = link
      machine.vmcs[.guestRIP] = RigPlace.l2Code
      machine.vmcs[.guestRSP] = RigPlace.l2Stack
      machine.vmcs[.guestCR3] = RigPlace.pageTables
      RigVMCS.writeHost(machine.vmcs, is64Bit: true)
      test.prepare(machine)
      if !machine.environment.isInIA32eMode { RigVMCS.writeHost(machine.vmcs, is64Bit: false) }
      if isChanged { test.change(machine) }
      if machine.environment.currentVMCSPointer != nil { linkToItself() }
    }

    /// The address of L1's VMCS is the rig's.
    private func linkToItself() {
      machine.environment.currentVMCSPointer = RigPlace.vmcs12
      machine.vmcs[.vmcsLinkPointer] = RigPlace.vmcs12
      machine.vmcs.secondaryProcessorBasedControls.remove(.vmcsShadowing)
      machine.memory[RigPlace.vmcs12] = machine.revision
    }

    /// What L1 launches.
    func rigCase(_ name: String) -> RigCase {
      let copy = VMCSCopy(machine.vmcs)
      let memory = machine.memory
      let revision = UInt32(truncatingIfNeeded: machine.revision)
      return RigCase(name) { vmcs, rig in
        copy.write(vmcs)
        vmcs.revision = revision
        // IA32_STAR and IA32_LSTAR, for the lists have two entries.
        (rig[RigPlace.msrList], rig[RigPlace.msrList + 16]) = (0xC000_0081, 0xC000_0082)
        for (address, word) in memory where address != RigPlace.vmcs12 { rig[address] = word }
      }
    }
  }

  /// The fields of a VMCS, kept.
  struct VMCSCopy: Sendable {
    private let words: [UInt64]

    init(_ vmcs: VMCS) { words = (0..<VMCSField.slotCount).map { vmcs.words[$0] } }

    func write(_ vmcs: VMCS) {
      for (slot, word) in words.enumerated() { vmcs.words[slot] = word }
    }
  }

  /// Whether L1 can violate the check of `test` alone.
  static func isReachable(_ test: EntryCase) -> Bool {
    Prepared(test, isChanged: false).machine.violations == []
      && Set(Prepared(test, isChanged: true).machine.violations) == test.also.union([test.name])
  }

  static let reachable = EntryCase.all.filter(isReachable)

  @Test func everyCheckThatL1CanViolateIsTried() {
    let names = Set(EntryCase.all.map(\.name)).subtracting(Self.reachable.map(\.name))
    #expect(names == Set(Self.unreachable.keys))
    for (name, obstacle) in Self.unreachable { #expect(obstacle.stands, "\(name)") }
  }

  /// The row of the table with this name.
  static func check(_ name: String) -> EntryCheck? {
    var found: EntryCheck?
    func look(_ check: EntryCheck) { if check.name.description == name { found = check } }
    for position in EntryCheck.executionControls.indices { look(EntryCheck.executionControls[position]) }
    for position in EntryCheck.exitAndEntryControls.indices {
      look(EntryCheck.exitAndEntryControls[position])
    }
    for position in EntryCheck.hostState.indices { look(EntryCheck.hostState[position]) }
    for position in EntryCheck.guestRegisters.indices { look(EntryCheck.guestRegisters[position]) }
    for position in EntryCheck.guestSegments.indices { look(EntryCheck.guestSegments[position]) }
    for position in EntryCheck.guestOtherState.indices { look(EntryCheck.guestOtherState[position]) }
    return found
  }

  /// VMfailValid with its number, or a failed entry with its qualification; L2 is not entered, and L0 names the check.
  @Test func eachCheckViolatedAloneFailsTheEntryInItsWay() throws {
    for test in Self.reachable {
      let changed = Prepared(test, isChanged: true)
      var rig = Rig()
      rig.is64Bit = changed.is64BitL1
      let (result, run) = try rig.runAlone(changed.rigCase(test.name))
      let failure = try #require(Self.check(test.name)).failure
      #expect(result.entries == 0, "\(test.name): L2 is entered")
      if let error = failure.instructionError {
        #expect(result.failure == .valid(UInt64(error.rawValue)) && result.exits == [], "\(test.name)")
      } else if case .guestState(let qualification) = failure {
        #expect(result.failure == nil && result.exits.count == 1, "\(test.name)")
        #expect(result.exits.first?.reason.rawValue == 0x8000_0021, "\(test.name)")
        #expect(result.exits.first?.qualification == qualification.rawValue, "\(test.name)")
      }
      #expect(
        run.failedEntries == 1 && run.outcome == .guestReported(code: 0), "\(test.name): \(run.outcome)")
      #expect(Set(run.entryFailures.map(\.check)) == test.also.union([test.name]))
    }
  }

  /// The same VMCS without the violation enters L2, which the processor accepts.
  @Test func withoutTheViolationL2Runs() throws {
    for test in Self.reachable {
      let prepared = Prepared(test, isChanged: false)
      var rig = Rig()
      rig.is64Bit = prepared.is64BitL1
      let result = try rig.run(prepared.rigCase(test.name))
      #expect(result.report.failure == nil, "\(test.name)")
      #expect(result.report.refusals == [], "\(test.name)")
      let waits = prepared.machine.vmcs[.guestActivityState] != 0
      #expect(result.report.entries > 0 || waits, "\(test.name): \(String(describing: result.end))")
      if let reason = result.report.exits.first?.reason { #expect(!reason.isEntryFailure, "\(test.name)") }
    }
  }
}
