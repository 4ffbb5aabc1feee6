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

  @Test func usableDeviceSpeaksTheExpectedVersion() {
    let host = KVMHost.probe()
    guard case .usable(let version) = host.device else { return }
    #expect(version == KVMHost.expectedAPIVersion)
    #expect(host.capabilities.map(\.name).contains("KVM_CAP_SYNC_REGS"))
  }
}
