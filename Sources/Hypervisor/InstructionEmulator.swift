import InstructionDecoder
import Translation
import VMX
import X86

/// Performs one instruction of a guest as its processor would, with its memory operands in RAM or in devices.
///
/// It knows the integer instructions that have a memory operand. No register changes before the last access that can
/// fault.
struct InstructionEmulator {
  let space: GuestAddressSpace
  private(set) var instruction = Instruction()
  /// Where the guest goes on, if it is not behind the instruction.
  var target: UInt64?
  /// Whether a repeated instruction has elements left, so that it is executed again.
  var isUnfinished = false

  var guest: RunningGuest { space.guest }

  init(_ space: GuestAddressSpace) { self.space = space }

  init(_ space: GuestAddressSpace, _ instruction: Instruction) {
    self.space = space
    self.instruction = instruction
  }

  /// Executes the instruction at RIP and moves RIP behind it.
  mutating func executeInstruction() throws(GuestFault) {
    instruction = try space.fetchInstruction()
    try execute()
    guard !isUnfinished else {
      if guest.stopsBetweenElements { guest.trapBetweenElements() }
      return
    }
    guest[.exitInstructionLength] = UInt64(instruction.length)
    guest.completeInstruction()
    if let target { guest[.guestRIP] = target }
  }

  private mutating func execute() throws(GuestFault) {
    switch instruction.mnemonic {
    case .mov, .movnti: try store(try value(instruction.operand1), to: instruction.operand0)
    case .movzx: try store(try value(instruction.operand1), to: instruction.operand0)
    case .movsx, .movsxd:
      let source = instruction.operand1
      try store(signExtended(try value(source), source.size), to: instruction.operand0)
    case .movbe:
      let size = instruction.operandSize
      try store(
        try value(instruction.operand1).byteSwapped >> (64 &- UInt64(size) &* 8), to: instruction.operand0)
    case .cmovcc: try moveConditionally()
    case .setcc: try store(meets(instruction.condition) ? 1 : 0, to: instruction.operand0)
    case .add, .or, .adc, .sbb, .and, .sub, .xor, .cmp, .test: try combine()
    case .inc, .dec, .not, .neg: try modify()
    case .rol, .ror, .rcl, .rcr, .shl, .sal, .shr, .sar: try shift()
    case .shld, .shrd: try shiftDouble()
    case .bt, .bts, .btr, .btc: try testBit()
    case .bsf, .bsr, .tzcnt, .lzcnt, .popcnt: try countBits()
    case .xchg, .xadd: try exchange()
    case .cmpxchg: try compareAndExchange()
    case .cmpxchg8b: try compareAndExchangeDouble(size: 4)
    case .cmpxchg16b: try compareAndExchangeDouble(size: 8)
    case .mul, .imul, .div, .idiv: try multiplyOrDivide()
    case .push, .pop, .call, .jmp: try moveThroughStack()
    case .movs, .cmps, .stos, .lods, .scas: try executeString()
    default: throw .notEmulated
    }
  }

  // MARK: Flags

  var flags: RFLAGS { RFLAGS(rawValue: guest[.guestRFLAGS]) }

  /// Replaces the flags of `mask` by those of `new`.
  func setFlags(_ new: RFLAGS, mask: RFLAGS = .status) {
    guest[.guestRFLAGS] = flags.subtracting(mask).union(new.intersection(mask)).rawValue
  }

  /// SDM volume 2, "Encoding of Conditional Test".
  func meets(_ condition: UInt8) -> Bool {
    let flags = flags
    let isLess = flags.contains(.sf) != flags.contains(.of)
    let holds =
      switch condition >> 1 & 7 {
      case 0: flags.contains(.of)
      case 1: flags.contains(.cf)
      case 2: flags.contains(.zf)
      case 3: flags.contains(.cf) || flags.contains(.zf)
      case 4: flags.contains(.sf)
      case 5: flags.contains(.pf)
      case 6: isLess
      default: isLess || flags.contains(.zf)
      }
    return holds != (condition & 1 != 0)
  }

