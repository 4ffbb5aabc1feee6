import VMX
import X86

// Task switches, none of which VMX non-root operation carries out: the checks that come before their VM exit.
extension Core {
  /// The VM exit of an attempt by `source` to switch to the task whose TSS is that of `selector`, after the checks of
  /// the selector and its descriptor.
  ///
  /// Source: SDM volume 3, "Treatment of Task Switches"; "Exception Conditions Checked During a Task Switch".
  func taskSwitch(
    _ source: TaskSwitchQualification.Source, to selector: SegmentSelector, external: UInt32 = 0
  ) throws(Interruption) -> Interruption {
    let isReturn = source == .iret
    let fault: ExceptionVector = isReturn ? .invalidTSS : .generalProtection
    let code = errorCode(selector, external: external)
    guard !selector.isLocal, !selector.isNull else { throw raise(fault, errorCode: code) }
    let descriptor = try readDescriptor(selector, fault: fault, external: external)
    guard let type = descriptor.systemType, type.isTaskState, type.isBusyTask == isReturn else {
      throw raise(fault, errorCode: code)
    }
    guard descriptor.rights.isPresent else { throw raise(.segmentNotPresent, errorCode: code) }
    guard descriptor.segment.limit >= type.leastTaskStateLimit else {
      throw raise(.invalidTSS, errorCode: code)
    }
    let qualification = TaskSwitchQualification(source, selector: selector).rawValue
    return source == .taskGate
      ? eventExit(.taskSwitch, qualification: qualification)
      : vmExit(.taskSwitch, qualification: qualification)
  }

  /// The selector of the task that the current one is nested in: the previous task link of its TSS.
  func previousTask() throws(Interruption) -> SegmentSelector {
    let address = try taskStateOffset(0, size: 2, external: 0)
    return SegmentSelector(rawValue: try loadSystem(address, as: UInt16.self))
  }
}
