/// A VM-instruction error number.
///
/// Source: SDM volume 3, "VM Instruction Error Numbers".
public enum VMInstructionError: UInt32, CaseIterable, Sendable {
  case vmcallInRootOperation = 1
  case vmclearInvalidAddress = 2
  case vmclearVMXONPointer = 3
  case vmlaunchNonClearVMCS = 4
  case vmresumeNonLaunchedVMCS = 5
  case vmresumeAfterVMXOFF = 6
  case entryInvalidControlFields = 7
  case entryInvalidHostStateFields = 8
  case vmptrldInvalidAddress = 9
  case vmptrldVMXONPointer = 10
  case vmptrldIncorrectRevision = 11
  case unsupportedComponent = 12
  case vmwriteReadOnlyComponent = 13
  case vmxonInRootOperation = 15
  case entryInvalidExecutiveVMCSPointer = 16
  case entryNonLaunchedExecutiveVMCS = 17
  case entryExecutiveVMCSPointerNotVMXONPointer = 18
  case vmcallNonClearVMCS = 19
  case vmcallInvalidExitControlFields = 20
  case vmcallIncorrectMSEGRevision = 22
  case vmxoffUnderDualMonitorTreatment = 23
  case vmcallInvalidSMMMonitorFeatures = 24
  case entryInvalidExecutionControlsInExecutiveVMCS = 25
  case entryEventsBlockedByMOVSS = 26
  case invalidOperandToInvalidation = 28

  /// The SDM's description.
  public var description: StaticString {
    switch self {
    case .vmcallInRootOperation: "VMCALL executed in VMX root operation"
    case .vmclearInvalidAddress: "VMCLEAR with invalid physical address"
    case .vmclearVMXONPointer: "VMCLEAR with VMXON pointer"
    case .vmlaunchNonClearVMCS: "VMLAUNCH with non-clear VMCS"
    case .vmresumeNonLaunchedVMCS: "VMRESUME with non-launched VMCS"
    case .vmresumeAfterVMXOFF: "VMRESUME after VMXOFF (VMXOFF and VMXON between VMLAUNCH and VMRESUME)"
    case .entryInvalidControlFields: "VM entry with invalid control field(s)"
    case .entryInvalidHostStateFields: "VM entry with invalid host-state field(s)"
    case .vmptrldInvalidAddress: "VMPTRLD with invalid physical address"
    case .vmptrldVMXONPointer: "VMPTRLD with VMXON pointer"
    case .vmptrldIncorrectRevision: "VMPTRLD with incorrect VMCS revision identifier"
    case .unsupportedComponent: "VMREAD/VMWRITE from/to unsupported VMCS component"
    case .vmwriteReadOnlyComponent: "VMWRITE to read-only VMCS component"
    case .vmxonInRootOperation: "VMXON executed in VMX root operation"
    case .entryInvalidExecutiveVMCSPointer: "VM entry with invalid executive-VMCS pointer"
    case .entryNonLaunchedExecutiveVMCS: "VM entry with non-launched executive VMCS"
    case .entryExecutiveVMCSPointerNotVMXONPointer: "VM entry with executive-VMCS pointer not VMXON pointer"
    case .vmcallNonClearVMCS: "VMCALL with non-clear VMCS"
    case .vmcallInvalidExitControlFields: "VMCALL with invalid VM-exit control fields"
    case .vmcallIncorrectMSEGRevision: "VMCALL with incorrect MSEG revision identifier"
    case .vmxoffUnderDualMonitorTreatment: "VMXOFF under dual-monitor treatment of SMIs and SMM"
    case .vmcallInvalidSMMMonitorFeatures: "VMCALL with invalid SMM-monitor features"
    case .entryInvalidExecutionControlsInExecutiveVMCS:
      "VM entry with invalid VM-execution control fields in executive VMCS"
    case .entryEventsBlockedByMOVSS: "VM entry with events blocked by MOV SS"
    case .invalidOperandToInvalidation: "Invalid operand to INVEPT/INVVPID"
    }
  }
}
