import NestedVMX
import Trace
import VMX

/// How the fields of vmcs02 came about at the VM entries that a trace has snapshots of.
struct MergeCounts {
  struct Row: Equatable {
    var rule: String
    /// The fields of the SDM that have this rule.
    var fields = 0
    /// Those that some VMCS has with a value other than 0, per VM entry on average.
    var used = 0.0
    /// Those of vmcs02 that L0 changed at the VM entry, per VM entry on average.
    var changed = 0.0
  }

  let rows: [Row]
  /// The VM entries looked at.
  let entries: Int

  init(_ trees: some Collection<[VMCSSnapshot]>) {
    var order: [String] = []
    var table: [String: Row] = [:]
    for field in VMCSField.allInOrder {
      let rule = Self.rule(field)
      if table[rule] == nil { order.append(rule) }
      table[rule, default: Row(rule: rule)].fields += 1
    }
    let whole = trees.filter { $0.last?.moment == .handled && $0.count > 1 }
    for tree in whole {
      for row in SnapshotData(tree).merge where !row.isZero {
        table[Self.rule(row.field)]?.used += 1 / Double(whole.count)
      }
      for field in tree[tree.count - 1].vmcs02.fields(differingFrom: tree[tree.count - 2].vmcs02) {
        table[Self.rule(field)]?.changed += 1 / Double(whole.count)
      }
    }
    rows = order.compactMap { table[$0] }
    entries = whole.count
  }

  private static func rule(_ field: VMCSField) -> String { "\(MergeRow.rule(for: field).name)" }
}
