import VMX
import X86

/// Where the fields of a 16-bit or 32-bit TSS are.
///
/// Source: SDM volume 3, "32-Bit Task-State Segment (TSS)" and "16-Bit Task-State Segment (TSS)".
struct TaskStateLayout: Equatable {
  /// The size of the instruction pointer, the flags and each general register, and of what is pushed on its stack.
  let registerSize: UInt8
  /// The offsets of the fields, each first of its kind.
  let cr3: UInt8?
  let instructionPointer: UInt8
  let flags: UInt8
  let generalRegisters: UInt8
  let segments: UInt8
  let localTable: UInt8
  let debugTrap: UInt8?
  /// How many segment registers it has, and how far they are apart.
  let segmentCount: Int
  let segmentStride: UInt8

  static let bits32 = TaskStateLayout(
    registerSize: 4, cr3: 0x1C, instructionPointer: 0x20, flags: 0x24, generalRegisters: 0x28, segments: 0x48,
    localTable: 0x60, debugTrap: 0x64, segmentCount: 6, segmentStride: 4)
  static let bits16 = TaskStateLayout(
    registerSize: 2, cr3: nil, instructionPointer: 0x0E, flags: 0x10, generalRegisters: 0x12, segments: 0x22,
    localTable: 0x2A, debugTrap: nil, segmentCount: 4, segmentStride: 2)

  /// The layout of a TSS of `type`.
  init(_ type: SystemSegmentType) {
    self = type == .tss16Available || type == .tss16Busy ? .bits16 : .bits32
  }

  private init(
    registerSize: UInt8, cr3: UInt8?, instructionPointer: UInt8, flags: UInt8, generalRegisters: UInt8,
    segments: UInt8, localTable: UInt8, debugTrap: UInt8?, segmentCount: Int, segmentStride: UInt8
  ) {
    self.registerSize = registerSize
    self.cr3 = cr3
    self.instructionPointer = instructionPointer
    self.flags = flags
    self.generalRegisters = generalRegisters
    self.segments = segments
    self.localTable = localTable
    self.debugTrap = debugTrap
    self.segmentCount = segmentCount
    self.segmentStride = segmentStride
  }

  /// The bytes of a TSS from its begin that a task switch uses.
  var size: UInt8 { self == .bits16 ? 0x2C : 0x68 }
}

/// What a task switch saves in a TSS and loads from one.
struct TaskState {
  var cr3: UInt64?
  var instructionPointer: UInt64 = 0
  var flags: UInt64 = 0
  /// In the order of the registers' numbers, which is a TSS's own.
  var generalRegisters: [8 of UInt64] = .init(repeating: 0)
  /// ES, CS, SS, DS, FS and GS: the order of a TSS, and of ``SegmentRegister``.
  var selectors: [6 of SegmentSelector] = .init(repeating: SegmentSelector(rawValue: 0))
  var localTable = SegmentSelector(rawValue: 0)
  var trapsDebug = false

  init() {}

  /// The task that `guest` is in. A task switch saves neither CR3 nor the selector of the LDT.
  init(of guest: RunningGuest) {
    instructionPointer = guest[.guestRIP]
    flags = guest[.guestRFLAGS]
    for number in 0..<8 { generalRegisters[number] = guest[GeneralRegister(number: UInt64(number))] }
    for segment in SegmentRegister.allCases {
      selectors[Int(segment.rawValue)] = guest.vmcs.selector(of: GuestSegment(segment))
    }
  }

  /// The state in the TSS at linear address `base`.
  init(at base: UInt64, _ layout: TaskStateLayout, in space: GuestAddressSpace) throws(GuestFault) {
    func field(_ offset: UInt8, size: UInt8) throws(GuestFault) -> UInt64 {
      try space.load((base &+ UInt64(offset)) & 0xFFFF_FFFF, size: size)
    }
    let size = layout.registerSize
    if let offset = layout.cr3 { cr3 = try field(offset, size: 4) }
    instructionPointer = try field(layout.instructionPointer, size: size)
    flags = try field(layout.flags, size: size)
    for number in 0..<UInt8(8) {
      generalRegisters[Int(number)] = try field(layout.generalRegisters &+ number &* size, size: size)
    }
    for number in 0..<layout.segmentCount {
      let offset = layout.segments &+ UInt8(number) &* layout.segmentStride
      selectors[number] = SegmentSelector(
        rawValue: UInt16(truncatingIfNeeded: try field(offset, size: 2)))
    }
    localTable = SegmentSelector(
      rawValue: UInt16(truncatingIfNeeded: try field(layout.localTable, size: 2)))
    if let offset = layout.debugTrap { trapsDebug = try field(offset, size: 1) & 1 != 0 }
  }

  /// Saves the state in the TSS at linear address `base`.
  func save(at base: UInt64, _ layout: TaskStateLayout, in space: GuestAddressSpace) throws(GuestFault) {
    func set(_ value: UInt64, _ offset: UInt8, size: UInt8) throws(GuestFault) {
      try space.store(value, at: (base &+ UInt64(offset)) & 0xFFFF_FFFF, size: size)
    }
    let size = layout.registerSize
    try set(instructionPointer, layout.instructionPointer, size: size)
    try set(flags, layout.flags, size: size)
    for number in 0..<UInt8(8) {
      try set(generalRegisters[Int(number)], layout.generalRegisters &+ number &* size, size: size)
    }
    for number in 0..<layout.segmentCount {
      let offset = layout.segments &+ UInt8(number) &* layout.segmentStride
      try set(UInt64(selectors[number].rawValue), offset, size: 2)
    }
  }
}
