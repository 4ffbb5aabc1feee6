/// Decodes the events of one block's payload. Nothing is trusted: an event that runs beyond the payload is none.
struct TraceBlockDecoder {
  private let payload: UnsafeRawBufferPointer
  private var position = 0
  private var context: TraceContext
  /// Whether a number ran beyond the payload or beyond 64 bits.
  private var failed = false

  var hasFailed: Bool { failed }

  init(_ payload: UnsafeRawBufferPointer, _ context: TraceContext) {
    self.payload = payload
    self.context = context
  }

  var isAtEnd: Bool { position == payload.count }

  mutating func next() -> ExitEvent? {
    let flags = UInt16(byte()) | UInt16(byte()) << 8
    func has(_ flag: UInt16) -> Bool { flags & flag != 0 }
    var reason = flags >> TraceFormat.Flag.reasonShift & TraceFormat.givenReason
    if reason == TraceFormat.givenReason { reason = UInt16(truncatingIfNeeded: varint()) }
    if has(TraceFormat.Flag.processor) { context.processor = byte() }
    if has(TraceFormat.Flag.tree) { context.tree &+= signedVarint() }
    let ran = varint()
    let givenEnd = has(TraceFormat.Flag.end) ? signedVarint() : nil
    let givenSpan = has(TraceFormat.Flag.span) ? varint() : nil
    context.instructions &+= signedVarint()
    let rip = nextRIP(isL2: has(TraceFormat.Flag.fromL2))
    let hostCycles = varint()
    let span = givenSpan ?? hostCycles
    context.end &+= givenEnd ?? ran &+ span
    var event = ExitEvent(
      from: has(TraceFormat.Flag.fromL2) ? .l2 : .l1, reason: reason,
      routedTo: has(TraceFormat.Flag.routedToL1) ? .l1 : .l0,
      start: context.end &- span, end: context.end, hostCycles: hostCycles, ranCycles: ran,
      instructions: context.instructions, rip: rip,
      tree: has(TraceFormat.Flag.inTree) ? context.tree : ExitEvent.noTree, processor: context.processor)
    readWork(&event)
    if has(TraceFormat.Flag.operand) { event.operand = varint() }
    if has(TraceFormat.Flag.qualification) { event.qualification = varint() }
    return failed ? nil : event
  }

  private mutating func nextRIP(isL2: Bool) -> UInt64 {
    let difference = signedVarint()
    if isL2 {
      context.ripOfL2 &+= difference
      return context.ripOfL2
    }
    context.ripOfL1 &+= difference
    return context.ripOfL1
  }

  private mutating func readWork(_ event: inout ExitEvent) {
    typealias Part = TraceFormat.Part
    let reads = varint()
    event.work.vmcsReads = UInt32(truncatingIfNeeded: reads >> 1)
    event.work.vmcsWrites = word()
    event.work.memoryAccesses = word()
    guard reads & 1 != 0 else { return }
    let parts = byte()
    if parts & Part.vmptrlds != 0 { event.work.vmptrlds = word() }
    if parts & Part.invalidations != 0 {
      event.work.invepts = word()
      event.work.invvpids = word()
    }
    if parts & Part.guestAccesses != 0 {
      event.work.guestReads = word()
      event.work.guestWrites = word()
    }
    if parts & Part.pageWalks != 0 {
      event.work.tlbMisses = word()
      event.work.walkReferences = word()
    }
    if parts & Part.waited != 0 { event.waitedCycles = varint() }
    event.isFinished = parts & Part.unfinished == 0
  }

  // MARK: Numbers

  /// The next varint.
  mutating func number() -> UInt64 { varint() }

  private mutating func byte() -> UInt8 {
    guard position < payload.count else {
      failed = true
      return 0
    }
    defer { position &+= 1 }
    return payload[position]
  }

  private mutating func varint() -> UInt64 {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while shift < 64 {
      let next = byte()
      value |= UInt64(next & 0x7F) << shift
      if next & 0x80 == 0 { return value }
      shift &+= 7
    }
    failed = true
    return 0
  }

  private mutating func word() -> UInt32 { UInt32(truncatingIfNeeded: varint()) }

  private mutating func signedVarint() -> UInt64 {
    let value = varint()
    return value >> 1 ^ (0 &- (value & 1))
  }
}
