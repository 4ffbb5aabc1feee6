import VMX

/// The payload of a block of VMCS snapshots (see ``TraceFormat``).
///
/// A snapshot is told as its differences from the one before it in the same payload, the first from VMCSs full of zeros.
struct SnapshotEncoder {
  private(set) var bytes: [UInt8] = []
  private(set) var count: UInt32 = 0
  private var before = SnapshotCoding.zeros

  mutating func put(_ snapshot: VMCSSnapshot) {
    put(UInt64(snapshot.step) << 1 | UInt64(snapshot.moment.rawValue))
    for vmcs in SnapshotCoding.parts {
      let (old, new) = (before[keyPath: vmcs], snapshot[keyPath: vmcs])
      let fields = new.fields(differingFrom: old)
      put(UInt64(fields.count))
      var last: UInt64 = 0
      for field in fields {
        put(UInt64(field.rawValue) &- last)
        put(new[field])
        last = UInt64(field.rawValue)
      }
    }
    before = snapshot
    count &+= 1
  }

  private mutating func put(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(truncatingIfNeeded: rest))
  }
}

enum SnapshotCoding {
  static var zeros: VMCSSnapshot {
    VMCSSnapshot(
      step: 0, moment: .exit, vmcs01: VMCSValues(), vmcs12: VMCSValues(), vmcs02: VMCSValues())
  }
  /// The three VMCSs in the order of the file.
  static var parts: [WritableKeyPath<VMCSSnapshot, VMCSValues>] { [\.vmcs01, \.vmcs12, \.vmcs02] }
  /// No snapshot is longer: a number for the step, and for each VMCS a count and two numbers for each field.
  static var sizeLimit: Int { 10 + 3 * (10 + VMCSField.count * 20) }

  /// The `count` snapshots of a payload, or nil if they are not what it holds. A field that this program does not know
  /// is left out.
  static func snapshots(_ payload: UnsafeRawBufferPointer, count: Int) -> [VMCSSnapshot]? {
    var decoder = TraceBlockDecoder(payload, TraceContext(end: 0, instructions: 0, tree: 0))
    var snapshots: [VMCSSnapshot] = []
    var snapshot = zeros
    guard count <= 2 * TreeSnapshots.stepLimit else { return nil }
    for _ in 0..<count {
      let head = decoder.number()
      guard let step = UInt32(exactly: head >> 1), step < TreeSnapshots.stepLimit else { return nil }
      snapshot.step = step
      snapshot.moment = head & 1 == 0 ? .exit : .handled
      for vmcs in parts {
        let changes = decoder.number()
        guard changes <= UInt64(payload.count) else { return nil }
        var encoding: UInt64 = 0
        for _ in 0..<changes {
          encoding &+= decoder.number()
          let value = decoder.number()
          guard let field = VMCSField(operand: encoding), !field.isHighAccess else { continue }
          snapshot[keyPath: vmcs][field] = value
        }
      }
      guard !decoder.hasFailed else { return nil }
      snapshots.append(snapshot)
    }
    return decoder.isAtEnd ? snapshots : nil
  }
}
