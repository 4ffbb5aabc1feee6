import Trace
import VMX

/// What an exit was about, in words: its operand by name, and its qualification as far as its bits have a meaning.
enum ExitSubject {
  /// What the operand of an exit for `reason` is called, and what it is; nil if the exit has none.
  static func operand(_ reason: UInt16, _ operand: UInt64, from level: ExitLevel) -> (
    name: String, text: String
  )? {
    switch ExitOperand(ExitReason(rawValue: reason)) {
    case .vmcsField: ("VMCS field", VMCSField(operand: operand).map { "\($0.name)" } ?? hexadecimal(operand))
    case .leaf:
      ("CPUID", "leaf \(hexadecimal(operand & 0xFFFF_FFFF)), subleaf \(hexadecimal(operand >> 32))")
    case .modelSpecificRegister: ("MSR", hexadecimal(operand))
    case .hypercall: ("RAX", hexadecimal(operand))
    case .guestPhysicalAddress: ("\(level.name)-physical address", hexadecimal(operand))
    case .none: nil
    }
  }

  /// The exit qualification in words; empty if its number says it all.
  static func qualification(_ reason: UInt16, _ qualification: UInt64) -> String {
    FieldDecoding.qualification(qualification, of: ExitReasonField(rawValue: UInt32(reason)))
  }

  /// The subject in a few words, for a list; empty if there is none.
  static func summary(_ event: ExitEvent) -> String {
    if let operand = operand(event.reason, event.operand, from: event.from) { return operand.text }
    return qualification(event.reason, event.qualification)
  }

  static func name(_ reason: UInt16) -> String { "\(ExitReason(rawValue: reason)?.name ?? "UNKNOWN")" }
}
