import KVMProcessor
import Testing

@Suite struct KVMHostTests {
  @Test func absentDeviceIsMissing() {
    let host = KVMHost.probe(path: "/dev/no-such-kvm")
    #expect(host.device == .missing)
    #expect(host.capabilities.isEmpty)
  }

  @Test func deviceThatIsNotKVMIsRefused() {
    let host = KVMHost.probe(path: "/dev/null")
    guard case .refused(let errno) = host.device else {
      Issue.record("/dev/null was taken for a KVM device: \(host.device)")
      return
    }
    #expect(errno != 0)
  }

  @Test(.enabled(if: isUsable, "this host has no /dev/kvm that this user may open"))
  func usableDeviceSpeaksTheExpectedVersion() {
    let host = KVMHost.probe()
    #expect(host.device == .usable(apiVersion: KVMHost.expectedAPIVersion))
    #expect(host.capabilities.map(\.name).contains("KVM_CAP_SYNC_REGS"))
  }

  private static var isUsable: Bool {
    if case .usable = KVMHost.probe().device { true } else { false }
  }
}
