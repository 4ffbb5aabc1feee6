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
    context.end &+= varint()
    let givenSpan = has(TraceFormat.Flag.span) ? varint() : nil
    context.instructions &+= signedVarint()
    let rip = nextRIP(isL2: has(TraceFormat.Flag.fromL2))
    let hostCycles = varint()
    let work = nextWork()
    let operand = has(TraceFormat.Flag.operand) ? varint() : 0
    let qualification = has(TraceFormat.Flag.qualification) ? varint() : 0
    guard !failed else { return nil }
    return ExitEvent(
      from: has(TraceFormat.Flag.fromL2) ? .l2 : .l1, reason: reason,
      routedTo: has(TraceFormat.Flag.routedToL1) ? .l1 : .l0,
      start: context.end &- (givenSpan ?? hostCycles), end: context.end, hostCycles: hostCycles,
      instructions: context.instructions, rip: rip, qualification: qualification, operand: operand,
      work: work,
      tree: has(TraceFormat.Flag.inTree) ? context.tree : ExitEvent.noTree, processor: context.processor,
      isFinished: !has(TraceFormat.Flag.unfinished))
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

  private mutating func nextWork() -> ExitWork {
    let reads = varint()
    var work = ExitWork(
      vmcsReads: UInt32(truncatingIfNeeded: reads >> 1), vmcsWrites: UInt32(truncatingIfNeeded: varint()),
      memoryAccesses: UInt32(truncatingIfNeeded: varint()))
    guard reads & 1 != 0 else { return work }
    work.vmptrlds = UInt32(truncatingIfNeeded: varint())
    work.invepts = UInt32(truncatingIfNeeded: varint())
    work.invvpids = UInt32(truncatingIfNeeded: varint())
    work.guestReads = UInt32(truncatingIfNeeded: varint())
    work.guestWrites = UInt32(truncatingIfNeeded: varint())
    return work
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

  private mutating func signedVarint() -> UInt64 {
    let value = varint()
    return value >> 1 ^ (0 &- (value & 1))
  }
}
