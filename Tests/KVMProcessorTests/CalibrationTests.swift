import KVMProcessor
import Testing
import VMX

/// What a host's KVM was found to do decides what L1 is promised.
@Suite struct CalibrationTests {
  private static func host(
    _ exceptions: KVMCalibration.Exceptions, loads: KVMCalibration.MissedAccess,
    stores: KVMCalibration.MissedAccess, readOnly: KVMCalibration.MissedAccess
  ) -> KVMCalibration {
    var value = KVMCalibration()
    value.exceptions = exceptions
    (value.missedLoads, value.missedStores, value.readOnlyStores) = (loads, stores, readOnly)
    (value.haltExits, value.singleSteps, value.followsTables) = (true, true, true)
    return value
  }

  /// kvm_amd and kvm_intel with two-dimensional paging.
  private static let hardware = host(.missingPage, loads: .fault, stores: .fault, readOnly: .fault)
  /// A KVM that executes supervisor code in its emulator.
  private static let emulator = host(
    .shutdown, loads: .deviceBefore, stores: .deviceAfter, readOnly: .deviceAfter)

  @Test func hardwareOffersWhatTheSoftwareProcessorHas() {
    #expect(Self.hardware.withheld.isEmpty)
    let offered = Self.hardware.capabilities.eptAndVPID
    #expect(offered.isSuperset(of: [.executeOnly, .accessedAndDirtyFlags]))
  }

  @Test func lateStoresTakeTheFlagsOfEPTAway() {
    let offered = Self.emulator.capabilities
    #expect(offered.eptAndVPID.contains(.executeOnly))
    #expect(!offered.eptAndVPID.contains(.accessedAndDirtyFlags))
    #expect(Self.emulator.withheld.map(\.capability) == ["accessed and dirty flags of EPT"])
    #expect(
      Self.emulator.withheld.map(\.reason) == [
        "a store to a missing page is reported as a device's, the instruction is otherwise complete"
      ])
    // Nothing else depends on the host.
    var expected = Self.hardware.capabilities
    expected.eptAndVPID.remove(.accessedAndDirtyFlags)
    #expect(offered == expected)
  }

  @Test func lateStoresToReadOnlyPagesAloneDoToo() {
    let host = Self.host(.shutdown, loads: .fault, stores: .fault, readOnly: .deviceAfter)
    #expect(host.withheld.map(\.reason).first?.contains("read-only page") == true)
    #expect(!host.capabilities.eptAndVPID.contains(.accessedAndDirtyFlags))
  }

  @Test func unseenLoadsTakeBoth() {
    let host = Self.host(.shutdown, loads: .unusable, stores: .fault, readOnly: .fault)
    #expect(host.withheld.count == 2)
    #expect(host.capabilities.eptAndVPID.isDisjoint(with: [.executeOnly, .accessedAndDirtyFlags]))
    #expect(host.obstacle(to: .patched) != nil)
  }

  @Test func whatCannotBeSeenIsNoHost() {
    for host in [Self.hardware, Self.emulator] {
      for mode in InterceptMode.allCases { #expect(host.obstacle(to: mode) == nil) }
      var blind = host
      blind.exceptions = .unseen
      var deaf = host
      deaf.followsTables = false
      var restless = host
      restless.singleSteps = false
      #expect(blind.obstacle(to: .patched) != nil)
      #expect(deaf.obstacle(to: .patched) == "a guest does not see what L0 changes in its page tables")
      #expect(restless.obstacle(to: .stepped) != nil && restless.obstacle(to: .patched) == nil)
    }
    #expect(KVMCalibration().obstacle(to: .patched) != nil)
  }
}
