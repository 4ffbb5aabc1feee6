import VMX
import X86

/// What VMX non-root operation needs beside the CPU's state: the current VMCS, and the controls as the VM entry loaded
/// them.
struct NonRootState {
  /// The EPTP that translates guest-physical addresses, or zero when EPT is off.
  var eptPointer: UInt64 = 0
  /// The current VPID; zero without the control.
  var vpid: UInt16 = 0

  var vmcs: VMCS
  var pinBased: PinBasedControls = []
  var primary: PrimaryProcessorBasedControls = []
  var secondary: SecondaryProcessorBasedControls = []
  var exitControls: PrimaryExitControls = []

  /// The value of the clock's cycles at which the VMX-preemption timer reaches zero.
  var timerDeadline: UInt64 = .max
  /// The clock's cycles at the last PAUSE, and at that which began its loop, for PAUSE-loop exiting.
  var lastPAUSE: UInt64 = 0
  var firstPAUSE: UInt64 = 0
  /// Whether UMONITOR has armed the monitor since the VM entry.
  var isMonitorArmed = false
  /// Whether an MTF VM exit is pending.
  var isMTFPending = false
  var virtualAPIC = VirtualAPICState()

  /// A cleared VMCS that is current while no other is.
  let idle: VMCS

  init(vmcs: VMCS) {
    self.vmcs = vmcs
    idle = vmcs
  }
}
