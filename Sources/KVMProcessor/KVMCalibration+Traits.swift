import X86

extension KVMCalibration {
  /// One ability of the host's KVM, for people.
  public struct Trait: Equatable, Sendable {
    public var subject: String
    public var found: String
  }

  /// All of them.
  public var traits: [Trait] {
    [
      Trait(subject: "HLT", found: haltExits ? "leaves KVM_RUN, RIP behind it" : "does not leave KVM_RUN"),
      Trait(subject: "exceptions", found: exceptions.meaning),
      Trait(subject: "load from a missing page", found: missedLoads.meaning),
      Trait(subject: "store to a missing page", found: missedStores.meaning),
      Trait(subject: "store to a read-only page", found: readOnlyStores.meaning),
      Trait(subject: "single steps", found: singleSteps ? "work in supervisor code" : "do not work"),
      Trait(
        subject: "page tables that L0 changes",
        found: !followsTables
          ? "not followed" : followsTablesOfUsers ? "followed" : "followed by supervisor code alone"),
      Trait(subject: "VMX instructions", found: vmxInstruction.meaning),
      Trait(subject: "VMCALL", found: hypercall.meaning),
      Trait(subject: "CR4.VMXE", found: holdsVMXE ? "can be set" : "cannot be set"),
      Trait(
        subject: "CR4.SMEP, CR4.SMAP",
        found: "\(cr4.contains(.smep) ? "yes" : "no"), \(cr4.contains(.smap) ? "yes" : "no")"),
      Trait(subject: "KVM_RUN with one HLT", found: Self.time(nanosecondsPerRun)),
      Trait(subject: "an instruction of a loop", found: Self.time(nanosecondsPerInstruction)),
    ]
  }

  /// `nanoseconds` with two significant digits.
  private static func time(_ nanoseconds: Double) -> String {
    let (value, unit) = nanoseconds >= 1000 ? (nanoseconds / 1000, "µs") : (nanoseconds, "ns")
    let tenths = Int((value * 10).rounded())
    return value >= 10 ? "\(Int(value.rounded())) \(unit)" : "\(tenths / 10).\(tenths % 10) \(unit)"
  }
}

extension KVMCalibration.Exceptions {
  fileprivate var meaning: String {
    switch self {
    case .shutdown: "seen by a shutdown that keeps the registers"
    case .missingPage: "seen by an IDT in a missing page"
    case .unseen: "cannot be seen before their delivery"
    }
  }
}

extension KVMCalibration.MissedAccess {
  var meaning: String {
    switch self {
    case .fault: "KVM_RUN fails with EFAULT, nothing has happened"
    case .deviceBefore: "reported as a device's, nothing has happened"
    case .deviceAfter: "reported as a device's, the instruction is otherwise complete"
    case .unusable: "not reported in a usable way"
    }
  }
}

extension KVMCalibration.Surfacing {
  fileprivate var meaning: String {
    switch self {
    case .internalError: "KVM cannot emulate them"
    case .exception: "undefined in the guest"
    case .other: "executed, or answered by KVM itself"
    case .untried: "not tried, for this KVM rewrites it"
    }
  }
}
