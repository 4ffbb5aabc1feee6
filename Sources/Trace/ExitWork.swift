/// What L0 did for one exit, in the accesses and instructions that a cost table prices.
///
/// The exit, the entry that follows and the handler's base price are not among them: each exit has one of each. So an
/// exit's price under any table follows from this value, and a recorded trace can be priced again.
public struct ExitWork: Equatable, Sendable {
  /// VMREADs of L0.
  public var vmcsReads: UInt32
  /// VMWRITEs of L0.
  public var vmcsWrites: UInt32
  /// Loads and stores of memory, each of up to 8 bytes.
  public var memoryAccesses: UInt32
  /// VMPTRLDs of L0, as when it changes between vmcs01 and vmcs02.
  public var vmptrlds: UInt32
  /// INVEPTs of L0.
  public var invepts: UInt32
  /// INVVPIDs of L0.
  public var invvpids: UInt32
  /// Not work of L0, and not in the exit's price: the VMREADs and VMWRITEs that guests completed without a VM exit
  /// since the exit before.
  public var guestReads: UInt32
  public var guestWrites: UInt32
  /// Likewise: the misses of the processor's TLB while the guest ran to this exit, and the memory references of their
  /// page walks.
  public var tlbMisses: UInt32
  public var walkReferences: UInt32

  @inlinable
  public init(
    vmcsReads: UInt32 = 0, vmcsWrites: UInt32 = 0, memoryAccesses: UInt32 = 0, vmptrlds: UInt32 = 0,
    invepts: UInt32 = 0, invvpids: UInt32 = 0, guestReads: UInt32 = 0, guestWrites: UInt32 = 0,
    tlbMisses: UInt32 = 0, walkReferences: UInt32 = 0
  ) {
    self.vmcsReads = vmcsReads
    self.vmcsWrites = vmcsWrites
    self.memoryAccesses = memoryAccesses
    self.vmptrlds = vmptrlds
    self.invepts = invepts
    self.invvpids = invvpids
    self.guestReads = guestReads
    self.guestWrites = guestWrites
    self.tlbMisses = tlbMisses
    self.walkReferences = walkReferences
  }
}
