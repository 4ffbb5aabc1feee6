import Foundation
import Report
import Testing
import Trace
import VMX

@Suite struct ChromeTraceTests {
  struct File: Decodable {
    struct Event: Decodable {
      var name: String
      var ph: String
      var tid: Int?
      var ts: Double?
      var dur: Double?
    }
    var traceEvents: [Event]
  }

  static func file(_ events: [ExitEvent], frequency: UInt64) throws -> File {
    let trace = ChromeTrace(frequency: frequency)
    let text = trace.opening(process: "a \"test\"") + events.map(trace.event).joined() + trace.end()
    return try JSONDecoder().decode(File.self, from: Data(text.utf8))
  }

  @Test func eachLevelHasANamedTrack() throws {
    let file = try Self.file([], frequency: 1)
    #expect(file.traceEvents.filter { $0.name == "thread_name" }.compactMap(\.tid).sorted() == [0, 1, 2])
  }

  @Test func exitsAreCompleteEventsOnTheTrackOfTheirLevel() throws {
    let root = ExitEvent(
      from: .l2, reason: ExitReason.cpuid.rawValue, routedTo: .l1, start: 2_500, end: 5_000, tree: 0)
    let inner = ExitEvent(from: .l1, reason: ExitReason.vmread.rawValue, start: 3_000, end: 3_001)
    let exits = try Self.file([inner, root], frequency: 2_500_000_000).traceEvents.filter { $0.ph == "X" }
    #expect(exits.map(\.name) == ["VMREAD", "CPUID"])
    #expect(exits.map(\.tid) == [1, 2])
    #expect(exits.map(\.ts) == [1.2, 1.0])
    #expect(exits.map(\.dur) == [0.0004, 1.0])
  }

  /// Neither the largest time nor an unfinished event's wrapped span may trap.
  @Test func extremeTimesAreWritten() throws {
    let event = ExitEvent(from: .l1, reason: 0xFFFF, start: .max, end: 0, isFinished: false)
    for frequency: UInt64 in [0, 1, 3, .max] {
      #expect(try Self.file([event], frequency: frequency).traceEvents.count == 8)
    }
  }
}
