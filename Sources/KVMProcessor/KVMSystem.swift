import CKVM
import Glibc
import X86

/// An open `/dev/kvm`.
final class KVMSystem {
  let descriptor: Int32
  /// The size in bytes of the page that a virtual CPU shares.
  let runSize: Int

  /// Opens the device at `path`, and refuses one that lacks what the processor cannot do without.
  init(path: String) throws(KVMError) {
    guard access(path, F_OK) == 0 else { throw .noDevice(path: path) }
    descriptor = open(path, O_RDWR | O_CLOEXEC)
    guard descriptor >= 0 else { throw .cannotOpen(path: path, errno: errno) }
    let version = ckvm_api_version(descriptor)
    guard version >= 0 else { throw .last(.getAPIVersion) }
    guard version == KVMHost.expectedAPIVersion else { throw .wrongVersion(version) }
    for capability in KVMHost.needed where ckvm_check_extension(descriptor, capability.number) <= 0 {
      throw .missingCapability(capability.name)
    }
    runSize = Int(ckvm_vcpu_mmap_size(descriptor))
    guard runSize > 0 else { throw .last(.vcpuMapSize) }
  }

  deinit { if descriptor >= 0 { close(descriptor) } }
}

/// A virtual machine of KVM with its one virtual CPU, and without interrupt controllers: L0 has its own.
final class KVMVirtualMachine {
  private let descriptor: Int32
  private let vcpu: Int32
  private let runSize: Int
  /// The page that the virtual CPU shares.
  let run: UnsafeMutablePointer<kvm_run>
  /// Whether VMCALL is kept from being rewritten, so that KVM makes it undefined or answers it.
  let keepsHypercalls: Bool
  /// The registers at power-on, of which those that VMX has no part in are kept.
  private(set) var initial = kvm_sregs()
  private let system: KVMSystem
  private(set) var steppingFlag: UInt64 = 0

  init(_ system: KVMSystem) throws(KVMError) {
    self.system = system
    let vm = ckvm_create_vm(system.descriptor)
    guard vm >= 0 else { throw .last(.createVM) }
    do throws(KVMError) {
      keepsHypercalls = ckvm_keep_hypercalls(system.descriptor, vm) == 0
      guard ckvm_deny_msrs(vm) >= 0 else { throw .last(.setMSRFilter) }
      (vcpu, run) = try Self.makeVCPU(system, vm)
    } catch {
      close(vm)
      throw error
    }
    descriptor = vm
    runSize = system.runSize
    guard ckvm_offer_features(system.descriptor, vcpu) >= 0 else { throw .last(.setCPUID) }
    guard ckvm_get_sregs(vcpu, &initial) >= 0 else { throw .last(.getSpecialRegisters) }
    ckvm_want(run, false)
  }

  private static func makeVCPU(
    _ system: KVMSystem, _ vm: Int32
  ) throws(KVMError) -> (Int32, UnsafeMutablePointer<kvm_run>) {
    let vcpu = ckvm_create_vcpu(vm)
    guard vcpu >= 0 else { throw .last(.createVCPU) }
    let page = mmap(nil, system.runSize, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0)
    guard let page, page != MAP_FAILED else {
      let error = KVMError.last(.mapVCPU)
      close(vcpu)
      throw error
    }
    return (vcpu, page.bindMemory(to: kvm_run.self, capacity: 1))
  }

  deinit {
    munmap(run, runSize)
    close(vcpu)
    close(descriptor)
  }

  /// Makes guest-physical addresses from `guest` the memory at `host`; `size` 0 takes slot `slot` away.
  func setMemory(
    slot: UInt32, guest: UInt64, size: UInt64, host: UnsafeMutableRawPointer?
  ) throws(KVMError) {
    let place = UInt64(UInt(bitPattern: host))
    guard ckvm_set_memory(descriptor, slot, guest, size, place) >= 0 else {
      throw .last(.setUserMemoryRegion)
    }
  }

  /// Has each run end behind one instruction, or no longer. RFLAGS then has to have `steppingFlag` whenever it is loaded: a
  /// KVM that steps by TF sets it by itself only where RIP stays as it was at this call.
  func setStepping(_ isOn: Bool) throws(KVMError) {
    guard ckvm_step(vcpu, isOn) >= 0 else { throw .last(.setGuestDebug) }
    steppingFlag = isOn ? RFLAGS.tf.rawValue : 0
  }

  /// KVM_RUN: 0, or an errno.
  @inline(__always)
  func enter() -> Int32 { ckvm_run(vcpu, run) }

  var registers: UnsafeMutablePointer<kvm_regs> { ckvm_regs(run) }
  var specialRegisters: UnsafeMutablePointer<kvm_sregs> { ckvm_sregs(run) }
  var exitReason: UInt32 { ckvm_exit_reason(run) }
}

/// The reasons for which KVM_RUN returns, as far as the processor tells them apart.
enum KVMExit {
  static let io = UInt32(KVM_EXIT_IO)
  static let debug = UInt32(KVM_EXIT_DEBUG)
  static let halt = UInt32(KVM_EXIT_HLT)
  static let memoryMapped = UInt32(KVM_EXIT_MMIO)
  static let interruptWindow = UInt32(KVM_EXIT_IRQ_WINDOW_OPEN)
  static let shutdown = UInt32(KVM_EXIT_SHUTDOWN)
  static let failedEntry = UInt32(KVM_EXIT_FAIL_ENTRY)
  static let interrupted = UInt32(KVM_EXIT_INTR)
  static let internalError = UInt32(KVM_EXIT_INTERNAL_ERROR)
  static let readMSR = UInt32(KVM_EXIT_X86_RDMSR)
  static let writeMSR = UInt32(KVM_EXIT_X86_WRMSR)
}
