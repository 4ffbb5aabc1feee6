import X86

extension Core {
  /// The linear address of `count` bytes at `offset` in `segment`, after the segment's checks: usable, readable or
  /// writable, inside the limit, canonical. Raises #SS(0) for SS and #GP(0) for the others.
  func linearAddress(
    _ segment: SegmentRegister, _ offset: UInt64, count: Int, access: MemoryAccess
  ) throws(Interruption) -> UInt64 {
    let fault: ExceptionVector = segment == .ss ? .stackSegmentFault : .generalProtection
    if is64BitMode {
      let based = segment == .fs || segment == .gs
      let linear = based ? self[segment].base &+ offset : offset
      let last = linear &+ UInt64(truncatingIfNeeded: count &- 1)
      guard isCanonical(linear), isCanonical(last) else { throw raise(fault) }
      return linear
    }
    let state = segments + Int(segment.rawValue)
    guard state.pointee.permits(access, offset: offset, count: count) else { throw raise(fault) }
    return (state.pointee.base &+ offset) & 0xFFFF_FFFF
  }

  /// Reads from a segment with all of its checks.
  func loadSegmented<T: MemoryInteger>(
    _ segment: SegmentRegister, _ offset: UInt64, as type: T.Type
  ) throws(Interruption) -> T {
    let linear = try linearAddress(segment, offset, count: MemoryLayout<T>.size, access: .read)
    return try load(linear, as: type, stack: segment == .ss)
  }

  /// Writes to a segment with all of its checks.
  func storeSegmented<T: MemoryInteger>(
    _ value: T, _ segment: SegmentRegister, _ offset: UInt64
  ) throws(Interruption) {
    let linear = try linearAddress(segment, offset, count: MemoryLayout<T>.size, access: .write)
    try store(value, at: linear, stack: segment == .ss)
  }
}

extension SegmentState {
  /// Whether the segment's type and limit permit `access` to `count` bytes at `offset`.
  ///
  /// Source: SDM volume 3, "Limit Checking" and "Type Checking".
  func permits(_ access: MemoryAccess, offset: UInt64, count: Int) -> Bool {
    guard accessRights & 0x1_0000 == 0 else { return false }
    let isCode = accessRights & 0x8 != 0
    let readableOrWritable = accessRights & 0x2 != 0
    switch access {
    case .write: guard !isCode, readableOrWritable else { return false }
    case .read: guard !isCode || readableOrWritable else { return false }
    case .execute: break
    }
    let last = offset &+ UInt64(truncatingIfNeeded: count &- 1)
    guard last >= offset else { return false }
    let expandsDown = !isCode && accessRights & 0x4 != 0
    guard expandsDown else { return last <= UInt64(limit) }
    let top: UInt64 = accessRights & 0x4000 != 0 ? 0xFFFF_FFFF : 0xFFFF
    return offset > UInt64(limit) && last <= top
  }
}
