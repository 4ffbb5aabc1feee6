/// What L0 did for the nested machine, in accesses that a cost model can price.
///
/// The figures depend on the guest alone and are the same from run to run. An access of vmcs01, vmcs02 or the shadow
/// VMCS counts as a VMREAD or VMWRITE, which it is on a processor; vmcs12, bitmaps, page tables and MSR lists are
/// memory.
public struct WorkCounters: Equatable, Sendable {
  /// VMREADs of vmcs01, vmcs02 and the shadow VMCS.
  public var vmcsReads: UInt64 = 0
  /// VMWRITEs to vmcs01, vmcs02 and the shadow VMCS.
  public var vmcsWrites: UInt64 = 0
  /// Loads from memory, each of up to 8 bytes.
  public var memoryReads: UInt64 = 0
  /// Stores to memory, each of up to 8 bytes.
  public var memoryWrites: UInt64 = 0
  /// Fields copied from one VMCS to another, whole regions included; their accesses are counted above too.
  public var fieldsCopied: UInt64 = 0

  @inlinable
  public init() {}

  /// The work since `earlier`.
  @inlinable
  public func since(_ earlier: WorkCounters) -> WorkCounters {
    var difference = self
    difference.vmcsReads &-= earlier.vmcsReads
    difference.vmcsWrites &-= earlier.vmcsWrites
    difference.memoryReads &-= earlier.memoryReads
    difference.memoryWrites &-= earlier.memoryWrites
    difference.fieldsCopied &-= earlier.fieldsCopied
    return difference
  }
}

/// What L0 copied to keep vmcs12 in step with L1's memory and with the shadow VMCS.
public struct SyncCounters: Equatable, Sendable {
  /// Whole vmcs12 regions copied in from L1's memory (VMPTRLD).
  public var regionsLoaded: UInt64 = 0
  /// Whole vmcs12 regions copied out to L1's memory (VMCLEAR, VMPTRLD of another, VMXOFF).
  public var regionsFlushed: UInt64 = 0
  /// Times that the shadow VMCS was filled from vmcs12 (VMPTRLD, an exit reflected to L1).
  public var shadowFills: UInt64 = 0
  /// Times that vmcs12 took L1's writes from the shadow VMCS (VMLAUNCH, VMRESUME, VMCLEAR, VMPTRLD of another).
  public var shadowDrains: UInt64 = 0
  /// Fields copied from vmcs12 to the shadow VMCS.
  public var fieldsToShadow: UInt64 = 0
  /// Fields copied from the shadow VMCS to vmcs12.
  public var fieldsFromShadow: UInt64 = 0

  @inlinable
  public init() {}
}
