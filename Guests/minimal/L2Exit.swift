import VMX

/// What L1 reads of the VMCS at each VM exit.
struct L2Exit {
  let reason: ExitReasonField
  let qualification: UInt64
  let instructionLength: UInt64
  let rip: UInt64

  /// The VM exit that has just been: four VMREADs.
  @inline(__always)
  static func last() -> Self {
    let reason = vmread(.exitReason)
    let qualification = vmread(.exitQualification)
    let instructionLength = vmread(.exitInstructionLength)
    let rip = vmread(.guestRIP)
    return Self(
      reason: ExitReasonField(rawValue: UInt32(truncatingIfNeeded: reason)), qualification: qualification,
      instructionLength: instructionLength, rip: rip)
  }

  /// Lets L2 go on after the instruction that caused the exit: one VMWRITE.
  @inline(__always)
  func skipInstruction() { vmwrite(.guestRIP, rip &+ instructionLength) }

  /// Says that L1 did not expect this exit, and ends the run.
  func refuse() -> Never {
    Serial.write(reason.isEntryFailure ? "failed: VM entry failed: " : "failed: unexpected VM exit of L2: ")
    if let basic = reason.basic { Serial.write(basic.name) } else { Serial.write(UInt64(reason.basicNumber)) }
    Serial.write(", qualification ")
    Serial.write(hexadecimal: qualification)
    if reason.basic == .exceptionOrNMI {
      Serial.write(", vector ")
      Serial.write(vmread(.exitInterruptionInformation) & 0xFF)
    }
    Serial.write(", at RIP ")
    Serial.write(hexadecimal: rip)
    Serial.endLine()
    finish(.failure)
  }
}
