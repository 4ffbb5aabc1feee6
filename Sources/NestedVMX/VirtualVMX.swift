import EntryChecks
import Translation
import VMX
import X86

/// The VMX that one virtual CPU of L1 sees, and the nested machine behind it: vmcs12, vmcs02 and the composed EPTs.
///
/// It computes; the hypervisor acts. The way of an exit:
///
/// ```
/// let outcome = processor.enter(vmx.running)           // vmcs01 or vmcs02: "are we in L2?" is asked here only
/// switch vmx.route(reason) {
/// case .reflectedToL1(let exit):                       // an exit of L2 that L1 wants
///   perform(vmx.reflect(exit))                         // stores and loads MSR lists, if not empty
/// case .keptByL0(.vmxInstruction):                     // L1 executed a VMX instruction
///   switch vmx.execute(basicReason) {
///   case .enterL2(let entry): perform(entry.loadMSRs)  // if one fails: vmx.failEntry(loadingEntry:)
///   case .entryFailed(let reflection, _): perform(reflection)
///   default: break                                     // flags and RIP, or the fault, are in vmcs01 already
///   }
/// case .keptByL0(.composedEPT): break                  // ept02 is filled
/// case .keptByL0(let handler): …                       // L0's own work, on `vmx.running`
/// }
/// vmx.prepareToResume()                                // only after exits that L0 kept: an interrupted event again
/// while let invalidation = vmx.takeInvalidation() { … }
/// ```
///
/// Every VMCS and page here belongs to L0; the hypervisor keeps vmcs01 and the registers alive.
public struct VirtualVMX<Memory: L1Memory, Pages: L0Pages>: ~Copyable {
  public let memory: Memory
  public let pages: Pages
  /// The general-purpose registers of whichever guest ran last.
  public let registers: UnsafeMutablePointer<RegisterFile>
  /// L0's VMCS for L1.
  public let vmcs01: VMCS
  /// L0's VMCS for L2: valid while L2 runs, and until the next merge.
  public let vmcs02: VMCS
  public let policy: NestedPolicy
  /// What the processor offers to L0.
  public let processor: VMXCapabilities
  /// What L1 reads in its VMX capability MSRs.
  public let capabilities: VMXCapabilities
  /// The number of physical-address bits of L1.
  public let physicalAddressWidth: UInt8

  /// What L0 did, in accesses.
  public internal(set) var work = WorkCounters()
  /// What L0 copied.
  public internal(set) var sync = SyncCounters()
  /// IA32_FEATURE_CONTROL of L1.
  public package(set) var featureControl: UInt64
  /// The VMXON pointer, or nil outside VMX operation.
  public internal(set) var vmxonPointer: PhysicalAddress<L1>?
  /// The current-VMCS pointer, or nil if it is not valid.
  public internal(set) var currentVMCS: PhysicalAddress<L1>?
  /// Whether L2 runs: vmcs02 is the VMCS to enter.
  public internal(set) var isInL2 = false
  /// The L1-physical address that an exit of L2 kept as ``L0Handler/memoryOfL1`` was about.
  public internal(set) var faultingAddress = PhysicalAddress<L1>(0)

  /// vmcs12, in a page of L0; meaningful while ``currentVMCS`` is not nil.
  let vmcs12Region: VMCS
  let ownPages: OwnPages
  /// What L1 reaches without a VM exit.
  let shadowPlan: ShadowPlan
  /// Whether L1 has had no VM entry since its VMCS became current, so that no group of it is clean.
  var isNewToL0 = true
  var composed: ComposedEPT<Pages>
  /// The page of the last EPT violation that L1 was given, until the next VM entry.
  var reflectedViolation: PhysicalAddress<L2>?
  var dirtyLeaves = DirtyLeaves()
  var pendingInvalidations = PendingInvalidations()
  /// The VM entries of L1 that have passed every check.
  let memo = EntryMemo()
  /// What L0 prepared for the last merge.
  public internal(set) var merge = MergeContext()
  /// Whether the merge has seen vmcs01's MSR bitmap: the words that let an MSR through.
  var openMSRWords: OpenWords?
  /// Whether the merged bitmap leaves accesses of the x2APIC's registers to L1.
  var openX2APICBitmap = false
  /// The APIC-access page of the L2 that ran last, if it is no memory of L1.
  var absentAPICAccessPage: PhysicalAddress<L1>?
  /// The VPIDs of L0 that stand for those of L1.
  var vpids02 = VPIDs02()
  /// Which of CR0.PE and CR0.PG L0 owned before L1 entered VMX operation, in which it owns both.
  var pagingOwnedByL0: UInt64 = 0
  /// The fields of L1's shadow VMCS for L2 that L2 reaches without a VM exit.
  var shadowedForL2 = ShadowedFieldSet()
  /// Whether the VM entry that L2 runs by was a VMLAUNCH.
  var enteredByLaunch = false

