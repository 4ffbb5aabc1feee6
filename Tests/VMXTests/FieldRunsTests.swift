import Testing
import VMX

@Suite("Runs of fields")
struct FieldRunsTests {
  @Test func copyEachFieldAndNoOther() {
    let source = VMCS.allocate()
    let target = VMCS.allocate()
    defer {
      source.deallocate()
      target.deallocate()
    }
    for position in 0..<VMCSField.count {
      source[VMCSField.rows[position].field] = UInt64(position &+ 1)
    }
    let runs = FieldRuns(upTo: VMCSField.count) { position in
      let field = VMCSField.rows[position].field
      return position % 5 == 0 ? nil : (field, field)
    }
    runs.copy(from: source, to: target)
    #expect(runs.fieldCount == UInt64(VMCSField.count - (VMCSField.count + 4) / 5))
    for position in 0..<VMCSField.count {
      #expect(target[VMCSField.rows[position].field] == UInt64(position % 5 == 0 ? 0 : position &+ 1))
    }
  }

  @Test func copyBetweenDifferentFields() {
    let source = VMCS.allocate()
    let target = VMCS.allocate()
    defer {
      source.deallocate()
      target.deallocate()
    }
    let pairs: [(source: VMCSField, target: VMCSField)] = [
      (.hostESSelector, .guestESSelector), (.hostCSSelector, .guestCSSelector),
      (.hostTRSelector, .guestTRSelector), (.hostRIP, .guestRIP), (.hostRSP, .guestRSP),
    ]
    for (number, pair) in pairs.enumerated() { source[pair.source] = UInt64(number &+ 10) }
    FieldRuns(upTo: pairs.count) { pairs[$0] }.copy(from: source, to: target)
    for (number, pair) in pairs.enumerated() { #expect(target[pair.target] == UInt64(number &+ 10)) }
  }
}
