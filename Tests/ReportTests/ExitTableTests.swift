import ExitAnalysis
import Report
import Testing
import Trace
import VMX

@Suite struct ExitTableTests {
  static let exits = [
    ExitCount(
      from: .l2, reason: ExitReason.cpuid.rawValue, routedTo: .l1, count: 1000, cycles: 5_000_000,
      spanCycles: 9_000_000),
    ExitCount(
      from: .l1, reason: ExitReason.vmread.rawValue, routedTo: .l0, count: 4000, cycles: 100, spanCycles: 100),
  ]

  @Test func tableHasARowPerKindAndTotals() {
    let lines = ExitTable.table(Self.exits).rendered().split(separator: "\n")
    #expect(lines[0] == "from   reason  routed to  count     cycles")
    #expect(lines[2] == "L2     CPUID   L1         1,000  5,000,000")
    #expect(lines[3] == "L1     VMREAD  L0         4,000        100")
    #expect(lines.last == "total                     5,000  5,000,100")
  }

  @Test func jsonHasTheKeysOfTheSchema() {
    #expect(
      ExitTable.json(Self.exits).text()
        == #"[{"from":"L2","reason":"CPUID","routedTo":"L1","count":1000,"cycles":5000000},"#
        + #"{"from":"L1","reason":"VMREAD","routedTo":"L0","count":4000,"cycles":100}]"#)
  }

  @Test func multiplicationIsASentence() {
    let multiplication = Multiplication(l2Exits: 1000, hardwareExits: 13_500)
    #expect(
      ExitTable.sentence(multiplication)
        == "multiplication: 1,000 L2 exits handled by L1 took 13,500 hardware exits, 13.50 per L2 exit")
    #expect(
      ExitTable.json(multiplication).text() == #"{"l2Exits":1000,"hardwareExits":13500,"perL2Exit":13.5}"#)
    #expect(ExitTable.sentence(Multiplication()).hasPrefix("multiplication: none"))
  }
}
