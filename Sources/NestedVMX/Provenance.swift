import VMX

/// Where one bit of a field of vmcs02 comes from.
public enum MergeOrigin: UInt8, Equatable, Sendable {
  /// L0 alone: vmcs01.
  case l0
  /// L1 alone: vmcs12.
  case l1
  /// Both levels agree on it.
  case both
  /// L0 computed it.
  case derived
  /// The processor fixes it.
  case processor
  /// Nobody: vmcs02 has no such field, or the bit is always 0.
  case none

  /// The name for people, such as `L1`.
  public var name: StaticString {
    switch self {
    case .l0: "L0"
    case .l1: "L1"
    case .both: "L0 and L1"
    case .derived: "derived"
    case .processor: "processor"
    case .none: "none"
    }
  }
}

/// One bit of vmcs02 with the rule that produced it, and the values that it came from.
public struct MergeProvenance: Sendable {
  public let field: VMCSField
  /// The bit of the field, from 0.
  public let bit: UInt8
  public let rule: MergeRule
  public let origin: MergeOrigin
  /// The whole field in each VMCS.
  public let vmcs01: UInt64
  public let vmcs12: UInt64
  public let vmcs02: UInt64
}

extension Merge {
  /// Where bit `bit` (0 to 63) of `field` in `vmcs02`, the merge of the other two, comes from.
  public static func provenance(
    of field: VMCSField, bit: UInt8, vmcs01: VMCS, vmcs12: VMCS, vmcs02: VMCS
  ) -> MergeProvenance {
    let rule = MergeRow.rule(for: field)
    let mask: UInt64 = 1 << UInt64(bit & 63)
    let origin = origin(rule, mask & field.width.mask, vmcs01[field], vmcs12[field], vmcs02[field])
    return MergeProvenance(
      field: field, bit: bit & 63, rule: rule, origin: origin, vmcs01: vmcs01[field], vmcs12: vmcs12[field],
      vmcs02: vmcs02[field])
  }

  static func origin(
    _ rule: MergeRule, _ mask: UInt64, _ value01: UInt64, _ value12: UInt64, _ value02: UInt64
  ) -> MergeOrigin {
    guard mask != 0 else { return .none }
    switch rule {
    case .absent: return .none
    case .fromL1: return .l1
    case .fromL0, .performedByL0: return .l0
    case .translated, .derived: return .derived
    case .union: return decider(value01 & mask, value12 & mask, deciding: mask)
    case .intersection: return decider(value01 & mask, value12 & mask, deciding: 0)
    case .controls(let kind): return origin(ControlMerge(of: kind), mask, value01, value12, value02)
    }
  }

  /// Who decides a bit that both levels have: the one whose value is `deciding`, or both if they agree.
  static func decider(_ bit01: UInt64, _ bit12: UInt64, deciding: UInt64) -> MergeOrigin {
    if bit01 == bit12 { return .both }
    return bit01 == deciding ? .l0 : .l1
  }

  static func origin(
    _ merge: ControlMerge, _ mask: UInt64, _ value01: UInt64, _ value12: UInt64, _ value02: UInt64
  ) -> MergeOrigin {
    let wanted = merge.merged(value01, value12, derived: value02)
    if (wanted ^ value02) & mask != 0 { return .processor }
    if merge.always & mask != 0 || merge.fromL0 & mask != 0 || merge.performed & mask != 0 { return .l0 }
    if merge.fromL1 & mask != 0 { return .l1 }
    if merge.derived & mask != 0 { return .derived }
    if merge.union & mask != 0 { return decider(value01 & mask, value12 & mask, deciding: mask) }
    if merge.intersection & mask != 0 { return decider(value01 & mask, value12 & mask, deciding: 0) }
    return .none
  }
}
