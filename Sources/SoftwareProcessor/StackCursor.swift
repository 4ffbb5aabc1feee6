import X86

/// A stack being pushed to or popped from by a control transfer, before any register changes.
struct StackCursor {
  /// The stack pointer, cut to the stack's width.
  var pointer: UInt64
  var segment: SegmentState
  /// 16, 32 or 64 ones.
  var mask: UInt64
  /// Whether accesses are the processor's own, to the stack of a more privileged level.
  var isSystem: Bool
  /// The error code of its stack fault: the selector of a new stack, or 0.
  var errorCode: UInt32

  var is64: Bool { mask == .max }
}

extension Core {
  /// The current stack.
  var currentStack: StackCursor {
    let mask: UInt64 =
      is64BitMode ? .max : cpu.pointee.ss.accessRights & 0x4000 != 0 ? 0xFFFF_FFFF : 0xFFFF
    return StackCursor(
      pointer: self[.rsp] & mask, segment: cpu.pointee.ss, mask: mask, isSystem: false, errorCode: 0)
  }

  /// A stack outside 64-bit mode, as wide as `segment` says.
  func stack(_ segment: SegmentState, pointer: UInt64, isSystem: Bool, errorCode: UInt32 = 0) -> StackCursor {
    let mask: UInt64 = segment.rights.isBig ? 0xFFFF_FFFF : 0xFFFF
    return StackCursor(
      pointer: pointer & mask, segment: segment, mask: mask, isSystem: isSystem, errorCode: errorCode)
  }

  private func address(
    _ stack: StackCursor, _ size: UInt8, _ access: MemoryAccess
  ) throws(Interruption) -> UInt64 {
    if stack.is64 {
      guard isCanonical(stack.pointer), isCanonical(stack.pointer &+ UInt64(size) &- 1) else {
        throw raise(.stackSegmentFault, errorCode: stack.errorCode)
      }
      return stack.pointer
    }
    guard stack.segment.permits(access, offset: stack.pointer, count: Int(size)) else {
      throw raise(.stackSegmentFault, errorCode: stack.errorCode)
    }
    return (stack.segment.base &+ stack.pointer) & 0xFFFF_FFFF
  }

  func push(_ value: UInt64, size: UInt8, to stack: inout StackCursor) throws(Interruption) {
    var next = stack
    next.pointer = (stack.pointer &- UInt64(size)) & stack.mask
    let linear = try address(next, size, .write)
    switch (size, stack.isSystem) {
    case (2, true): try storeSystem(UInt16(truncatingIfNeeded: value), at: linear)
    case (2, false): try store(UInt16(truncatingIfNeeded: value), at: linear)
    case (4, true): try storeSystem(UInt32(truncatingIfNeeded: value), at: linear)
    case (4, false): try store(UInt32(truncatingIfNeeded: value), at: linear)
    case (_, true): try storeSystem(value, at: linear)
    case (_, false): try store(value, at: linear)
    }
    stack = next
  }

  func pop(size: UInt8, from stack: inout StackCursor) throws(Interruption) -> UInt64 {
    let linear = try address(stack, size, .read)
    let value: UInt64
    switch (size, stack.isSystem) {
    case (2, true): value = UInt64(try loadSystem(linear, as: UInt16.self))
    case (2, false): value = UInt64(try load(linear, as: UInt16.self))
    case (4, true): value = UInt64(try loadSystem(linear, as: UInt32.self))
    case (4, false): value = UInt64(try load(linear, as: UInt32.self))
    case (_, true): value = try loadSystem(linear, as: UInt64.self)
    case (_, false): value = try load(linear, as: UInt64.self)
    }
    stack.pointer = (stack.pointer &+ UInt64(size)) & stack.mask
    return value
  }

  /// RSP after `stack` has become the current one: a 16-bit stack pointer leaves the upper bits alone.
  func commit(_ stack: StackCursor) {
    self[.rsp] = stack.mask == 0xFFFF ? self[.rsp] & ~0xFFFF | stack.pointer : stack.pointer
  }
}
