import Glibc

/// A request to the kernel that the processor makes, by the name that the kernel's documentation gives it.
public enum KVMRequest: String, Sendable {
  case getAPIVersion = "KVM_GET_API_VERSION"
  case createVM = "KVM_CREATE_VM"
  case createVCPU = "KVM_CREATE_VCPU"
  case vcpuMapSize = "KVM_GET_VCPU_MMAP_SIZE"
  case mapVCPU = "mmap of the virtual CPU's page"
  case setUserMemoryRegion = "KVM_SET_USER_MEMORY_REGION"
  case setMSRFilter = "KVM_X86_SET_MSR_FILTER"
  case setCPUID = "KVM_SET_CPUID2"
  case getSpecialRegisters = "KVM_GET_SREGS"
  case setGuestDebug = "KVM_SET_GUEST_DEBUG"
  case run = "KVM_RUN"
  case memoryFile = "memfd_create"
  case mapMemory = "mmap"
  case timer = "timer_create"
  case signal = "sigaction"

  /// What a user can do when it fails.
  fileprivate func advice(_ error: Int32) -> String {
    switch (self, error) {
    case (_, ENOMEM), (_, EMFILE), (_, ENFILE):
      "end other programs, or raise the limits of memory and open files (ulimit -a)"
    case (.createVM, EBUSY): "another hypervisor holds the processor's virtualization: end it"
    case (.createVM, _), (.createVCPU, _): "the kernel's log (dmesg) says what kvm lacks"
    case (.setMSRFilter, _): "use a kernel from Linux 5.10 on"
    case (.mapMemory, _): "raise vm.max_map_count (sysctl), or give the guest less memory"
    default: "the kernel's log (dmesg) may say why"
    }
  }
}

/// Why there is no KVM processor, or why it could not go on.
public enum KVMError: Error, Equatable, CustomStringConvertible, Sendable {
  /// There is no such device.
  case noDevice(path: String)
  /// The device cannot be opened; the value is the errno of `open`.
  case cannotOpen(path: String, errno: Int32)
  /// The device speaks another version of the interface.
  case wrongVersion(Int32)
  /// The kernel lacks a capability; its name in the kernel's documentation.
  case missingCapability(String)
  /// The kernel refused a request.
  case refused(KVMRequest, errno: Int32)
  /// A calibration showed that this KVM does not do what the processor needs.
  case unsuitable(String)
  /// A guest's run ended in a way that the processor has no use for.
  case unexpectedExit(String)

  public var description: String {
    switch self {
    case .noDevice(let path):
      "there is no \(path): load the kernel's module (modprobe kvm_intel or kvm_amd), or pass the device into the "
        + "container"
    case .cannotOpen(let path, let error):
      "\(path) cannot be used, \(Self.reason(error)): "
        + (error == EACCES || error == EPERM
          ? "add your user to the group that owns the device (usually: usermod -aG kvm USER), then log in again"
          : "check the kernel's log (dmesg) for messages of kvm")
    case .wrongVersion(let version):
      "KVM speaks interface version \(version), not \(KVMHost.expectedAPIVersion): use a kernel from Linux 2.6.22 on"
    case .missingCapability(let name): "this kernel's KVM lacks \(name): use a kernel from Linux 5.10 on"
    case .refused(let request, let error):
      "\(request.rawValue) failed, \(Self.reason(error)): \(request.advice(error))"
    case .unsuitable(let sentence): "this host's KVM is not suitable: \(sentence)"
    case .unexpectedExit(let sentence): sentence
    }
  }

  private static func reason(_ error: Int32) -> String { String(cString: strerror(error)) }

  /// The failure of `request` that errno tells of.
  static func last(_ request: KVMRequest) -> KVMError { .refused(request, errno: errno) }
}
