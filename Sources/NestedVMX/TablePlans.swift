import VMX

// The tables of the nested core in the form in which they are carried out: each is gathered once, on first use, into
// what is copied from one VMCS to another and what has to be computed row by row.

/// Rows of a table that are kept for good.
struct GatheredRows<Row: Sendable>: @unchecked Sendable {
  private let rows: UnsafeMutablePointer<Row>
  let count: Int

  /// The rows that `row` gives for the positions below `limit`; it gives nil for those left out.
  init(upTo limit: Int, _ row: (Int) -> Row?) {
    rows = .allocate(capacity: max(limit, 1))
    var count = 0
    for position in 0..<limit {
      guard let row = row(position) else { continue }
      (rows + count).initialize(to: row)
      count &+= 1
    }
    self.count = count
  }

  /// Row `number`, from 0 up to `count` - 1.
  @inline(__always)
  subscript(number: Int) -> Row { rows[number] }
}

/// ``MergeRow/all``.
struct MergePlan: Sendable {
  let fromL1 = FieldRuns(upTo: MergeRow.all.count) { position in
    let row = MergeRow.all[position]
    if case .fromL1 = row.rule, row.condition.rawValue == 0 { return (row.field, row.field) }
    return nil
  }
  let fromL0 = FieldRuns(upTo: MergeRow.all.count) { position in
    let row = MergeRow.all[position]
    if case .fromL0 = row.rule { return (row.field, row.field) }
    return nil
  }
  let computed = GatheredRows<MergeRow>(upTo: MergeRow.all.count) { position in
    let row = MergeRow.all[position]
    switch row.rule {
    case .fromL1, .fromL0, .performedByL0, .absent: return nil
    default: return row.condition.rawValue == 0 ? row : nil
    }
  }
  let conditional = GatheredRows<MergeRow>(upTo: MergeRow.all.count) { position in
    let row = MergeRow.all[position]
    return row.condition.rawValue == 0 ? nil : row
  }

  static let plan = MergePlan()
}

/// ``SaveRow/all``.
struct SavePlan: Sendable {
  let always = FieldRuns(upTo: SaveRow.all.count) { position in
    let row = SaveRow.all[position]
    if case .always = row.rule { return (row.field, row.field) }
    return nil
  }
  let conditional = GatheredRows<SaveRow>(upTo: SaveRow.all.count) { position in
    let row = SaveRow.all[position]
    switch row.rule {
    case .always, .unchanged: return nil
    default: return row
    }
  }

  static let plan = SavePlan()
}

/// ``HostStateRow/all``.
struct HostStatePlan: Sendable {
  /// From vmcs12.
  let host = FieldRuns(upTo: HostStateRow.all.count) { position in
    let row = HostStateRow.all[position]
    if case .host(let source) = row.source { return (source, row.field) }
    return nil
  }
  /// From ``constantValues``.
  let constant = FieldRuns(upTo: HostStateRow.all.count) { position in
    let row = HostStateRow.all[position]
    if case .constant = row.source { return (row.field, row.field) }
    return nil
  }
  let computed = GatheredRows<HostStateRow>(upTo: HostStateRow.all.count) { position in
    let row = HostStateRow.all[position]
    switch row.source {
    case .host, .constant, .unchanged: return nil
    default: return row
    }
  }
  /// A VMCS with the constants of the table.
  let constantValues: VMCS

  init() {
    constantValues = .allocate()
    for position in 0..<HostStateRow.all.count {
      let row = HostStateRow.all[position]
      if case .constant(let value) = row.source { constantValues[row.field] = value }
    }
  }

  static let plan = HostStatePlan()
}
