import InstructionDecoder
import X86

// From `rip` to a block.
extension Core {
  /// The block at `rip`, of at most `budget` instructions (which is positive). Throws what the fetch of its first
  /// instruction raises.
  @inline(always)
  func block(within budget: Int64) throws(Interruption) -> UnsafeMutablePointer<Block> {
    let entry = blocks.pointee.jumps + BlockCache.jumpIndex(rip)
    if entry.pointee.rip == rip, entry.pointee.stamp == cpu.pointee.jumpStamp,
      let block = entry.pointee.block,
      Int64(block.pointee.count) <= budget
    {
      return block
    }
    return try fetchBlock(within: budget)
  }

  @inline(never)
  func fetchBlock(within budget: Int64) throws(Interruption) -> UnsafeMutablePointer<Block> {
    if blocks.pointee.used &+ 2 &* BlockCache.largestBlock > BlockCache.arenaSize { forgetAllCode() }
    let mode = cpu.pointee.mode
    let linear = is64BitMode ? rip : (cpu.pointee.cs.base &+ rip) & 0xFFFF_FFFF
    guard is64BitMode || rip <= UInt64(cpu.pointee.cs.limit) else { throw raise(.generalProtection) }
    let physical = try locate(linear, for: .execute, privilege: currentPrivilege)
    // A hole reads as ones, which are an undefined opcode.
    guard physical < cpu.pointee.machine.ramSize else { throw raise(.invalidOpcode) }
    let whole = try findOrDecode(physical, linear, mode)
    if Int64(whole.pointee.count) > budget { return try findOrDecode(physical, linear, mode.union(.single)) }
    if whole.pointee.isLive {
      blocks.pointee.jumps[BlockCache.jumpIndex(rip)] = JumpEntry(
        rip: rip, stamp: cpu.pointee.jumpStamp, block: whole)
    }
    return whole
  }

  private func findOrDecode(
    _ physical: UInt64, _ linear: UInt64, _ mode: ExecutionMode
  ) throws(Interruption) -> UnsafeMutablePointer<Block> {
    if let block = blocks.pointee.find(physical: physical, rip: rip, mode: mode), fitsCodeSegment(block) {
      return block
    }
    var builder = BlockBuilder(self, physical: physical, linear: linear, mode: mode)
    return try builder.build()
  }

  /// Whether all of a block that was decoded under some code segment is inside this one.
  private func fitsCodeSegment(_ block: UnsafeMutablePointer<Block>) -> Bool {
    is64BitMode || rip &+ UInt64(block.pointee.length) &- 1 <= UInt64(cpu.pointee.cs.limit)
  }
}

/// The direct jump that the interpreter came by, so that it can go straight to the block the next time.
struct JumpSource {
  var record: UnsafeMutablePointer<Record>
  var block: UnsafeMutablePointer<Block>
}

extension Core {
  /// The block at `rip`; the jump that led there is linked to it if both are on one page, whose translation is then
  /// good for both.
  @inline(always)
  func block(
    within budget: Int64, from jump: JumpSource?
  ) throws(Interruption) -> UnsafeMutablePointer<Block> {
    guard let jump else { return try block(within: budget) }
    return try linkedBlock(within: budget, from: jump)
  }

  @inline(never)
  private func linkedBlock(
    within budget: Int64, from jump: JumpSource
  ) throws(Interruption) -> UnsafeMutablePointer<Block> {
    // A block for one execution only is gone as soon as the next one is built in its place.
    guard jump.block.pointee.isLive else { return try block(within: budget) }
    let epoch = blocks.pointee.epoch
    let block = try block(within: budget)
    guard blocks.pointee.epoch == epoch, jump.block.pointee.isLive, block.pointee.isLive,
      block.pointee.mode == jump.block.pointee.mode, is64BitMode,
      block.pointee.rip & ~0xFFF == jump.block.pointee.rip & ~0xFFF
    else { return block }
    jump.record.pointee.displacement = UInt64(UInt(bitPattern: block))
    return block
  }
}

extension UnsafeMutablePointer where Pointee == Record {
  /// Where a direct jump leads: `immediate`, or behind the records of a block, the record's own place.
  func jumpTarget(in block: UnsafeMutablePointer<Block>) -> UInt64 {
    if pointee.operation == .next { return block.pointee.rip &+ UInt64(pointee.offset) }
    if pointee.operation.rawValue >= Operation.cmpRR4JO.rawValue {
      let distance = Int64(bitPattern: pointee.immediate) &>> 32
      return block.pointee.rip &+ UInt64(bitPattern: distance)
    }
    return pointee.immediate
  }
}
