import CInstructions
import VMX

// VMX instructions with the vocabulary's types. No failure is expected of any of them, so each ends the run.

/// VMREAD of `field`.
@inline(__always)
func vmread(_ field: VMCSField) -> UInt64 {
  var value: UInt64 = 0
  if CInstructions.vmread(UInt64(field.rawValue), &value) { vmxFailed("VMREAD", field) }
  return value
}

/// VMWRITE of `field`.
@inline(__always)
func vmwrite(_ field: VMCSField, _ value: UInt64) {
  if CInstructions.vmwrite(UInt64(field.rawValue), value) { vmxFailed("VMWRITE", field) }
}

/// VMWRITE of a word of controls to its own field.
func vmwrite<Word: ControlWord>(_ controls: Word) {
  vmwrite(Word.kind.field, UInt64(controls.rawValue))
}

/// Says which VMX instruction failed, on which field if any, with the VM-instruction error, and ends the run.
@inline(never)
func vmxFailed(_ instruction: StaticString, _ field: VMCSField? = nil) -> Never {
  Serial.write("failed: ")
  Serial.write(instruction)
  if let field {
    Serial.write(" of field ")
    Serial.write(hexadecimal: UInt64(field.rawValue))
  }
  var number: UInt64 = 0
  // Without a current VMCS there is no field to hold an error number, and this VMREAD fails as well.
  if CInstructions.vmread(UInt64(VMCSField.vmInstructionError.rawValue), &number) {
    Serial.writeLine(": VMfailInvalid")
    finish(.failure)
  }
  Serial.write(": VM-instruction error ")
  Serial.write(number)
  if let error = VMInstructionError(rawValue: UInt32(truncatingIfNeeded: number)) {
    Serial.write(" (")
    Serial.write(error.description)
    Serial.write(")")
  }
  Serial.endLine()
  finish(.failure)
}
