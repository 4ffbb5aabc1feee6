/// The binary log of exits, version 2: how `--trace FILE.trace` is laid out.
///
/// All integers are little-endian; a *varint* is LEB128 (7 bits a byte, the lowest first, bit 7 set on all but the last
/// byte), a *signed varint* is the varint of `(n << 1) ^ (n >> 63)`.
///
/// ```text
/// file     header, then any number of blocks of events and of snapshots, then a summary block if the run came to its
/// end header   8 bytes "Testudo\n" | u32 version | u32 count of the description | description | u64 checksum of all
/// that block    u32 kind (0x53545645 "EVTS", 0x53434D56 "VMCS", 0x4B4C4157 "WALK" or 0x454E4F44 "DONE") | u32 count of
/// payload bytes          | u32 count of events or snapshots | u32 0
///          | u64 cycles | u64 instructions | u64 tree | u64 checksum of the 40 bytes before and the payload | payload
/// event    u16 flags | [varint reason] | [u8 processor] | [signed varint tree] | varint ran | [signed varint end]
///          | [varint span] | signed varint instructions | signed varint RIP | varint hostCycles
///          | varint (vmcsReads << 1 | more) | varint vmcsWrites | varint memoryAccesses | [u8 parts | parts]
///          | [varint operand] | [varint qualification]
/// flags    bit 0 from L2, 1 routed to L1, 2 end given, 3 in a tree, 4 tree given, 5 span given, 6 operand given,
///          7 qualification given, 8 to 14 basic exit reason (127: given as a varint), 15 processor given
/// parts    those of its bits, in this order: 0 varint vmptrlds, 1 varint invepts and varint invvpids, 2 varint
/// guestReads          and varint guestWrites, 3 varint tlbMisses and varint walkReferences, 4 varint waited, 5 not
/// finished snapshot the payload of "VMCS", whose tree is the third of its words: for each, varint (step << 1 |
/// handled), then for          vmcs01, vmcs12 and vmcs02: varint count of changes | for each, varint encoding | varint
/// value walks    the payload of "WALK", before the summary: for L1 and for L2, u64 page walks | u64 references to the
/// guest's          tables | u64 to EPT's | 25 u64, the walks of 0 to 24 references
/// summary  the payload of "DONE": u64 events | u64 dropped events | u64 instructions | u64 cycles | sentence, UTF-8
/// ```
///
/// What is not given is as in the event before, or 0 for operand, qualification and parts, or `hostCycles` for the
/// span, or the end before + `ran` + span for the end. `end`, `instructions` and `tree` are differences from the event
/// before, in a block's first event from the block's own three words; RIP is the difference from the last event of the
/// same level in the block, at first from 0. So each block is read by itself, and a file that was cut is read up to its
/// last whole block.
///
/// A snapshot is the three VMCSs at one of the two moments of a step of an exit tree (``VMCSSnapshot``), told as what
/// changed since the snapshot before it in the block, at first since VMCSs full of zeros; an encoding is the difference
/// from that of the change before. A tree's snapshots may take several blocks, which precede the block that has its
/// root. A reader leaves out blocks of a kind that it does not know.
public enum TraceFormat {
  /// The version that is written; a reader refuses any other.
  public static let version: UInt32 = 2
  /// The largest payload of a block in bytes.
  public static let payloadLimit = 1 << 16
  /// The longest description in bytes.
  public static let descriptionLimit = 1 << 20

  static let magic: StaticString = "Testudo\n"
  static let eventBlock: UInt32 = 0x5354_5645
  static let snapshotBlock: UInt32 = 0x5343_4D56
  static let walkBlock: UInt32 = 0x4B4C_4157
  static let summaryBlock: UInt32 = 0x454E_4F44
  /// The bytes of a block before its payload.
  static let blockHeaderSize = 48
  /// The bytes of the header before its description.
  static let headerSize = 16
  /// No event is longer: each of its varints, 21 at the most, has at most ten bytes, and four more stand beside them.
  static let eventSizeLimit = 21 * 10 + 4
  /// The reason that says that the reason follows.
  static let givenReason: UInt16 = 127

  /// The bits of an event's flags.
  enum Flag {
    static let fromL2: UInt16 = 1 << 0
    static let routedToL1: UInt16 = 1 << 1
    static let end: UInt16 = 1 << 2
    static let inTree: UInt16 = 1 << 3
    static let tree: UInt16 = 1 << 4
    static let span: UInt16 = 1 << 5
    static let operand: UInt16 = 1 << 6
    static let qualification: UInt16 = 1 << 7
    static let reasonShift: UInt16 = 8
    static let processor: UInt16 = 1 << 15
  }

  /// The bits that tell which parts an event has.
  enum Part {
    static let vmptrlds: UInt8 = 1 << 0
    static let invalidations: UInt8 = 1 << 1
    static let guestAccesses: UInt8 = 1 << 2
    static let pageWalks: UInt8 = 1 << 3
    static let waited: UInt8 = 1 << 4
    static let unfinished: UInt8 = 1 << 5
  }

  /// The checksum of `bytes`, continued from `seed`: over words of 8 bytes, the last filled up with zeros,
  /// `sum = rotate(sum XOR word, left 29) × 0x9E3779B97F4A7C15` modulo 2^64. It finds what a crash or a disk does to a
  /// file, not what a forger does.
  static func checksum(_ bytes: UnsafeRawBufferPointer, seed: UInt64 = 0) -> UInt64 {
    var sum = seed
    var position = 0
    while position &+ 8 <= bytes.count {
      sum = mixed(sum, bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self))
      position &+= 8
    }
    guard position < bytes.count else { return sum }
    var last: UInt64 = 0
    for index in 0..<bytes.count - position {
      last |= UInt64(bytes[position &+ index]) << UInt64(8 &* index)
    }
    return mixed(sum, last)
  }

  @inline(__always)
  private static func mixed(_ sum: UInt64, _ word: UInt64) -> UInt64 {
    let turned = sum ^ word
    return (turned << 29 | turned >> 35) &* 0x9E37_79B9_7F4A_7C15
  }
}

/// What an event is told as a difference from: the state of writer and reader within a block.
struct TraceContext {
  var end: UInt64
  var instructions: UInt64
  var tree: UInt64
  var processor: UInt8 = 0
  /// The RIP of the last exit of L1, and that of the last exit of L2.
  var ripOfL1: UInt64 = 0
  var ripOfL2: UInt64 = 0
}
