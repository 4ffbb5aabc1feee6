import NestedVMX
import VMX

/// A moment of a run at which somebody wants to see the VMCSs.
public enum VMCSMoment: Hashable, Sendable {
  /// The VM entry of L1 into L2 of this number, from 1, when vmcs02 is ready.
  case entry(UInt64)
  /// The VM exit of L2 of this number, from 1, when L0 has dealt with it: if L1 gets it, vmcs12 has it.
  case exit(UInt64)
  /// The first VM entry of L1 that fails.
  case failure
  /// The last VM exit of L2; if the run ends while L2 runs, that end.
  case last
}

/// The VMCSs of a nested machine, with what L0 merged them by.
public struct VMCSSet {
  public var vmcs01: VMCS
  /// Nil while L1 has no current VMCS.
  public var vmcs12: VMCS?
  /// Nil until L1 has entered L2, and when the VM entry failed: then nothing was merged.
  public var vmcs02: VMCS?
  /// The address of vmcs12 in L1's memory.
  public var vmcs12Address: UInt64?
  /// What the processor of vmcs01 and vmcs02 can do.
  public var processor: VMXCapabilities
  /// What L1 is told that its processor can do.
  public var offered: VMXCapabilities
  /// L1's physical-address width in bits.
  public var physicalAddressWidth: UInt8
  /// Whether L1 was in IA-32e mode.
  public var isInIA32eMode: Bool
  /// What L0 prepared for the merge.
  public var prepared: MergeContext
}

/// Who wants to see the VMCSs of a run, and when.
public struct VMCSWatchList: Sendable {
  public var moments: Set<VMCSMoment>
  /// Gets the VMCSs at each moment, on the thread of the run; they are valid during the call only.
  public var receive: @Sendable (VMCSMoment, VMCSSet) -> Void

  public init(_ moments: Set<VMCSMoment>, receive: @escaping @Sendable (VMCSMoment, VMCSSet) -> Void) {
    self.moments = moments
    self.receive = receive
  }
}

/// Counts the VM entries and VM exits of L2, and hands out the VMCSs at the moments asked for.
final class VMCSWatch {
  private let list: VMCSWatchList
  private var entries: UInt64 = 0
  private var exits: UInt64 = 0
  private var hasFailed = false
  private var last: KeptVMCSs?

  init(_ list: VMCSWatchList) { self.list = list }

  func noteEntry(_ set: @autoclosure () -> VMCSSet) {
    entries &+= 1
    if list.moments.contains(.entry(entries)) { list.receive(.entry(entries), set()) }
  }

  func noteExit(_ set: @autoclosure () -> VMCSSet) {
    exits &+= 1
    if list.moments.contains(.exit(exits)) { list.receive(.exit(exits), set()) }
    if list.moments.contains(.last) { keep(set()) }
  }

  func noteFailure(_ set: @autoclosure () -> VMCSSet) {
    guard !hasFailed else { return }
    hasFailed = true
    guard list.moments.contains(.failure) else { return }
    var failed = set()
    failed.vmcs02 = nil
    list.receive(.failure, failed)
  }

  /// The end of the run, in L2 or not.
  func finish(isInL2: Bool, _ set: @autoclosure () -> VMCSSet) {
    guard list.moments.contains(.last) else { return }
    if isInL2 { keep(set()) }
    if let last { list.receive(.last, last.set) }
  }

  /// Whether L2 was ever entered, so that vmcs02 means something.
  var hasEntered: Bool { entries > 0 }

  private func keep(_ set: VMCSSet) {
    if let last { last.take(set) } else { last = KeptVMCSs(set) }
  }
}

/// Copies of the VMCSs of a moment.
private final class KeptVMCSs {
  private(set) var set: VMCSSet
  private let pages = (VMCS.allocate(), VMCS.allocate(), VMCS.allocate())

  init(_ set: VMCSSet) {
    self.set = set
    take(set)
  }

  deinit {
    pages.0.deallocate()
    pages.1.deallocate()
    pages.2.deallocate()
  }

  func take(_ new: VMCSSet) {
    set = new
    pages.0.copy(from: new.vmcs01)
    set.vmcs01 = pages.0
    set.vmcs12 = Self.copied(new.vmcs12, pages.1)
    set.vmcs02 = Self.copied(new.vmcs02, pages.2)
  }

  private static func copied(_ vmcs: VMCS?, _ page: VMCS) -> VMCS? {
    guard let vmcs else { return nil }
    page.copy(from: vmcs)
    return page
  }
}
