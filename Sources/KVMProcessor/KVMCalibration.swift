import CKVM
import Synchronization
import X86

/// What a host's KVM does, found out by tiny guests: the vector of abilities that the processor is built on. It never
/// depends on whose processor or which module it is.
public struct KVMCalibration: Equatable, Sendable {
  /// How an exception of the guest can be seen before anything of it is delivered.
  public enum Exceptions: String, Sendable {
    /// With an empty IDT it shuts the virtual CPU down, and KVM keeps the registers.
    case shutdown
    /// With an IDT in a page that is missing KVM_RUN fails, with RIP at the instruction.
    case missingPage
    case unseen
  }

  /// What becomes of an access to guest-physical memory that is not there, or not to be written.
  public enum MissedAccess: String, Sendable {
    /// KVM_RUN fails with EFAULT, and nothing of the instruction has happened.
    case fault
    /// It is reported like that of a device before anything of the instruction has happened.
    case deviceBefore
    /// It is reported like that of a device, and the rest of the instruction is complete.
    case deviceAfter
    case unusable
  }

  /// How a VMX instruction comes to user space, if the virtual CPU executes one.
  public enum Surfacing: String, Sendable {
    /// KVM cannot emulate it, and says so.
    case internalError
    /// It is undefined to the guest.
    case exception
    /// It exits with a reason of its own, or goes on.
    case other
    /// It was not tried, since KVM would rewrite it.
    case untried
  }

  public var exceptions = Exceptions.unseen
  public var missedLoads = MissedAccess.unusable
  public var missedStores = MissedAccess.unusable
  public var readOnlyStores = MissedAccess.unusable
  /// Whether HLT leaves KVM_RUN with RIP behind it.
  public var haltExits = false
  /// Whether single steps of supervisor code work.
  public var singleSteps = false
  /// Whether supervisor code sees what L0 has changed in the guest's paging structures, and whether user code does.
  public var followsTables = false
  public var followsTablesOfUsers = false
  public var vmxInstruction = Surfacing.other
  public var hypercall = Surfacing.untried
  /// Whether CR4.VMXE can be set in a virtual CPU.
  public var holdsVMXE = false
  /// The bits of CR4 that a virtual CPU can have, of those that plain instructions depend on.
  public var cr4: CR4 = [.pse, .pae]
  /// What KVM_RUN takes for a guest that executes one HLT, in nanoseconds.
  public var nanosecondsPerRun = 0.0
  /// What an instruction of a loop takes, in nanoseconds.
  public var nanosecondsPerInstruction = 1.0

  /// A host that does nothing of what is asked for.
  public init() {}

  /// Whether a store that KVM reports has been part of an instruction that is over.
  var storesComplete: Bool { readOnlyStores == .deviceAfter || missedStores == .deviceAfter }

  /// Why the processor cannot be made on this host for `mode`, or nil if it can: what was found, or what keeps it from
  /// being found out.
  package static func obstacleOnThisHost(to mode: InterceptMode) -> String? {
    do throws(KVMError) {
      return try measured().obstacle(to: mode)
    } catch {
      return error.description
    }
  }

  /// Why the processor cannot run on this host by `mode`, or nil if it can.
  public func obstacle(to mode: InterceptMode) -> String? {
    if !haltExits, mode != .stepped { return "HLT does not leave KVM_RUN" }
    if !singleSteps, mode == .stepped { return "single steps do not work: use --intercepts patched" }
    if exceptions == .unseen { return "exceptions of a guest cannot be seen before their delivery" }
    if missedLoads != .fault, missedLoads != .deviceBefore {
      return "a load from a missing page is not reported"
    }
    if !followsTables { return "a guest does not see what L0 changes in its page tables" }
    if missedStores == .unusable || missedStores == .deviceBefore || readOnlyStores == .unusable {
      return "a store to a missing or read-only page is not reported"
    }
    return nil
  }
}

extension KVMCalibration {
  /// Calibrates the KVM of the device at `path`, for people to look at.
  public static func measured(path: String = KVMHost.defaultPath) throws(KVMError) -> KVMCalibration {
    let system = try KVMSystem(path: path)
    guard ckvm_prepare_kicks() == 0 else { throw .last(.signal) }
    return try measured(system)
  }

  /// The calibration of `system`, which is measured once in the life of the process.
  static func known(_ system: KVMSystem, path: String) throws(KVMError) -> KVMCalibration {
    if let value = measurements.withLock({ $0[path] }) { return value }
    let value = try measured(system)
    measurements.withLock { $0[path] = value }
    return value
  }

  private static let measurements = Mutex<[String: KVMCalibration]>([:])

  private static func measured(_ system: KVMSystem) throws(KVMError) -> KVMCalibration {
    var value = KVMCalibration()
    let guest = try TinyGuest(system)
    try guest.measure(&value)
    // A shutdown may leave a virtual CPU in no state to go on.
    try TinyGuest(system).measureShutdown(&value)
    return value
  }
}
