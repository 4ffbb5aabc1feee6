/// What VMX non-root operation needs beside the VMCS: the controls as the current VM entry loaded them.
struct NonRootState {
  /// The EPTP that translates guest-physical addresses, or zero when EPT is off.
  var eptPointer: UInt64 = 0
  /// The current VPID; zero without the control.
  var vpid: UInt16 = 0
}
