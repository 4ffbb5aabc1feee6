import VMX
import X86

/// The MSR lists of a VM exit from L2 to L1, for the hypervisor to perform in this order. Both are usually empty.
public struct Reflection: Equatable, Sendable {
  /// MSRs of L2 to be stored (guest state is still in vmcs02). If one fails: `abort(.savingGuestMSRs)`.
  public var storeMSRs: MSRList
  /// MSRs to be loaded for L1 (guest state is in vmcs01). If one fails: `abort(.loadingHostMSRs)`.
  public var loadMSRs: MSRList
  /// Why the host state could not be loaded between the two, or nil. It is for `abort(_:)` once L2's MSRs are stored.
  public var abort: VMXAbort?

  public init(storeMSRs: MSRList = .none, loadMSRs: MSRList = .none, abort: VMXAbort? = nil) {
    self.storeMSRs = storeMSRs
    self.loadMSRs = loadMSRs
    self.abort = abort
  }
}

/// How a VM exit from L2 to L1 saves a guest-state field into vmcs12.
///
/// Source: SDM volume 3, "Saving Guest State".
enum SaveRule: Sendable {
  /// Copied from vmcs02.
  case always
  /// Copied if vmcs12's VM-exit controls say so.
  case under(PrimaryExitControls)
  /// Copied if L2 uses it by a VM-execution control.
  case ifUsed(SecondaryProcessorBasedControls)
  /// The value that L2 has, as L1 would see it: `VirtualVMX.controlRegister12`.
  case cr0, cr4
  /// Copied if L1 uses EPT.
  case pdpte
  /// Left as it is.
  case unchanged
}

struct SaveRow: Sendable {
  let field: VMCSField
  let rule: SaveRule

  init(_ field: VMCSField, _ rule: SaveRule = .always) {
    self.field = field
    self.rule = rule
  }
}

/// Where a VM exit from L2 to L1 gets a field of L1's state from, in vmcs01.
///
/// Source: SDM volume 3, "Loading Host State".
enum HostSource: Sendable {
  /// The host-state field of vmcs12.
  case host(VMCSField)
  case constant(UInt64)
  /// A function of vmcs12's host state, by name: `VirtualVMX.value(of:)`.
  case cr0, cr3, cr4, efer, pat, codeRights
  /// The access rights of a data segment: unusable if this selector of the host is null.
  case dataRights(VMCSField)
  case pdpte(UInt8)
  /// Left as it is.
  case unchanged
}

struct HostStateRow: Sendable {
  let field: VMCSField
  let source: HostSource

  init(_ field: VMCSField, _ source: HostSource) {
    self.field = field
    self.source = source
  }
}
