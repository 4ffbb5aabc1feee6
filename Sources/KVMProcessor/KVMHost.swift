import CKVM
import Glibc

/// What this host's `/dev/kvm` offers, found without creating a virtual machine.
public struct KVMHost: Equatable, Sendable {
  /// Whether the device can be used, or why not.
  public enum Device: Equatable, Sendable {
    /// There is no such file.
    case missing
    /// The file is there and `open` refused it; the value is its errno.
    case refused(errno: Int32)
    /// The device was opened and speaks this version of the interface.
    case usable(apiVersion: Int32)
  }

  /// An ability of KVM that a processor built on it needs.
  public struct Capability: Equatable, Sendable {
    /// The name that the kernel's documentation gives it.
    public var name: String
    public var isPresent: Bool
  }

  /// The file that was tried.
  public var path: String
  public var device: Device
  /// Empty unless the device is usable.
  public var capabilities: [Capability]

  /// The interface version that every KVM since Linux 2.6.22 reports; another one must be refused
  /// (kernel documentation, "The Definitive KVM API Documentation", KVM_GET_API_VERSION).
  public static let expectedAPIVersion: Int32 = 12

  /// Where Linux has the device.
  public static let defaultPath = "/dev/kvm"

  /// Asks the device at `path`. It never creates a virtual machine and never runs a guest.
  public static func probe(path: String = KVMHost.defaultPath) -> KVMHost {
    guard access(path, F_OK) == 0 else {
      return KVMHost(path: path, device: .missing, capabilities: [])
    }
    let kvm = open(path, O_RDWR | O_CLOEXEC)
    guard kvm >= 0 else {
      return KVMHost(path: path, device: .refused(errno: errno), capabilities: [])
    }
    defer { close(kvm) }
    let version = ckvm_api_version(kvm)
    guard version >= 0 else {
      return KVMHost(path: path, device: .refused(errno: errno), capabilities: [])
    }
    return KVMHost(path: path, device: .usable(apiVersion: version), capabilities: capabilities(of: kvm))
  }

  /// The capabilities that the processor cannot do without.
  static let needed: [(name: String, number: Int32)] = [
    ("KVM_CAP_USER_MEMORY", ckvm_capability_user_memory),
    ("KVM_CAP_X86_USER_SPACE_MSR", ckvm_capability_user_space_msr),
    ("KVM_CAP_SYNC_REGS", ckvm_capability_sync_regs),
    ("KVM_CAP_IMMEDIATE_EXIT", ckvm_capability_immediate_exit),
  ]

  private static func capabilities(of kvm: Int32) -> [Capability] {
    needed.map { Capability(name: $0.name, isPresent: ckvm_check_extension(kvm, $0.number) > 0) }
  }
}
