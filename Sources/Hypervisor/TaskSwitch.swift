import VMX
import X86

/// A task switch of L1 by hardware, which VMX non-root operation leaves to L0.
///
/// Source: SDM volume 3, "Task Switching".
struct TaskSwitch {
  let source: TaskSwitchQualification.Source
  let target: SegmentSelector
  /// The EXT bit of the error codes: whether an event that is not of the program started it.
  let external: UInt32
  /// The instruction pointer that the old task is left with.
  let savedInstructionPointer: UInt64
  /// Accesses of the processor itself.
  private(set) var space: GuestAddressSpace
  /// Whether what the processor remembers of linear addresses no longer holds.
  private(set) var changesMappings = false

  private var guest: RunningGuest { space.guest }

  /// A TSS with its descriptor.
  private struct Task {
    var selector: SegmentSelector
    var layout: TaskStateLayout
    var base: UInt64
    /// The linear address of the descriptor.
    var descriptorAddress: UInt64
    var descriptor: SegmentDescriptor
  }

  /// The task switch that the exit reported.
  init(of guest: RunningGuest, in space: GuestAddressSpace) {
    let qualification = TaskSwitchQualification(rawValue: guest[.exitQualification])
    let event = guest.vmcs.idtVectoringInformation
    source = qualification.source
    target = qualification.selector
    external = event.isValid && event.kind != .softwareInterrupt && event.kind != .softwareException ? 1 : 0
    // Instructions are behind the old task when it goes on, and so are INT n and its like; other events are not.
    let isInstruction = source != .taskGate || event.usesInstructionLength
    let length = isInstruction ? guest[.exitInstructionLength] : 0
    savedInstructionPointer = (guest[.guestRIP] &+ length) & 0xFFFF_FFFF
    self.space = space.asSystem
  }

  /// Switches to the new task. An exception that it throws is one of the old task before anything of the registers has
  /// changed, and one of the new task afterwards.
  mutating func perform(errorCode: UInt32?) throws(GuestFault) {
    let new = try newTask()
    let old = try oldTask()
    try checkAccess(old, new)
    let state = try save(old, enteringFrom: new)
    try load(state, new)
    if let errorCode { try push(errorCode, size: new.layout.registerSize) }
    guard guest[.guestRIP] <= guest[.guestCSLimit] else {
      throw .exception(.generalProtection, errorCode: external)
    }
    if state.trapsDebug {
      guest.registers.pointee.dr6 |= DR6.bt.rawValue
      throw .exception(.debug)
    }
  }

  private func fault(_ exception: ExceptionVector, _ selector: SegmentSelector) -> GuestFault {
    .exception(exception, errorCode: UInt32(selector.rawValue & 0xFFFC) | external)
  }

  // MARK: The tasks

  /// The new task, after the checks of its TSS descriptor.
  private func newTask() throws(GuestFault) -> Task {
    let isReturn = source == .iret
    let invalid = fault(isReturn ? .invalidTSS : .generalProtection, target)
    guard !target.isLocal, !target.isNull, let address = descriptorAddress(target) else { throw invalid }
    let descriptor = SegmentDescriptor(rawValue: try space.load(address, size: 8))
    guard let type = GateDescriptor(lower: descriptor.rawValue).type, type.isTaskState,
      type.isBusyTask == isReturn
    else { throw invalid }
    guard descriptor.accessRights.isPresent else { throw fault(.segmentNotPresent, target) }
    guard descriptor.limit >= type.leastTaskStateLimit else { throw fault(.invalidTSS, target) }
    return Task(
      selector: target, layout: TaskStateLayout(type), base: descriptor.base, descriptorAddress: address,
      descriptor: descriptor)
  }

  /// The task that TR names.
  private func oldTask() throws(GuestFault) -> Task {
    let selector = guest.vmcs.selector(of: .tr)
    let type = SystemSegmentType(rawValue: guest.vmcs.accessRights(of: .tr).type) ?? .tss32Busy
    guard guest[.guestTRLimit] >= UInt64(type.leastTaskStateLimit), let address = descriptorAddress(selector)
    else { throw fault(.invalidTSS, selector) }
    return Task(
      selector: selector, layout: TaskStateLayout(type), base: guest[.guestTRBase],
      descriptorAddress: address,
      descriptor: SegmentDescriptor(rawValue: try space.load(address, size: 8)))
  }

  /// The linear address of the descriptor of `selector`, or nil if it is outside its table.
  private func descriptorAddress(_ selector: SegmentSelector) -> UInt64? {
    if selector.isLocal, guest.vmcs.accessRights(of: .ldtr).isUnusable { return nil }
    let base = guest[selector.isLocal ? .guestLDTRBase : .guestGDTRBase]
    let limit = guest[selector.isLocal ? .guestLDTRLimit : .guestGDTRLimit]
    guard selector.offset &+ 7 <= limit else { return nil }
    return (base &+ selector.offset) & 0xFFFF_FFFF
  }

