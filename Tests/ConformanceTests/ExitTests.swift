import Hypervisor
import NestedRig
import NestedVMX
import Testing
import Trace
import VMX
import X86

/// Each exit reason, caused by a real L2 and given to L1 with what the SDM says L1 is told; and the same instruction or
/// event if L1 did not ask for it.
@Suite("Exits through L0")
struct ExitTests {
  /// Exit reasons that L2 cannot cause here although their row of the routing table would give them to L1, and why.
  static let elsewhere: [ExitReason: String] = [
    .startupIPI: "it takes a second virtual CPU",
    .getsec: "no model has CR4.SMXE, without which GETSEC is undefined",
    .xsaves: "IA32_XSS has no bit that may be 1",
    .xrstors: "IA32_XSS has no bit that may be 1",
  ]

  /// Whether L0 offers L1 what its row of the routing table asks.
  static func isOffered(_ route: ExitRoute) -> Bool {
    let offered = Rig.offered
    switch route.l1 {
    case .always, .details: return true
    case .never: return false
    case .pin(let pin): return offered.allows(pin)
    case .primary(let primary): return offered.allows(primary)
    case .secondary(let secondary): return offered.allows(secondary)
    case .either(let primary, let secondary): return offered.allows(primary) || offered.allows(secondary)
    case .both(let primary, let secondary): return offered.allows(primary) && offered.allows(secondary)
    }
  }

  @Test func everyExitReasonThatL1CanGetHasACase() {
    let reasons = Set(ExitCase.all.map(\.reason))
    for position in 0..<ExitRoute.count {
      let route = ExitRoute.row(at: position)
      let isElsewhere = Self.elsewhere[route.reason] != nil
      if Self.isOffered(route) {
        #expect(reasons.contains(route.reason) != isElsewhere, "\(route.reason.name)")
      } else {
        #expect(!isElsewhere, "\(route.reason.name) is not offered at all")
      }
    }
  }

  /// `hardware` differs from `off` in that the exit information reaches L1 through a shadow VMCS.
  @Test(arguments: NestedVMX.VMCSAccessModel.allCases)
  func exitsReachL1WithTheirInformation(_ access: NestedVMX.VMCSAccessModel) throws {
    var rig = Rig()
    rig.policy.vmcsAccess = access
    for test in ExitCase.all {
      let report = try rig.runAlone(test.rigCase(isAsked: true)).report
      guard let exit = report.exits.first, report.exits.count == 1 else {
        Issue.record("\(test.name): \(report)")
        continue
      }
      #expect(exit.reason.basic == test.reason, "\(test.name)")
      #expect(exit.qualification == test.qualification, "\(test.name)")
      guard !exit.reason.isEntryFailure else { continue }
      #expect(exit.rip == test.rip, "\(test.name)")
      if test.hasLength {
        #expect(exit.instructionLength == test.length ?? UInt64(test.code.count), "\(test.name)")
      }
      if let information = test.information {
        #expect(exit.instructionInformation == information, "\(test.name)")
      }
      #expect(exit.interruption == test.interruption, "\(test.name)")
      if let code = test.interruptionErrorCode { #expect(exit.interruptionErrorCode == code, "\(test.name)") }
      if let address = test.linearAddress { #expect(exit.linearAddress == address, "\(test.name)") }
      if let address = test.physicalAddress { #expect(exit.physicalAddress == address, "\(test.name)") }
      #expect(exit.idtVectoring == 0, "\(test.name)")
    }
  }

  @Test func exitsThatL1DoesNotAskForAreNotItsOwn() throws {
    var keptByL0 = 0
    for test in ExitCase.all {
      let (report, run) = try Rig().runAlone(test.rigCase(isAsked: false))
      let hardware = report.hardwareExits.compactMap(\.basic)
      let reason = report.exits.first?.reason.basic
      switch test.otherwise {
      case .always: continue
      case .goesOn:
        #expect(reason == .vmcall, "\(test.name): \(report)")
        #expect(hardware.last == .vmcall && !report.isCutShort, "\(test.name)")
      case .faults: #expect(reason == .tripleFault && !report.isCutShort, "\(test.name)")
      case .halts:
        guard case .halted(level: .l2, _) = run.outcome else {
          Issue.record("\(test.name): \(run.outcome)")
          continue
        }
      }
      if hardware.contains(test.reason) { keptByL0 += 1 }
    }
    // Ports, MSRs, HLT, CR8 and others are L0's whatever L1 asks for.
    #expect(keptByL0 > 5)
  }

  /// L1 resumes L2 behind the instruction, as a hypervisor does that has emulated it.
  @Test func l2GoesOnAfterL1HasHandledItsExit() throws {
    for test in ExitCase.all where test.hasLength && !test.isTrap && test.reason != .taskSwitch {
      var rigCase = test.rigCase(isAsked: true)
      rigCase.exitLimit = 2
      let report = try Rig().runAlone(rigCase).report
      #expect(report.exits.map(\.reason.basic) == [test.reason, .vmcall], "\(test.name): \(report)")
      #expect(report.exits.last?.rip == test.rip + UInt64(test.code.count), "\(test.name)")
    }
  }

  /// SDM volume 3, "VMX-Preemption Timer": a timer that is over comes before any interrupt, one that L2 would get as
  /// well as one that is L1's.
  @Test(arguments: [PinBasedControls(), .externalInterruptExiting])
  func interruptsComeAfterThePreemptionTimer(_ controls: PinBasedControls) throws {
    let sender = ExitCase(
      name: "sender", reason: .vmcall, before: ExitCase.send(0x4_4060), code: [],
      registers: { $0.pointee.rax = 0xFEE0_0000 })
    let waiter = RigCase("waiter") { vmcs, _ in
      vmcs[.guestRFLAGS] = 0x202
      vmcs.pinBasedControls.formUnion(controls.union(.activatePreemptionTimer))
    }
    let results = try Rig().run([sender.rigCase(isAsked: false), waiter])
    #expect(results.map(\.reason) == [.vmcall, .preemptionTimerExpired])
  }
}
