import InstructionDecoder

/// One step of the interpreter: an instruction, or a fused pair, in the form that it executes from. 32 bytes.
struct Record {
  var operation: Operation
  /// How many instructions of the block come before it.
  var retired: UInt8
  /// How many instructions have retired when the block is left by it.
  var count: UInt8
  /// The offset of its first byte from the block's first.
  var offset: UInt16
  var destination: UInt8 = 0
  var source: UInt8 = 0
  var base: UInt8 = 0
  var index: UInt8 = 0
  /// The index is shifted left by this.
  var scale: UInt8 = 0
  /// How a memory operand's linear address is formed; see ``AddressForm``.
  var form: AddressForm = .flat
  var condition: UInt8 = 0
  /// The length in bytes.
  var length: UInt8 = 0
  /// The displacement; of a record that carries the whole instruction, its address; of a jump, the block that it leads
  /// to, once known.
  var displacement: UInt64 = 0
  /// The immediate, sign-extended; of a jump, the target.
  var immediate: UInt64 = 0
}

/// How a record's memory operand becomes a linear address.
enum AddressForm: UInt8 {
  /// 64-bit mode, 64-bit addresses, a segment without base.
  case flat
  /// The same in the stack segment: a non-canonical address raises #SS.
  case stack
}

extension Record {
  /// How many instructions the record itself is.
  @inline(always)
  var unretired: Int64 { Int64(count) &- Int64(retired) }

  /// The whole instruction that the record carries.
  @inline(always)
  var instruction: UnsafePointer<Instruction>? {
    UnsafePointer(bitPattern: UInt(truncatingIfNeeded: displacement))
  }

  /// The block that a jump leads to, once known.
  @inline(always)
  var target: UnsafeMutablePointer<Block>? {
    UnsafeMutablePointer(bitPattern: UInt(truncatingIfNeeded: displacement))
  }
}

/// A run of decoded instructions, all from one page: the unit of execution. Its records follow it in memory.
struct Block {
  /// The instruction pointer of its first byte; beyond every address when the block is dropped.
  var rip: UInt64
  /// The L0-physical address of its first byte.
  var physical: UInt64
  var nextInBucket: UnsafeMutablePointer<Block>?
  var nextOnPage: UnsafeMutablePointer<Block>?
  var recordCount: UInt16 = 0
  /// The number of instructions.
  var count: UInt16 = 0
  /// The number of bytes.
  var length: UInt16 = 0
  var mode: ExecutionMode
  /// Whether it can be found again; a block for one execution only, or one that was dropped, cannot.
  var isLive = false

  /// The most instructions in a block.
  static let capacity = 48
}

extension UnsafeMutablePointer where Pointee == Block {
  /// The first record.
  @inline(always)
  var records: UnsafeMutablePointer<Record> {
    UnsafeMutableRawPointer(self + 1).assumingMemoryBound(to: Record.self)
  }
}
