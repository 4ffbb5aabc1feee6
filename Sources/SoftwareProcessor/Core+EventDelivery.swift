import VMX
import X86

/// A gate's handler, checked: where it is, and what it runs with.
struct Handler {
  var segment: SegmentState
  var offset: UInt64
  var privilege: UInt8
  /// The size of what is pushed: 2, 4 or 8 bytes.
  var size: UInt8
  var clearsIF: Bool
  var stackTable: UInt8
}

extension Core {
  /// Delivery in real-address mode.
  ///
  /// Source: SDM volume 3, "Interrupt and Exception Handling" of "8086 Emulation".
  func deliverReal(_ event: Event) throws(Interruption) {
    let entry = UInt64(event.vector) << 2
    guard entry &+ 3 <= UInt64(cpu.pointee.idtr.limit) else {
      throw raise(.generalProtection, errorCode: UInt32(event.vector) << 3 | 2 | event.external)
    }
    let target = try loadSystem(systemAddress(cpu.pointee.idtr.base, entry), as: UInt32.self)
    var stack = currentStack
    try push(rflags, size: 2, to: &stack)
    try push(UInt64(cpu.pointee.cs.selector), size: 2, to: &stack)
    try push(rip &+ returnOffset(event), size: 2, to: &stack)
    commit(stack)
    cpu.pointee.cs.selector = UInt16(truncatingIfNeeded: target >> 16)
    cpu.pointee.cs.base = UInt64(target >> 16) << 4
    rip = UInt64(target & 0xFFFF)
    cpu.pointee.rflagsSystem &= ~RFLAGS([.if, .tf, .ac, .rf]).rawValue
  }

  /// Delivery in protected mode, virtual-8086 mode and IA-32e mode.
  ///
  /// Source: SDM volume 3, "Exception- or Interrupt-Handler Procedures" and "Exception and Interrupt Handling in
  /// 64-bit Mode"; volume 2, "INT n/INTO/INT3/INT1—Call to Interrupt Procedure".
  func deliverProtected(_ event: Event) throws(Interruption) {
    if event.isRedirected { return try deliverRedirected(event) }
    let handler = try handler(of: event)
    let changesPrivilege = handler.privilege != cpl
    var stack = try handlerStack(handler, event)
    var image = rflags
    // Between two iterations of a string instruction RF is set for interrupts and traps too.
    if event.setsResumeFlag || cpu.pointee.isMidRepetition { image |= RFLAGS.rf.rawValue }
    let size = handler.size
    if isVirtual8086 { try pushDataSegments(size: size, to: &stack) }
    if changesPrivilege || isIA32e {
      try push(UInt64(cpu.pointee.ss.selector), size: size, to: &stack)
      try push(self[.rsp], size: size, to: &stack)
    }
    try push(image, size: size, to: &stack)
    try push(UInt64(cpu.pointee.cs.selector), size: size, to: &stack)
    try push(instructionPointer(rip &+ returnOffset(event)), size: size, to: &stack)
    if event.hasErrorCode { try push(UInt64(event.errorCode), size: size, to: &stack) }
    enter(handler, stack, changesPrivilege: changesPrivilege)
  }

  private func returnOffset(_ event: Event) -> UInt64 {
    event.isSoftware ? UInt64(event.instructionLength) : 0
  }

  private func pushDataSegments(size: UInt8, to stack: inout StackCursor) throws(Interruption) {
    try push(UInt64(cpu.pointee.gs.selector), size: size, to: &stack)
    try push(UInt64(cpu.pointee.fs.selector), size: size, to: &stack)
    try push(UInt64(cpu.pointee.ds.selector), size: size, to: &stack)
    try push(UInt64(cpu.pointee.es.selector), size: size, to: &stack)
  }

  /// Changes the registers: the delivery is complete.
  private func enter(_ handler: Handler, _ stack: StackCursor, changesPrivilege: Bool) {
    if isVirtual8086 {
      for register in [SegmentRegister.es, .ds, .fs, .gs] {
        self[register] = .null(SegmentSelector(rawValue: 0))
      }
    }
    if changesPrivilege { cpu.pointee.ss = stack.segment }
    var selector = handler.segment.selector & ~3
    selector |= UInt16(handler.privilege)
    cpu.pointee.cs = handler.segment
    cpu.pointee.cs.selector = selector
    cpu.pointee.cpl = handler.privilege
    rip = handler.offset
    commit(stack)
    var cleared: RFLAGS = [.tf, .nt, .rf, .vm]
    if handler.clearsIF { cleared.insert(.if) }
    cpu.pointee.rflagsSystem &= ~cleared.rawValue
  }

