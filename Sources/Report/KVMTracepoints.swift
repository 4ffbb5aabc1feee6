import ExitAnalysis
import Trace
import VMX

/// A trace as text of Linux's kvm tracepoints, as trace-cmd prints them: what scripts for `perf kvm` and trace-cmd
/// read.
///
/// Each hardware exit is a `kvm_exit` of L0, each VM entry a `kvm_entry`; an exit of L2 is a `kvm_nested_vmexit` too,
/// and a `kvm_nested_vmexit_inject` if L1 gets it; a VMLAUNCH or VMRESUME that enters L2 is a `kvm_nested_vmenter`.
/// What a trace does not hold (info2, interrupt information) is 0. The lines of one virtual CPU are in the order of
/// time, for the exits of a tree wait for its root (``TreeBuffer``); those of several come in pieces.
public struct KVMTracepoints: TraceExport {
  private let frequency: UInt64
  private var buffer = TreeBuffer()

  /// `frequency` is the number of virtual cycles per second.
  public init(frequency: UInt64) { self.frequency = max(1, frequency) }

  public mutating func opening(_ description: TraceDescription) -> [UInt8] {
    Array("# tracer: nop\n# \(description.title); times are virtual\n".utf8)
  }

  public mutating func append(_ event: ExitEvent, to output: inout [UInt8]) {
    var ready: [ExitEvent] = []
    buffer.add(event) { ready += [$0] + $1 }
    for event in ready { write(event, to: &output) }
  }

  public mutating func closing() -> [UInt8] {
    var ready: [ExitEvent] = []
    buffer.finish { event, _ in ready.append(event) }
    var output: [UInt8] = []
    for event in ready { write(event, to: &output) }
    return output
  }

  private func write(_ event: ExitEvent, to output: inout [UInt8]) {
    let info =
      "vcpu \(event.processor) reason \(KVMExitName.name(event.reason)) rip \(hexadecimal(event.rip)) "
      + "info1 \(padded(event.qualification, 16)) info2 \(padded(0, 16)) intr_info \(padded(0, 8)) "
      + "error_code \(padded(0, 8))"
    line("kvm_exit: \(info)", event, at: event.start, to: &output)
    if event.from == .l2 { line("kvm_nested_vmexit: \(info)", event, at: event.start, to: &output) }
    let entry = event.start &+ event.hostCycles
    if event.isTreeRoot {
      line(
        "kvm_nested_vmexit_inject: reason: \(KVMExitName.name(event.reason)) "
          + "ext_inf1: \(padded(event.qualification, 16)) ext_inf2: \(padded(0, 16)) ext_int: \(padded(0, 8)) "
          + "ext_int_err: \(padded(0, 8))", event, at: entry, to: &output)
    }
    if event.from == .l1, event.work.vmptrlds > 0 {
      line("kvm_nested_vmenter: rip: \(padded(event.rip, 16))", event, at: entry, to: &output)
    }
    if event.isTreeRoot || event.isFinished {
      line("kvm_entry: vcpu \(event.processor)", event, at: entry, to: &output)
    }
  }

  private func line(_ text: String, _ event: ExitEvent, at cycles: UInt64, to output: inout [UInt8]) {
    let processor = String(event.processor)
    let number = String(repeating: "0", count: max(0, 3 - processor.count)) + processor
    output += "         testudo-1     [\(number)] \(seconds(cycles)): \(text)\n".utf8
  }

  /// Seconds with nine decimal places, as `trace-cmd report -t` prints them.
  private func seconds(_ cycles: UInt64) -> String {
    let (whole, rest) = cycles.quotientAndRemainder(dividingBy: frequency)
    let nanoseconds = frequency.dividingFullWidth(rest.multipliedFullWidth(by: 1_000_000_000)).quotient
    let digits = String(nanoseconds)
    return "\(whole)." + String(repeating: "0", count: 9 - digits.count) + digits
  }

  private func padded(_ value: UInt64, _ digits: Int) -> String {
    let text = String(value, radix: 16)
    return "0x" + String(repeating: "0", count: max(0, digits - text.count)) + text
  }
}
