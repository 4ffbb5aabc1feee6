import InstructionDecoder
import X86

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Decodes the instructions at an address and lowers them to a block of records, at the end of the arena.
struct BlockBuilder {
  let core: Core
  let physical: UInt64
  let linear: UInt64
  let mode: ExecutionMode
  let block: UnsafeMutablePointer<Block>
  /// The bytes from the block's first to the end of its page or of the code segment.
  let available: Int
  var offset = 0
  var count = 0
  var recordCount = 0
  /// Where the instructions that records carry go: behind the space of all the records that there can be.
  private var carried: UnsafeMutablePointer<Instruction>
  private var carriedCount = 0

  private static let recordCapacity = Block.capacity + 2

  init(_ core: Core, physical: UInt64, linear: UInt64, mode: ExecutionMode) {
    self.core = core
    self.physical = physical
    self.linear = linear
    self.mode = mode
    let cache = core.blocks
    let start = cache.pointee.arena + cache.pointee.used
    block = start.bindMemory(to: Block.self, capacity: 1)
    block.initialize(to: Block(rip: core.rip, physical: physical, mode: mode))
    carried = UnsafeMutableRawPointer(block.records + Self.recordCapacity)
      .bindMemory(to: Instruction.self, capacity: Self.recordCapacity)
    let onPage = 0x1000 &- Int(truncatingIfNeeded: physical & 0xFFF)
    let inSegment = UInt64(core.cpu.pointee.cs.limit) &- core.rip &+ 1
    available = core.is64BitMode ? onPage : Int(truncatingIfNeeded: min(UInt64(onPage), inSegment))
  }

  /// Builds the block and makes it findable. Throws what the first instruction's fetch raises.
  mutating func build() throws(Interruption) -> UnsafeMutablePointer<Block> {
    let limit = mode.contains(.single) ? 1 : Block.capacity
    var isOpen = true
    while isOpen, count < limit, offset < available {
      guard let instruction = try nextInstruction() else { break }
      isOpen = lower(instruction)
    }
    if isOpen { append(.next, length: 0) { _ in } }
    return finished(isWhole: offset <= available)
  }

  /// The next instruction, or nil if it does not belong to this block: it goes beyond the page or cannot be decoded,
  /// and is not the first.
  private mutating func nextInstruction() throws(Interruption) -> Instruction? {
    let bytes = core.cpu.pointee.machine.ram + Int(truncatingIfNeeded: physical) + offset
    let failure: DecodeFailure
    do {
      let instruction = try Instruction.decode(
        bytes.assumingMemoryBound(to: UInt8.self), count: min(15, available &- offset), mode: mode.decodeMode)
      if let known = core.known(instruction, in: mode) { return known }
      failure = .invalid
    } catch {
      failure = error
    }
    guard count == 0 else { return nil }
    switch failure {
    case .invalid: throw core.raise(.invalidOpcode)
    case .tooLong: throw core.raise(.generalProtection)
    case .truncated: return try crossingInstruction()
    }
  }

  /// The first instruction when it crosses into the next page.
  private func crossingInstruction() throws(Interruption) -> Instruction {
    let onPage = 0x1000 &- Int(truncatingIfNeeded: physical & 0xFFF)
    guard available == onPage else { throw core.raise(.generalProtection) }
    var bytes: InlineArray<16, UInt8> = InlineArray(repeating: 0)
    let next = linear &+ UInt64(onPage)
    let second = try core.locate(
      core.is64BitMode ? next : next & 0xFFFF_FFFF, for: .execute, privilege: core.currentPrivilege)
    for index in 0..<15 {
      let address = index < onPage ? physical &+ UInt64(index) : second &+ UInt64(index &- onPage)
      bytes[index] = core.loadPhysical(address, as: UInt8.self)
    }
    let inSegment =
      core.is64BitMode
      ? 15 : Int(truncatingIfNeeded: min(UInt64(core.cpu.pointee.cs.limit) &- core.rip, 14)) &+ 1
    let decodeMode = mode.decodeMode
    do throws(DecodeFailure) {
      let instruction = try withUnsafeBytes(of: &bytes) { (raw) throws(DecodeFailure) in
        guard let base = raw.baseAddress else { throw .truncated }
        return try Instruction.decode(
          base.assumingMemoryBound(to: UInt8.self), count: inSegment, mode: decodeMode)
      }
      guard let known = core.known(instruction, in: mode) else { throw .invalid }
      return known
    } catch {
      throw core.raise(error == .invalid ? .invalidOpcode : .generalProtection)
    }
  }

  /// Appends a record of the next `length` bytes, and lets `fill` complete it.
  mutating func append(_ operation: Operation, length: UInt8, _ fill: (inout Record) -> Void) {
    let instructions = length == 0 ? 0 : 1
    var record = Record(
      operation: operation, retired: UInt8(truncatingIfNeeded: count),
      count: UInt8(truncatingIfNeeded: count &+ instructions), offset: UInt16(truncatingIfNeeded: offset))
    record.length = length
    fill(&record)
    (block.records + recordCount).initialize(to: record)
    recordCount &+= 1
    count &+= instructions
    offset &+= Int(length)
  }

  /// Passes over an instruction that does nothing: it only counts. Returns true.
  mutating func skip(_ instruction: Instruction) -> Bool {
    count &+= 1
    offset &+= Int(instruction.length)
    return true
  }

  /// Appends a record that carries the whole instruction.
  mutating func append(_ operation: Operation, carrying instruction: Instruction) {
    let place = carried + carriedCount
    place.initialize(to: instruction)
    carriedCount &+= 1
    append(operation, length: instruction.length) { record in
      record.displacement = UInt64(UInt(bitPattern: place))
    }
  }

  /// Completes the block; one that is not wholly on its page is for one execution only.
  private mutating func finished(isWhole: Bool) -> UnsafeMutablePointer<Block> {
    block.pointee.recordCount = UInt16(truncatingIfNeeded: recordCount)
    block.pointee.count = UInt16(truncatingIfNeeded: count)
    block.pointee.length = UInt16(truncatingIfNeeded: offset)
    guard isWhole else { return block }
    let records = block.records + recordCount
    let end = moveCarried(behind: records)
    let cache = core.blocks
    cache.pointee.used = (end - cache.pointee.arena + 63) & ~63
    cache.pointee.insert(block)
    core.markCode(page: Int(truncatingIfNeeded: physical >> 12))
    return block
  }

  /// Moves the carried instructions to directly behind the last record, and returns their end.
  private func moveCarried(behind records: UnsafeMutablePointer<Record>) -> UnsafeMutableRawPointer {
    let place = UnsafeMutableRawPointer(records)
    let distance = UnsafeMutableRawPointer(carried) - place
    let size = carriedCount &* MemoryLayout<Instruction>.stride
    memmove(place, carried, size)
    for index in 0..<recordCount where block.records[index].operation.carriesInstruction {
      block.records[index].displacement &-= UInt64(truncatingIfNeeded: distance)
    }
    return place + size
  }
}

extension ExecutionMode {
  var decodeMode: DecodeMode {
    if contains(.code64) { return .long64 }
    if contains(.code32) { return .protected32 }
    return contains(.real) ? .real16 : .protected16
  }
}