  /// Faults if any page of the TSSs or their descriptors cannot be accessed as the switch will.
  private func checkAccess(_ old: Task, _ new: Task) throws(GuestFault) {
    try space.probe(old.descriptorAddress, size: 8, .write)
    try space.probe(new.descriptorAddress, size: 8, .write)
    try space.probe(old.base, size: old.layout.size, .write)
    try space.probe(new.base, size: new.layout.size, .read)
    if linksBack { try space.probe(new.base, size: 2, .write) }
  }

  /// Whether the new task is nested in the old one.
  private var linksBack: Bool { source == .call || source == .taskGate }

  // MARK: The switch

  /// Leaves the old task and returns the state that the new one begins with.
  private func save(_ old: Task, enteringFrom new: Task) throws(GuestFault) -> TaskState {
    if !linksBack { try setBusy(false, old) }
    var state = TaskState(of: guest)
    state.instructionPointer = savedInstructionPointer
    if source == .iret { state.flags &= ~RFLAGS.nt.rawValue }
    try state.save(at: old.base, old.layout, in: space)
    if linksBack { try space.store(UInt64(old.selector.rawValue), at: new.base & 0xFFFF_FFFF, size: 2) }
    if source != .iret { try setBusy(true, new) }
    var next = try TaskState(at: new.base, new.layout, in: space)
    if linksBack { next.flags |= RFLAGS.nt.rawValue }
    return next
  }

  private func setBusy(_ isBusy: Bool, _ task: Task) throws(GuestFault) {
    let place = (task.descriptorAddress &+ 5) & 0xFFFF_FFFF
    let rights = try space.load(place, size: 1)
    try space.store(isBusy ? rights | 2 : rights & ~2, at: place, size: 1)
  }

  /// Loads TR and the state of the new task.
  private mutating func load(_ state: TaskState, _ new: Task) throws(GuestFault) {
    loadTaskRegister(new)
    loadRegisters(state)
    var segments = TaskSegments()
    for segment in SegmentRegister.allCases {
      segments[GuestSegment(segment)].selector = state.selectors[Int(segment.rawValue)]
    }
    segments[.ldtr].selector = state.localTable
    let isVirtual8086 = RFLAGS(rawValue: state.flags).contains(.vm)
    if isVirtual8086 {
      for segment in SegmentRegister.allCases { loadVirtual8086(GuestSegment(segment), segments) }
    } else {
      unload(segments, is32Bit: new.layout == .bits32)
    }
    unload(.ldtr, segments)
    try loadPaging(state)
    try find(.ldtr, &segments)
    if segments.passes(.ldtr, privilege: 0) { load(.ldtr, segments) }
    if isVirtual8086 {
      if let failure = segments.failure(of: [.localTable], external: external) { throw failure }
      return
    }
    try loadSegments(&segments)
  }

  private func loadTaskRegister(_ new: Task) {
    guest[.guestTRSelector] = UInt64(new.selector.rawValue)
    guest[.guestTRBase] = new.base
    guest[.guestTRLimit] = UInt64(new.descriptor.limit)
    guest[.guestTRAccessRights] = UInt64(new.descriptor.accessRights.rawValue) | 2
    guest[.guestCR0] |= CR0.ts.rawValue
    guest[.cr0ReadShadow] |= CR0.ts.rawValue
  }

  private func loadRegisters(_ state: TaskState) {
    guest[.guestRIP] = state.instructionPointer
    guest[.guestRFLAGS] = state.flags & RFLAGS.defined.rawValue | RFLAGS.fixed1.rawValue
    for number in 0..<8 { guest[GeneralRegister(number: UInt64(number))] = state.generalRegisters[number] }
    let local: DR7 = [.l0, .l1, .l2, .l3, .le]
    guest[.guestDR7] &= ~local.rawValue
    guest.vmcs.interruptibilityState.subtract([.blockingBySTI, .blockingByMOVSS])
    if source == .iret { guest.vmcs.interruptibilityState.remove(.blockingByNMI) }
  }

  /// Without paging, and from a 16-bit TSS, CR3 is not loaded.
  private mutating func loadPaging(_ state: TaskState) throws(GuestFault) {
    guard let cr3 = state.cr3, guest.visibleCR0.contains(.pg) else { return }
    guest[.guestCR3] = cr3
    changesMappings = true
    if guest.usesPDPTEs {
      let table = PhysicalAddress<L1>(guest.pageDirectoryPointers)
      guard guest.loadPDPTEs(from: space.ram, at: table) else {
        throw .exception(.generalProtection, errorCode: external)
      }
    }
    space = space.refreshed.asSystem
  }