  // MARK: Operands

  /// The linear address of the memory operand, `adjustment` bytes on.
  func operandAddress(
    size: UInt8, _ kind: AccessKind, adjustment: UInt64 = 0
  ) throws(GuestFault) -> UInt64 {
    let address = instruction.address
    var offset = UInt64(bitPattern: address.displacement) &+ adjustment
    switch address.base {
    case MemoryAddress.none: break
    case MemoryAddress.instructionPointer: offset &+= guest[.guestRIP] &+ UInt64(instruction.length)
    default: offset &+= guest[GeneralRegister(number: UInt64(address.base))]
    }
    if address.index != MemoryAddress.none {
      offset &+= guest[GeneralRegister(number: UInt64(address.index))] &* UInt64(address.scale)
    }
    return try space.linear(
      address.segment, offset & space.mask(instruction.addressSize), size: UInt64(size), kind)
  }

  /// The value of `operand`, zero-extended.
  func value(_ operand: Operand) throws(GuestFault) -> UInt64 {
    let number = UInt64(operand.register)
    switch operand.kind {
    case .general: return guest[GeneralRegister(number: number)] & Width.mask(operand.size)
    case .highByte: return guest[GeneralRegister(number: number & 3)] >> 8 & 0xFF
    case .immediate: return instruction.immediate & Width.mask(operand.size)
    case .memory:
      let size = try memorySize(operand)
      return try space.load(try operandAddress(size: size, .read), size: size)
    default: throw .notEmulated
    }
  }

  /// The size of a memory operand that one load or store can move.
  private func memorySize(_ operand: Operand) throws(GuestFault) -> UInt8 {
    guard [1, 2, 4, 8].contains(operand.size) else { throw .notEmulated }
    return operand.size
  }

  /// Stores the low bytes of `value` in `operand`.
  func store(_ value: UInt64, to operand: Operand) throws(GuestFault) {
    let number = UInt64(operand.register)
    switch operand.kind {
    case .general: setRegister(GeneralRegister(number: number), value, size: operand.size)
    case .highByte:
      let register = GeneralRegister(number: number & 3)
      guest[register] = guest[register] & ~0xFF00 | (value & 0xFF) << 8
    case .memory:
      let size = try memorySize(operand)
      try space.store(value, at: try operandAddress(size: size, .write), size: size)
    default: throw .notEmulated
    }
  }

  /// Writes the low `size` bytes of a register: 4 clear the upper half, 1 and 2 keep the rest.
  func setRegister(_ register: GeneralRegister, _ value: UInt64, size: UInt8) {
    switch size {
    case 8: guest[register] = value
    case 4: guest[register] = value & 0xFFFF_FFFF
    default:
      let mask = Width.mask(size)
      guest[register] = guest[register] & ~mask | value & mask
    }
  }

  /// Reads the first operand, and writes what `change` makes of it: the write is known to be possible before a device is
  /// read.
  func update(_ change: (UInt64) -> UInt64) throws(GuestFault) {
    let operand = instruction.operand0
    guard operand.kind == .memory else { return try store(change(try value(operand)), to: operand) }
    let size = try memorySize(operand)
    let linear = try operandAddress(size: size, .write)
    try space.probe(linear, size: size, .write)
    try space.store(change(try space.load(linear, size: size)), at: linear, size: size)
  }

  func signExtended(_ value: UInt64, _ size: UInt8) -> UInt64 {
    let shift = 64 &- UInt64(size) &* 8
    return UInt64(bitPattern: Int64(bitPattern: value << shift) >> Int64(shift))
  }
}

/// Masks and signs of integers of 1, 2, 4 or 8 bytes.
enum Width {
  static func mask(_ size: UInt8) -> UInt64 { size >= 8 ? .max : (1 << (UInt64(size) &* 8)) &- 1 }
  static func bits(_ size: UInt8) -> UInt64 { UInt64(size) &* 8 }
  static func sign(_ size: UInt8) -> UInt64 { 1 << (bits(size) &- 1) }
}
