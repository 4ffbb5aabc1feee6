import VMX

/// What L0 does with an exit that it keeps.
public enum L0Handler: UInt8, Equatable, Sendable {
  /// An interrupt of L0's devices.
  case externalInterrupt
  /// An NMI or a machine check of L0.
  case nonMaskableInterrupt
  /// A VMX instruction of L1: `VirtualVMX.execute`.
  case vmxInstruction
  /// ept02 has been filled: nothing is left to do.
  case composedEPT
  /// L2 gets a virtualization exception by the next VM entry: nothing is left to do.
  case virtualizationException
  /// An access to L1-physical memory that ept01 does not allow: `VirtualVMX.faultingAddress`, or in L1 the
  /// guest-physical address of vmcs01.
  case memoryOfL1
  /// No page is left for ept02.
  case outOfPages
  /// An instruction or event of the level that runs: L0 gives it the processor and the devices that L1 has.
  case emulation
  /// No exit of this reason is possible with the controls that L0 sets.
  case unexpected
}

/// Who handles an exit.
public enum Route: Equatable, Sendable {
  case keptByL0(L0Handler)
  /// An exit of L2 that L1 intercepts, with the information that L1 gets: `VirtualVMX.reflect`.
  case reflectedToL1(ExitInformation)
}

/// Under which of its controls L1 wants an exit of L2.
public enum L1Interest: Sendable {
  case always
  case never
  case pin(PinBasedControls)
  case primary(PrimaryProcessorBasedControls)
  case secondary(SecondaryProcessorBasedControls)
  /// Any of these.
  case either(PrimaryProcessorBasedControls, SecondaryProcessorBasedControls)
  /// All of these.
  case both(PrimaryProcessorBasedControls, SecondaryProcessorBasedControls)
  /// A decision on the exit's details, by name.
  case details(RoutingDetails)
}

/// A decision that needs more than a control: `VirtualVMX` has a function of each name.
public enum RoutingDetails: UInt8, Sendable {
  /// The exception bitmap, and for page faults the error-code mask and match.
  case exception
  case controlRegister
  case io
  case msrRead, msrWrite
  /// L1's VMREAD or VMWRITE bitmap, if it uses VMCS shadowing for L2.
  case vmread, vmwrite
  /// "PAUSE exiting", or "PAUSE-loop exiting" unless L0 itself has every PAUSE exit.
  case pause
  /// The VM functions that L1 enables, with operands that need no exit.
  case vmFunction
  /// ept12 decides; otherwise ept02 is filled.
  case eptViolation
}

/// The routing of one exit reason.
public struct ExitRoute: Sendable {
  public let reason: ExitReason
  /// What L0 claims before L1 is asked.
  public let l0First: L0Handler?
  /// When L1 wants the exit of L2.
  public let l1: L1Interest
  /// What L0 does with the exit if it is from L1, or from L2 and L1 does not want it.
  public let otherwise: L0Handler

  init(
    _ reason: ExitReason, l0First: L0Handler? = nil, l1: L1Interest, otherwise: L0Handler = .emulation
  ) {
    self.reason = reason
    self.l0First = l0First
    self.l1 = l1
    self.otherwise = otherwise
  }

  /// The number of rows: one per basic exit reason of the SDM.
  public static var count: Int { all.count }

  /// The row at `position`, from 0 up to ``count`` - 1.
  public static func row(at position: Int) -> ExitRoute { all[position] }
}
