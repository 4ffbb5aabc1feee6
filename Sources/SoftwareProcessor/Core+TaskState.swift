import X86

// The TSS: stacks of inner levels, interrupt stacks and the I/O permission bitmap.
extension Core {
  private var isTSS32: Bool { cpu.pointee.tr.accessRights & 8 != 0 }

  func taskStateOffset(_ offset: UInt64, size: UInt64, external: UInt32) throws(Interruption)
    -> UInt64
  {
    let limit = UInt64(cpu.pointee.tr.limit)
    guard !cpu.pointee.tr.rights.isUnusable, offset &+ size &- 1 <= limit else {
      let selector = SegmentSelector(rawValue: cpu.pointee.tr.selector)
      throw raise(.invalidTSS, errorCode: errorCode(selector, external: external))
    }
    return systemAddress(cpu.pointee.tr.base, offset)
  }

  /// RSP0 to RSP2 or IST1 to IST7 of a 64-bit TSS.
  func stackPointer64(privilege: UInt8, stackTable: UInt8, external: UInt32) throws(Interruption) -> UInt64 {
    let offset = stackTable == 0 ? 4 &+ UInt64(privilege) &* 8 : 0x1C &+ UInt64(stackTable) &* 8
    let address = try taskStateOffset(offset, size: 8, external: external)
    let pointer = try loadSystem(address, as: UInt64.self)
    guard isCanonical(pointer) else { throw raise(.stackSegmentFault, errorCode: external) }
    return pointer
  }

  /// The stack that a 32-bit or 16-bit TSS holds for `privilege`, checked and ready to push to.
  func innerStack(privilege: UInt8, external: UInt32) throws(Interruption) -> StackCursor {
    var pointer: UInt64
    var selector: UInt16
    if isTSS32 {
      let address = try taskStateOffset(4 &+ UInt64(privilege) &* 8, size: 6, external: external)
      pointer = UInt64(try loadSystem(address, as: UInt32.self))
      selector = try loadSystem(systemAddress(address, 4), as: UInt16.self)
    } else {
      let address = try taskStateOffset(2 &+ UInt64(privilege) &* 4, size: 4, external: external)
      pointer = UInt64(try loadSystem(address, as: UInt16.self))
      selector = try loadSystem(systemAddress(address, 2), as: UInt16.self)
    }
    let stackSelector = SegmentSelector(rawValue: selector)
    let segment = try stackSegment(
      stackSelector, privilege: privilege, fault: .invalidTSS, external: external)
    return stack(
      segment, pointer: pointer, isSystem: true,
      errorCode: errorCode(stackSelector, external: external))
  }

  /// Whether the TSS's I/O permission bitmap allows `size` ports from `port`; #GP(0) if not.
  ///
  /// Source: SDM volume 1, "I/O Permission Bit Map".
  func checkPortPermission(_ port: UInt16, size: UInt8) throws(Interruption) {
    guard cr0.contains(.pe), isVirtual8086 || cpl > iopl else { return }
    let offset = try ioPermissionMap() &+ UInt64(port >> 3)
    guard offset &+ 1 <= UInt64(cpu.pointee.tr.limit) else { throw raise(.generalProtection) }
    let bits = try loadSystem(systemAddress(cpu.pointee.tr.base, offset), as: UInt16.self)
    let mask: UInt16 = ((1 << UInt16(size)) &- 1) << (port & 7)
    guard bits & mask == 0 else { throw raise(.generalProtection) }
  }

  /// The offset of the I/O permission bitmap in the TSS; #GP(0) if the TSS has none.
  func ioPermissionMap() throws(Interruption) -> UInt64 {
    guard isTSS32, !cpu.pointee.tr.rights.isUnusable, cpu.pointee.tr.limit >= 0x67 else {
      throw raise(.generalProtection)
    }
    return UInt64(try loadSystem(systemAddress(cpu.pointee.tr.base, 0x66), as: UInt16.self))
  }
}