  /// Pushes the error code of the event that the task gate is of, on the stack of the new task.
  private func push(_ errorCode: UInt32, size: UInt8) throws(GuestFault) {
    let stack = space.refreshed
    let mask: UInt64 = guest.vmcs.accessRights(of: .ss).isBig ? 0xFFFF_FFFF : 0xFFFF
    let pointer = (guest[.guestRSP] &- UInt64(size)) & mask
    guard let linear = try? stack.linear(.ss, pointer, size: UInt64(size), .write) else {
      throw .exception(.stackSegmentFault, errorCode: external)
    }
    try stack.store(UInt64(errorCode), at: linear, size: size)
    guest[.guestRSP] = guest[.guestRSP] & ~mask | pointer
  }
}

// MARK: - Segments

extension TaskSwitch {
  /// Loads CS, SS and the data segment registers that pass their checks; a fault is that of the first failing check.
  fileprivate func loadSegments(_ segments: inout TaskSegments) throws(GuestFault) {
    for segment in SegmentRegister.allCases { try find(GuestSegment(segment), &segments) }
    for register in SegmentRegister.allCases {
      let segment = GuestSegment(register)
      guard !segments[segment].selector.isNull, segments.passes(segment, privilege: segments.privilege) else {
        continue
      }
      try setAccessed(segment, &segments)
      load(segment, segments)
    }
    let all: [TaskSegmentCheck.Subject] = [.localTable, .code, .stack, .data]
    if let failure = segments.failure(of: all, external: external) { throw failure }
  }

  /// Reads the descriptor of a segment, if its selector is within a table.
  fileprivate func find(_ segment: GuestSegment, _ segments: inout TaskSegments) throws(GuestFault) {
    let selector = segments[segment].selector
    guard !selector.isNull, let address = descriptorAddress(selector) else { return }
    segments[segment].address = address
    segments[segment].descriptor = SegmentDescriptor(rawValue: try space.load(address, size: 8))
  }

  fileprivate func setAccessed(_ segment: GuestSegment, _ segments: inout TaskSegments) throws(GuestFault) {
    guard var descriptor = segments[segment].descriptor, !descriptor.accessRights.isAccessed else { return }
    descriptor.rawValue |= 1 << 40
    let place = (segments[segment].address &+ 5) & 0xFFFF_FFFF
    try space.store(descriptor.rawValue >> 40, at: place, size: 1)
    segments[segment].descriptor = descriptor
  }

  fileprivate func load(_ segment: GuestSegment, _ segments: TaskSegments) {
    guard let descriptor = segments[segment].descriptor else { return }
    guest[segment.baseField] = descriptor.base
    guest[segment.limitField] = UInt64(descriptor.limit)
    guest[segment.accessRightsField] = UInt64(descriptor.accessRights.rawValue)
  }

  fileprivate func loadVirtual8086(_ segment: GuestSegment, _ segments: TaskSegments) {
    let selector = segments[segment].selector
    guest[segment.selectorField] = UInt64(selector.rawValue)
    guest[segment.baseField] = UInt64(selector.rawValue) << 4
    guest[segment.limitField] = 0xFFFF
    guest[segment.accessRightsField] = 0xF3
  }

  /// Gives the segment registers the new task's selectors alone, as they stay if their descriptors cannot be loaded. CS,
  /// which a processor cannot be without, is then a segment of one byte.
  fileprivate func unload(_ segments: TaskSegments, is32Bit: Bool) {
    for segment in SegmentRegister.allCases { unload(GuestSegment(segment), segments) }
    let code = SegmentAccessRights(
      type: 0xB, isCodeOrData: true, dpl: segments.privilege, isBig: is32Bit)
    guest[.guestCSAccessRights] = UInt64(code.rawValue)
    var stack = SegmentAccessRights.unusable
    stack.dpl = segments.privilege
    guest[.guestSSAccessRights] = UInt64(stack.rawValue)
  }

  fileprivate func unload(_ segment: GuestSegment, _ segments: TaskSegments) {
    guest[segment.selectorField] = UInt64(segments[segment].selector.rawValue)
    guest[segment.baseField] = 0
    guest[segment.limitField] = 0
    guest[segment.accessRightsField] = UInt64(SegmentAccessRights.unusable.rawValue)
  }
}

extension TaskSegments {
  /// Whether a segment passes all of its checks.
  fileprivate func passes(_ segment: GuestSegment, privilege: UInt8) -> Bool {
    TaskSegmentCheck.all.allSatisfy {
      !$0.subject.segments.contains(segment) || $0.passes(self[segment], privilege)
    }
  }

  /// The exception of the first of the checks of `subjects` that a segment does not pass.
  fileprivate func failure(of subjects: [TaskSegmentCheck.Subject], external: UInt32) -> GuestFault? {
    for check in TaskSegmentCheck.all where subjects.contains(check.subject) {
      for segment in check.subject.segments where !check.passes(self[segment], privilege) {
        let selector = self[segment].selector
        return .exception(check.exception, errorCode: UInt32(selector.rawValue & 0xFFFC) | external)
      }
    }
    return nil
  }
}
