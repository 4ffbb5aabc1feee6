import Hypervisor
import NestedRig
import Testing
import VMX
import X86

/// VM exits that end in a VMX abort: L1's processor shuts down, and the indicator in L1's VMCS region says why.
///
/// Source: SDM volume 3, "VMX Aborts".
@Suite("VMX aborts through L0")
struct AbortTests {
  struct AbortCase: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var cause: VMXAbort
    var is64BitL1 = true
    var layOut: @Sendable (VMCS, RigMemory) -> Void
  }

  /// An MSR list of one entry.
  private static func list(_ index: UInt64, _ memory: RigMemory, value: UInt64 = 0) {
    (memory[RigPlace.msrList], memory[RigPlace.msrList + 8]) = (index, value)
  }

  static let cases: [AbortCase] = [
    AbortCase(testDescription: "MSR that cannot be stored", cause: .savingGuestMSRs) { vmcs, memory in
      vmcs[.exitMSRStoreCount] = 1
      // There is no such MSR.
      list(0x4000_0000, memory)
    },
    AbortCase(testDescription: "MSR-store list with a reserved bit", cause: .savingGuestMSRs) {
      vmcs, memory in
      vmcs[.exitMSRStoreCount] = 1
      list(0xC000_0081 | 1 << 32, memory)
    },
    AbortCase(testDescription: "MSR-store list where there is no memory", cause: .savingGuestMSRs) {
      vmcs, _ in
      vmcs[.exitMSRStoreCount] = 1
      vmcs[.exitMSRStoreAddress] = 0x10_0000_0000
    },
    AbortCase(testDescription: "MSR that must not be loaded", cause: .loadingHostMSRs) { vmcs, memory in
      vmcs[.exitMSRLoadCount] = 1
      list(0xC000_0100, memory)
    },
    AbortCase(testDescription: "MSR value that is refused", cause: .loadingHostMSRs) { vmcs, memory in
      vmcs[.exitMSRLoadCount] = 1
      // A system-call target that is not canonical.
      list(0xC000_0082, memory, value: 1 << 63)
    },
    AbortCase(testDescription: "MSR-load list that is too long", cause: .loadingHostMSRs) { vmcs, memory in
      vmcs[.exitMSRLoadCount] = 513
      for index: UInt64 in 0..<1024 { memory[0x28_0000 + index * 16] = 0xC000_0081 }
      vmcs[.exitMSRLoadAddress] = 0x28_0000
    },
    AbortCase(testDescription: "MSR of the host after a failed entry", cause: .loadingHostMSRs) {
      vmcs, memory in
      vmcs[.guestRFLAGS] = 0
      vmcs[.exitMSRLoadCount] = 1
      list(0xC000_0100, memory)
    },
    AbortCase(
      testDescription: "PDPTE of the host with a reserved bit", cause: .hostPDPTEChecking, is64BitL1: false
    ) { vmcs, memory in
      vmcs.exitControls.remove(.hostAddressSpaceSize)
      RigVMCS.writeHost(vmcs, is64Bit: false)
      ExitCase.enter32BitMode(vmcs, memory)
      vmcs[.hostCR4] = 0x2020
      vmcs[.hostCR3] = RigPlace.pdptes
      memory[RigPlace.pdptes + 16] = 3
    },
  ]

  @Test(arguments: cases)
  func l1ShutsDown(_ test: AbortCase) throws {
    var rig = Rig()
    rig.is64Bit = test.is64BitL1
    let (report, run) = try rig.runAlone(RigCase(test.testDescription, layOut: test.layOut))
    #expect(report.abortIndicator == test.cause.rawValue)
    #expect(report.exits == [], "L1 sees nothing of it")
    guard case .shutdown(let sentence) = run.outcome else {
      Issue.record("\(run.outcome)")
      return
    }
    #expect(sentence.contains("VMX abort \(test.cause.rawValue)"))
  }

  /// The same lists, but with entries that are in order.
  @Test func listsInOrderDoNotAbort() throws {
    let report = try Rig().runAlone(
      RigCase("lists") { vmcs, memory in
        for field in [VMCSField.entryMSRLoadCount, .exitMSRStoreCount, .exitMSRLoadCount] { vmcs[field] = 1 }
        Self.list(0xC000_0081, memory, value: 0x1234)
      }
    ).report
    #expect(report.abortIndicator == 0 && report.exits.first?.reason.basic == .vmcall)
  }
}