  // MARK: Gates

  /// The gate of `event`, and the code segment that it names, with their checks.
  private func handler(of event: Event) throws(Interruption) -> Handler {
    let gateCode = UInt32(event.vector) << 3 | 2 | event.external
    let gateSize: UInt64 = isIA32e ? 16 : 8
    let entry = UInt64(event.vector) &* gateSize
    guard entry &+ gateSize &- 1 <= UInt64(cpu.pointee.idtr.limit) else {
      throw raise(.generalProtection, errorCode: gateCode)
    }
    let address = systemAddress(cpu.pointee.idtr.base, entry)
    var gate = GateDescriptor(lower: try loadSystem(address, as: UInt64.self))
    if isIA32e { gate.upper = try loadSystem(address &+ 8, as: UInt64.self) & 0xFFFF_FFFF }
    let size = try gateOperandSize(gate, gateCode)
    if event.checksGatePrivilege, gate.dpl < cpl { throw raise(.generalProtection, errorCode: gateCode) }
    guard gate.isPresent else { throw raise(.segmentNotPresent, errorCode: gateCode) }
    if gate.type == .taskGate {
      throw try taskSwitch(.taskGate, to: gate.selector, external: event.external)
    }
    return try handler(gate, size: size, event)
  }

  private func gateOperandSize(_ gate: GateDescriptor, _ gateCode: UInt32) throws(Interruption) -> UInt8 {
    switch gate.type {
    case .interruptGate32, .trapGate32: return isIA32e ? 8 : 4
    case .interruptGate16 where !isIA32e, .trapGate16 where !isIA32e: return 2
    case .taskGate where !isIA32e: return 4
    default: throw raise(.generalProtection, errorCode: gateCode)
    }
  }

  private func handler(_ gate: GateDescriptor, size: UInt8, _ event: Event) throws(Interruption) -> Handler {
    let selector = gate.selector
    guard !selector.isNull else { throw raise(.generalProtection, errorCode: event.external) }
    let code = errorCode(selector, external: event.external)
    var descriptor = try readDescriptor(selector, external: event.external)
    let rights = descriptor.rights
    guard rights.isCode, rights.dpl <= cpl else { throw raise(.generalProtection, errorCode: code) }
    if isIA32e, !rights.isLong || rights.isBig { throw raise(.generalProtection, errorCode: code) }
    guard rights.isPresent else { throw raise(.segmentNotPresent, errorCode: code) }
    let privilege = rights.isConforming ? cpl : rights.dpl
    // From virtual-8086 mode only a handler at CPL 0 can be entered.
    if isVirtual8086, privilege != 0 { throw raise(.generalProtection, errorCode: code) }
    try setAccessed(&descriptor)
    let offset = isIA32e ? gate.offset : gate.offset & (size == 2 ? 0xFFFF : 0xFFFF_FFFF)
    let segment = SegmentState(selector, descriptor)
    if isIA32e {
      guard isCanonical(offset) else { throw raise(.generalProtection, errorCode: event.external) }
    } else {
      guard offset <= UInt64(segment.limit) else {
        throw raise(.generalProtection, errorCode: event.external)
      }
    }
    let clearsIF = gate.type == .interruptGate16 || gate.type == .interruptGate32
    return Handler(
      segment: segment, offset: offset, privilege: privilege, size: size, clearsIF: clearsIF,
      stackTable: isIA32e ? gate.stackTable : 0)
  }

  /// The stack that the handler's frame goes to.
  private func handlerStack(_ handler: Handler, _ event: Event) throws(Interruption) -> StackCursor {
    let changesPrivilege = handler.privilege != cpl
    guard isIA32e else {
      return changesPrivilege
        ? try innerStack(privilege: handler.privilege, external: event.external) : currentStack
    }
    var pointer = self[.rsp]
    if changesPrivilege || handler.stackTable != 0 {
      pointer = try stackPointer64(
        privilege: handler.privilege, stackTable: handler.stackTable, external: event.external)
    }
    var segment = cpu.pointee.ss
    if changesPrivilege {
      segment = .null(SegmentSelector(rawValue: UInt16(handler.privilege)))
      segment.rights.dpl = handler.privilege
    }
    return StackCursor(
      pointer: pointer & ~0xF, segment: segment, mask: .max, isSystem: changesPrivilege,
      errorCode: changesPrivilege ? event.external : 0)
  }
}