  /// The nested machine of a virtual CPU whose vmcs01 is `vmcs01`, or an error if `pages` has not the pages it needs.
  ///
  /// `vmcs01` may still be incomplete; it has to be complete at L1's first VM entry. L1 is offered what L0 can give on a
  /// processor of capabilities `offeredOn`, by default those of `processor`: a model may have fewer, and be
  /// `without` some that L0 performs itself.
  public init(
    vmcs01: VMCS, registers: UnsafeMutablePointer<RegisterFile>, processor: VMXCapabilities,
    offeredOn model: VMXCapabilities? = nil,
    without withheld: SecondaryProcessorBasedControls = [], memory: Memory, pages: Pages,
    policy: NestedPolicy = NestedPolicy(), physicalAddressWidth: UInt8
  ) throws(NestedSetupError) {
    let ownPages = try OwnPages(pages)
    let composed = try ComposedEPT(
      pages, hasFlags: processor.eptAndVPID.contains(.accessedAndDirtyFlags))
    self.memory = memory
    self.pages = pages
    self.registers = registers
    self.vmcs01 = vmcs01
    self.policy = policy
    self.processor = processor
    self.physicalAddressWidth = physicalAddressWidth
    self.capabilities = VirtualCapabilities.offered(
      on: model ?? processor, without: withheld.union(policy.memoryDesign.withheld))
    self.featureControl = FeatureControl.lockedWithVMX
    self.ownPages = ownPages
    self.composed = composed
    self.vmcs02 = VMCS(region: ownPages.vmcs02.bytes)
    self.vmcs12Region = VMCS(region: ownPages.vmcs12.bytes)
    self.vmcs02.revision = processor.basic.revision
    self.merge.processor = processor
    self.shadowPlan = ShadowPlan(policy, on: capabilities)
    prepareShadow()
  }

  deinit {
    memo.deallocate()
    shadowPlan.deallocate()
  }

  /// The VMCS to enter: vmcs02 while L2 runs, else vmcs01.
  public var running: VMCS { isInL2 ? vmcs02 : vmcs01 }

  /// vmcs12, or nil if L1 has no current VMCS.
  ///
  /// With VMCS shadowing, what L1 wrote since its last exit to L2 may still be in the shadow VMCS.
  public var vmcs12: VMCS? { currentVMCS == nil ? nil : vmcs12Region }

  /// Whether L1 is in VMX operation.
  public var isInVMXOperation: Bool { vmxonPointer != nil }
}

/// Why a nested machine could not be made.
public enum NestedSetupError: Error, Equatable, Sendable {
  /// The pool has fewer pages than a nested machine needs before it runs.
  case outOfPages
}

/// The pages of L0 that a nested machine has from the beginning.
struct OwnPages {
  let vmcs02: L0Page
  let vmcs12: L0Page
  let shadow: L0Page
  let vmreadBitmap: L0Page
  let vmwriteBitmap: L0Page
  /// The same three for L2, made of L1's.
  let shadow02: L0Page
  let vmreadBitmap02: L0Page
  let vmwriteBitmap02: L0Page
  let msrBitmap: L0Page
  let ioBitmapA: L0Page
  let ioBitmapB: L0Page
  /// Stands in for a virtual-APIC page that L1 put where it has no memory.
  let virtualAPIC: L0Page
  /// Stands in for such an APIC-access page.
  let apicAccess: L0Page

  init<Pages: L0Pages>(_ pages: Pages) throws(NestedSetupError) {
    vmcs02 = try Self.page(pages)
    vmcs12 = try Self.page(pages)
    shadow = try Self.page(pages)
    vmreadBitmap = try Self.page(pages)
    vmwriteBitmap = try Self.page(pages)
    shadow02 = try Self.page(pages)
    vmreadBitmap02 = try Self.page(pages)
    vmwriteBitmap02 = try Self.page(pages)
    msrBitmap = try Self.page(pages)
    ioBitmapA = try Self.page(pages)
    ioBitmapB = try Self.page(pages)
    virtualAPIC = try Self.page(pages)
    apicAccess = try Self.page(pages)
  }

  static func page<Pages: L0Pages>(_ pages: Pages) throws(NestedSetupError) -> L0Page {
    guard let page = pages.allocate() else { throw .outOfPages }
    return page
  }
}

/// IA32_FEATURE_CONTROL.
///
/// Source: SDM volume 3, "Enabling and Entering VMX Operation".
public enum FeatureControl {
  /// Bit 0: the lock.
  public static var lock: UInt64 { 1 << 0 }
  /// Bit 2: VMXON is allowed outside SMX operation.
  public static var vmxOutsideSMX: UInt64 { 1 << 2 }
  /// What firmware leaves when VMX is enabled.
  public static var lockedWithVMX: UInt64 { lock | vmxOutsideSMX }
}
