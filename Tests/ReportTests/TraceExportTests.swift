import Report
import Testing
import Trace
import VMX

@Suite struct TraceExportTests {
  /// A tree as a log gives it: the root after its members.
  private static let tree: [ExitEvent] = [
    ExitEvent(
      from: .l1, reason: ExitReason.vmread.rawValue, start: 3_000, end: 3_500, hostCycles: 500, rip: 0x1000,
      operand: 0x4402, tree: 0),
    ExitEvent(
      from: .l1, reason: ExitReason.vmresume.rawValue, start: 4_000, end: 4_900, hostCycles: 900,
      work: ExitWork(vmptrlds: 1), tree: 0),
    ExitEvent(
      from: .l2, reason: ExitReason.cpuid.rawValue, routedTo: .l1, start: 1_000, end: 4_900, hostCycles: 800,
      rip: 0xFFFF_8000_0000_0000, tree: 0),
  ]

  private static func export(_ format: TraceExportFormat, _ events: [ExitEvent] = tree) -> [UInt8] {
    let description = TraceDescription([.init("guest", "g"), .init("frequency", "1000000000")])
    var exporter = format.exporter(for: description)
    var bytes = exporter.opening(description)
    for event in events { exporter.append(event, to: &bytes) }
    return bytes + exporter.closing()
  }

  @Test func kvmTracepointsAreInTheOrderOfTime() {
    let lines = String(decoding: Self.export(.kvm), as: UTF8.self).split(separator: "\n").dropFirst(2)
    let words = lines.map { $0.split(separator: " ") }
    #expect(
      words.map { "\($0[2]) \($0[3])" } == [
        "0.000001000: kvm_exit:", "0.000001000: kvm_nested_vmexit:", "0.000001800: kvm_nested_vmexit_inject:",
        "0.000001800: kvm_entry:", "0.000003000: kvm_exit:", "0.000003500: kvm_entry:",
        "0.000004000: kvm_exit:",
        "0.000004900: kvm_nested_vmenter:", "0.000004900: kvm_entry:",
      ])
    #expect(
      lines.first?.hasSuffix(
        "vcpu 0 reason CPUID rip 0xffff800000000000 info1 0x0000000000000000 info2 0x0000000000000000 "
          + "intr_info 0x00000000 error_code 0x00000000") == true)
  }

  @Test func csvHasALineForEachExit() throws {
    let table = try #require(CSVTable(text: String(decoding: Self.export(.csv), as: UTF8.self)))
    #expect(table.rows.count == 3)
    let row = Dictionary(uniqueKeysWithValues: zip(table.header, table.rows[0]))
    #expect(row["reason"] == "VMREAD")
    #expect(row["operand"] == "0x4402")
    #expect(row["hostCycles"] == "500")
    #expect(table.rows.allSatisfy { $0.count == table.header.count })
  }

  /// The wire format, taken apart again: packets of a trace, each a track's description or a slice's begin or end.
  @Test func perfettoIsATraceOfPackets() {
    var fields = WireFormat(Self.export(.perfetto))
    var slices: [(type: UInt64, time: UInt64)] = []
    var tracks: [UInt64] = []
    while let (field, packet) = fields.next() {
      #expect(field == 1)
      let message = WireFormat.all(packet.bytes)
      if let event = message[11], let time = message[8] {
        let type = WireFormat.all(event.bytes)[9]
        slices.append((type?.number ?? 0, time.number))
      } else if let track = message[60] {
        tracks.append(WireFormat.all(track.bytes)[1]?.number ?? 0)
      }
    }
    #expect(tracks == [1, 4, 3])
    #expect(slices.map(\.type) == [1, 2, 1, 2, 1, 2])
    #expect(slices.map(\.time) == [3_000, 3_500, 4_000, 4_900, 1_000, 4_900])
  }

  @Test func extremeEventsAreExported() {
    let event = ExitEvent(
      from: .l2, reason: 0xFFFF, start: .max, end: 0, hostCycles: .max, rip: .max, qualification: .max,
      operand: .max, processor: 255, isFinished: false)
    for format in TraceExportFormat.allCases { #expect(!Self.export(format, [event]).isEmpty) }
  }
}

/// Takes protobuf's wire format apart.
private struct WireFormat {
  struct Value {
    var number: UInt64 = 0
    var bytes: [UInt8] = []
  }

  private var bytes: ArraySlice<UInt8>

  init(_ bytes: [UInt8]) { self.bytes = bytes[...] }

  static func all(_ bytes: [UInt8]) -> [UInt64: Value] {
    var format = WireFormat(bytes)
    var fields: [UInt64: Value] = [:]
    while let (field, value) = format.next() { fields[field] = value }
    return fields
  }

  mutating func next() -> (UInt64, Value)? {
    guard !bytes.isEmpty else { return nil }
    let key = varint()
    guard key & 7 == 2 else { return (key >> 3, Value(number: varint())) }
    let count = Int(varint())
    defer { bytes = bytes.dropFirst(count) }
    return (key >> 3, Value(bytes: Array(bytes.prefix(count))))
  }

  private mutating func varint() -> UInt64 {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while let byte = bytes.popFirst() {
      value |= UInt64(byte & 0x7F) << shift
      if byte & 0x80 == 0 { break }
      shift += 7
    }
    return value
  }
}
