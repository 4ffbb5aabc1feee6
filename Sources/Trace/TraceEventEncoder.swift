/// Encodes events one after the other at ``cursor``, where there is room for ``TraceFormat/eventSizeLimit`` bytes more.
///
/// A value of its own, so that the compiler keeps it in registers: an event is recorded for each exit of a run.
struct TraceEventEncoder {
  var cursor: UnsafeMutableRawPointer
  var context: TraceContext

  @inline(__always)
  mutating func put(_ event: UnsafePointer<ExitEvent>) {
    let flags = flags(of: event)
    put16(flags)
    if event.pointee.reason >= TraceFormat.givenReason { put(UInt64(event.pointee.reason)) }
    if flags & TraceFormat.Flag.processor != 0 {
      put8(event.pointee.processor)
      context.processor = event.pointee.processor
    }
    if flags & TraceFormat.Flag.tree != 0 {
      put(signed: event.pointee.tree &- context.tree)
      context.tree = event.pointee.tree
    }
    put(event.pointee.ranCycles)
    if flags & TraceFormat.Flag.end != 0 { put(signed: event.pointee.end &- context.end) }
    context.end = event.pointee.end
    if flags & TraceFormat.Flag.span != 0 { put(event.pointee.span) }
    put(signed: event.pointee.instructions &- context.instructions)
    context.instructions = event.pointee.instructions
    putRIP(event)
    put(event.pointee.hostCycles)
    putWork(event)
    if flags & TraceFormat.Flag.operand != 0 { put(event.pointee.operand) }
    if flags & TraceFormat.Flag.qualification != 0 { put(event.pointee.qualification) }
  }

  @inline(__always)
  private func flags(of event: UnsafePointer<ExitEvent>) -> UInt16 {
    typealias Flag = TraceFormat.Flag
    let isInTree = event.pointee.tree != ExitEvent.noTree
    var flags: UInt16 = min(event.pointee.reason, TraceFormat.givenReason) << Flag.reasonShift
    flags |= event.pointee.from == .l2 ? Flag.fromL2 : 0
    flags |= event.pointee.routedTo == .l1 ? Flag.routedToL1 : 0
    let expectedEnd = context.end &+ event.pointee.ranCycles &+ event.pointee.span
    flags |= event.pointee.end != expectedEnd ? Flag.end : 0
    flags |= isInTree ? Flag.inTree : 0
    flags |= isInTree && event.pointee.tree != context.tree ? Flag.tree : 0
    flags |= event.pointee.span != event.pointee.hostCycles ? Flag.span : 0
    flags |= event.pointee.operand != 0 ? Flag.operand : 0
    flags |= event.pointee.qualification != 0 ? Flag.qualification : 0
    flags |= event.pointee.processor != context.processor ? Flag.processor : 0
    return flags
  }

  @inline(__always)
  private mutating func putRIP(_ event: UnsafePointer<ExitEvent>) {
    if event.pointee.from == .l2 {
      put(signed: event.pointee.rip &- context.ripOfL2)
      context.ripOfL2 = event.pointee.rip
    } else {
      put(signed: event.pointee.rip &- context.ripOfL1)
      context.ripOfL1 = event.pointee.rip
    }
  }

  @inline(__always)
  private mutating func putWork(_ event: UnsafePointer<ExitEvent>) {
    let parts = parts(of: event)
    put(UInt64(event.pointee.work.vmcsReads) << 1 | (parts != 0 ? 1 : 0))
    put(UInt64(event.pointee.work.vmcsWrites))
    put(UInt64(event.pointee.work.memoryAccesses))
    if parts != 0 { putParts(parts, event) }
  }

  @inline(__always)
  private func parts(of event: UnsafePointer<ExitEvent>) -> UInt8 {
    typealias Part = TraceFormat.Part
    var parts: UInt8 = event.pointee.work.vmptrlds != 0 ? Part.vmptrlds : 0
    parts |= event.pointee.work.invepts | event.pointee.work.invvpids != 0 ? Part.invalidations : 0
    parts |= event.pointee.work.guestReads | event.pointee.work.guestWrites != 0 ? Part.guestAccesses : 0
    parts |= event.pointee.work.tlbMisses | event.pointee.work.walkReferences != 0 ? Part.pageWalks : 0
    parts |= event.pointee.waitedCycles != 0 ? Part.waited : 0
    parts |= event.pointee.isFinished ? 0 : Part.unfinished
    return parts
  }

  private mutating func putParts(_ parts: UInt8, _ event: UnsafePointer<ExitEvent>) {
    typealias Part = TraceFormat.Part
    put8(parts)
    if parts & Part.vmptrlds != 0 { put(UInt64(event.pointee.work.vmptrlds)) }
    if parts & Part.invalidations != 0 {
      put(UInt64(event.pointee.work.invepts))
      put(UInt64(event.pointee.work.invvpids))
    }
    if parts & Part.guestAccesses != 0 {
      put(UInt64(event.pointee.work.guestReads))
      put(UInt64(event.pointee.work.guestWrites))
    }
    if parts & Part.pageWalks != 0 {
      put(UInt64(event.pointee.work.tlbMisses))
      put(UInt64(event.pointee.work.walkReferences))
    }
    if parts & Part.waited != 0 { put(event.pointee.waitedCycles) }
  }

  @inline(__always)
  private mutating func put(signed difference: UInt64) {
    let number = Int64(bitPattern: difference)
    put(UInt64(bitPattern: number << 1 ^ number >> 63))
  }

  @inline(__always)
  private mutating func put(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      put8(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    put8(UInt8(truncatingIfNeeded: rest))
  }

  @inline(__always)
  private mutating func put8(_ value: UInt8) {
    cursor.storeBytes(of: value, as: UInt8.self)
    cursor += 1
  }

  @inline(__always)
  private mutating func put16(_ value: UInt16) {
    cursor.storeBytes(of: value.littleEndian, as: UInt16.self)
    cursor += 2
  }
}
