import X86

/// A processor that a machine can be told to look like: what CPUID says of it, as far as the processor that the machine
/// runs on has it.
public struct ProcessorModel: Sendable {
  /// The name that a user selects it by.
  public let name: String
  /// What it is, for people.
  public let title: String
  /// Family, model and stepping, as leaf 1 has them in EAX.
  package let signature: UInt32
  /// What its counterpart in silicon has, beside what L0 gives to every model.
  package let features: ProcessorFeatures
  /// What a user has taken away from it, even of what L0 gives.
  package private(set) var removed = ProcessorFeatures()
  /// How far it virtualizes the local APIC of its guests.
  package let apicVirtualization: APICVirtualization

  /// What of the SDM's "APIC Virtualization and Virtual Interrupts" a processor has.
  package enum APICVirtualization: Sendable {
    /// The TPR shadow, the APIC-access page, x2APIC mode.
    case taskPriority
    /// Registers, virtual interrupts and posted interrupts too, which Intel calls APICv.
    case interrupts
  }

  /// The model that a machine has unless it is told otherwise: the first with VMCS shadowing.
  public static let standard = haswell

  /// The model called `name`, or nil. Features can be taken away from it: `haswell,-x2apic,-pcid`.
  public static func named(_ name: String) -> ProcessorModel? {
    let words = name.split(separator: ",", omittingEmptySubsequences: false)
    guard var model = all.first(where: { $0.name == words[0] }) else { return nil }
    for word in words.dropFirst() {
      guard word.first == "-", let removed = removable.first(where: { $0.name == word.dropFirst() }) else {
        return nil
      }
      model.removed = model.removed.union(removed.features)
    }
    return model
  }

  /// This model without `features`.
  package func without(_ features: ProcessorFeatures) -> ProcessorModel {
    var model = self
    model.removed = removed.union(features)
    return model
  }

  /// What a machine of this model has on a processor that has `available`.
  public func features(on available: ProcessorFeatures) -> ProcessorFeatures {
    features.union(Self.lost).intersection(available).union(Self.virtualized).subtracting(removed)
  }

  /// The bits of CPUID that tell of something that the processor does not have: they are true of every model.
  package static let lost = ProcessorFeatures(extendedEBX: [.deprecatesFPUSelectors])

  /// What L0 itself gives to every model, be its counterpart ever so old: the local APIC with x2APIC and TSC deadline,
  /// the MSRs of memory types and of the adjusted time-stamp counter, MONITOR, VMX. And since nothing here speculates,
  /// the register in which a processor says so.
  package static let virtualized = ProcessorFeatures(
    featuresECX: [.monitor, .vmx, .x2apic, .tscDeadline, .hypervisor],
    featuresEDX: [.apic, .mtrr, .mca, .mce],
    extendedEBX: [.tscAdjust], extendedEDX: [.archCapabilities])

  /// The bits of CR4 that a machine of this model has on a processor that has `available`.
  public func controlRegister4(on available: ProcessorFeatures) -> CR4 {
    features(on: available).controlRegister4
  }

  /// The user components that its XCR0 can have.
  public func components(on available: ProcessorFeatures) -> UInt64 { features(on: available).components }
}
