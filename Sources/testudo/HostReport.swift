import Glibc
import KVMProcessor
import Report

/// One thing about the host: whether it is there, and what to do if it is not.
struct Finding: Equatable {
  enum Verdict: String {
    case present = "yes"
    case absent = "no"
    case partial = "partly"
  }

  var subject: String
  var verdict: Verdict
  var found: String
  /// One sentence, or nil if there is nothing to do.
  var advice: String?
}

/// What a host's properties mean for somebody who wants to run guests.
enum HostReport {
  static func findings(_ host: Host) -> [Finding] {
    [
      cpu(host), softwareProcessor, virtualization(host), kvmDevice(host.kvm), kvmProcessor(host),
      memory(host),
      swift(host),
    ]
  }

  private static func cpu(_ host: Host) -> Finding {
    let vendor = host.cpu["vendor_id"] ?? "unknown vendor"
    return Finding(
      subject: "CPU", verdict: .present, found: "\(host.cpu["model name"] ?? "unknown model") (\(vendor))",
      advice: nil)
  }

  private static let softwareProcessor = Finding(
    subject: "software processor", verdict: .present,
    found: "always: x86-64 with VMX in software, on any CPU; the default of 'testudo run'", advice: nil)

  private static func virtualization(_ host: Host) -> Finding {
    let flags = host.cpuFlags
    if flags.contains("vmx") {
      return Finding(subject: "VT-x or AMD-V", verdict: .present, found: "VT-x (CPU flag vmx)", advice: nil)
    }
    if flags.contains("svm") {
      return Finding(subject: "VT-x or AMD-V", verdict: .present, found: "AMD-V (CPU flag svm)", advice: nil)
    }
    return Finding(
      subject: "VT-x or AMD-V", verdict: .absent, found: "neither flag vmx nor svm in /proc/cpuinfo",
      advice:
        "nothing is needed for the software processor; for KVM, enable virtualization in the firmware, or "
        + "nested virtualization in the hypervisor that this host runs in")
  }

  private static func kvmDevice(_ kvm: KVMHost) -> Finding {
    switch kvm.device {
    case .missing:
      return Finding(
        subject: kvm.path, verdict: .absent, found: "there is no such device",
        advice:
          "load the kernel's module (modprobe kvm_intel or kvm_amd), or pass the device into the container")
    case .refused(let error):
      return Finding(
        subject: kvm.path, verdict: .absent, found: "it is there but cannot be used: \(Output.reason(error))",
        advice: error == EACCES
          ? "add your user to the group that owns the device (usually: usermod -aG kvm USER), then log in again"
          : "check the kernel's log for messages of kvm")
    case .usable(let version) where version != KVMHost.expectedAPIVersion:
      return Finding(
        subject: kvm.path, verdict: .partial,
        found: "interface version \(version), expected \(KVMHost.expectedAPIVersion)",
        advice: "use a kernel from Linux 2.6.22 on")
    case .usable(let version):
      let missing = kvm.capabilities.filter { !$0.isPresent }.map(\.name)
      let found = "usable, interface version \(version)"
      guard !missing.isEmpty else {
        return Finding(subject: kvm.path, verdict: .present, found: found, advice: nil)
      }
      return Finding(
        subject: kvm.path, verdict: .partial, found: found + ", without \(missing.joined(separator: ", "))",
        advice: "use a newer kernel: from Linux 5.10 on they are there")
    }
  }

  private static func kvmProcessor(_ host: Host) -> Finding {
    let subject = "KVM processor"
    let advice = "use the software processor, which is the default of 'testudo run'"
    switch host.calibration {
    case .failure(.noDevice), .failure(.cannotOpen):
      return Finding(
        subject: subject, verdict: .absent, found: "not without \(host.kvm.path)", advice: advice)
    case .failure(let error):
      return Finding(subject: subject, verdict: .absent, found: error.description, advice: advice)
    case .success(let calibration):
      let modes = InterceptMode.allCases
      let obstacles = modes.map { calibration.obstacle(to: $0) }
      let possible = zip(modes, obstacles).filter { $0.1 == nil }.map { "--intercepts \($0.0.rawValue)" }
      if possible.isEmpty {
        return Finding(subject: subject, verdict: .absent, found: obstacles[0] ?? "", advice: advice)
      }
      let isComplete = possible.count == modes.count
      return Finding(
        subject: subject, verdict: isComplete ? .present : .partial,
        found: "testudo run --processor kvm, \(possible.joined(separator: " or "))",
        advice: isComplete ? nil : obstacles.compactMap { $0 }.first)
    }
  }

  private static func memory(_ host: Host) -> Finding {
    guard let bytes = host.availableMemory else {
      return Finding(
        subject: "memory", verdict: .partial, found: "the host does not say how much is free", advice: nil)
    }
    let isEnough = bytes >= 512 << 20
    return Finding(
      subject: "memory", verdict: isEnough ? .present : .partial,
      found: "\(grouped(bytes >> 20)) MByte available; guests take what they touch of their --memory",
      advice: isEnough ? nil : "end other programs, or give guests less with --memory")
  }

  private static func swift(_ host: Host) -> Finding {
    guard let swift = host.swift else {
      return Finding(
        subject: "Swift", verdict: .absent, found: "there is no swiftc on the PATH",
        advice: "install Swift \(Host.pinnedSwift) from swift.org if you want to build testudo or its guests")
    }
    let isPinned = swift.contains("version \(Host.pinnedSwift) ")
    return Finding(
      subject: "Swift", verdict: isPinned ? .present : .partial, found: swift,
      advice: isPinned
        ? nil
        : "guest images are compared byte for byte only when they are built with Swift \(Host.pinnedSwift)")
  }
}
