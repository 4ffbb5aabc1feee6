import Translation
import VMX
import X86

/// The memory operand of a VMX instruction of L1: its linear address, from the exit information in vmcs01.
extension VirtualVMX {
  /// Whether L1 runs in 64-bit mode.
  var isIn64BitMode: Bool { Self.isIn64BitMode(vmcs01) }

  /// Whether the guest of `vmcs` runs in 64-bit mode.
  static func isIn64BitMode(_ vmcs: VMCS) -> Bool {
    EFER(rawValue: vmcs[.guestEFER]).contains(.lma)
      && SegmentAccessRights(rawValue: UInt32(truncatingIfNeeded: vmcs[.guestCSAccessRights])).isLong
  }

  func segmentRights(_ segment: SegmentRegister) -> SegmentAccessRights {
    SegmentAccessRights(rawValue: UInt32(truncatingIfNeeded: vmcs01[segment.accessRightsField]))
  }

  /// The instruction information of the exit that `execute` emulates.
  var instructionInformation: ExitInstructionInformation {
    ExitInstructionInformation(rawValue: UInt32(truncatingIfNeeded: vmcs01[.exitInstructionInformation]))
  }

  /// The linear address of the memory operand of `size` bytes, checked as the SDM checks segments and canonicality.
  mutating func operandAddress(
    size: UInt64, _ kind: AccessKind
  ) throws(InstructionFault) -> UInt64 {
    work.vmcsReads &+= 4
    let information = instructionInformation
    var offset = vmcs01[.exitQualification]
    if let base = information.base { offset &+= register(base, of: vmcs01) }
    if let index = information.index {
      offset &+= register(index, of: vmcs01) &* UInt64(information.scale)
    }
    switch information.addressSize {
    case 2: offset &= 0xFFFF
    case 4: offset &= 0xFFFF_FFFF
    default: break
    }
    if isIn64BitMode { return try longAddress(offset, size, information.segment) }
    return try segmentedAddress(offset, size, information.segment, kind)
  }

  /// In 64-bit mode only FS and GS have a base, and the address must be canonical.
  func longAddress(
    _ offset: UInt64, _ size: UInt64, _ segment: SegmentRegister
  ) throws(InstructionFault) -> UInt64 {
    let hasBase = segment == .fs || segment == .gs
    let linear = hasBase ? offset &+ vmcs01[segment.baseField] : offset
    guard AddressForm.isCanonical(linear), AddressForm.isCanonical(linear &+ size &- 1) else {
      throw segment == .ss ? .stackSegment : .generalProtection
    }
    return linear
  }

  /// Outside 64-bit mode the segment's type and limit are checked (SDM volume 3, "Limit Checking" and "Type Checking").
  func segmentedAddress(
    _ offset: UInt64, _ size: UInt64, _ segment: SegmentRegister, _ kind: AccessKind
  ) throws(InstructionFault) -> UInt64 {
    let fault: InstructionFault = segment == .ss ? .stackSegment : .generalProtection
    let rights = segmentRights(segment)
    guard !rights.isUnusable else { throw fault }
    guard kind == .write ? rights.isWritable : rights.isReadable else { throw fault }
    let limit = vmcs01[segment.limitField]
    let last = offset &+ size &- 1
    if rights.isExpandDown {
      guard offset > limit, last <= (rights.isBig ? 0xFFFF_FFFF : 0xFFFF) else { throw fault }
    } else {
      guard last <= limit else { throw fault }
    }
    return (vmcs01[segment.baseField] &+ offset) & 0xFFFF_FFFF
  }
}

// MARK: L1's memory by linear address

extension VirtualVMX {
  /// The paging of L1, as the processor would use it.
  var linearPaging: LinearPaging {
    LinearPaging(ofGuestOf: vmcs01, physicalAddressWidth: physicalAddressWidth)
  }

  /// The L1-physical address of `linear`, for a supervisor-mode access.
  mutating func physicalAddress(
    _ linear: UInt64, _ kind: AccessKind, _ paging: LinearPaging
  ) throws(InstructionFault) -> PhysicalAddress<L1> {
    let obeysSMAP = !RFLAGS(rawValue: vmcs01[.guestRFLAGS]).contains(.ac)
    let access = LinearAccess(kind, isUser: false, obeysSMAP: obeysSMAP)
    do throws(LinearFault<Never>) {
      let mapping = try paging.translate(linear, for: access, in: L1PageTables(memory: memory))
      work.memoryReads &+= UInt64(mapping.references)
      return mapping.address
    } catch {
      guard case .pageFault(let errorCode) = error else { throw .generalProtection }
      throw .pageFault(errorCode.rawValue, at: linear)
    }
  }

  /// The two L1-physical parts of `count` bytes (1 to 16) at `linear`: where each begins, and the first one's size.
  mutating func parts(
    _ linear: UInt64, _ count: UInt64, _ kind: AccessKind
  ) throws(InstructionFault) -> OperandParts {
    let paging = linearPaging
    work.vmcsReads &+= 5
    let first = try physicalAddress(linear, kind, paging)
    let room = 4096 &- linear & 0xFFF
    guard count > room else { return OperandParts(first: first, second: first, firstCount: count) }
    let next = isIn64BitMode ? linear &+ room : (linear &+ room) & 0xFFFF_FFFF
    return OperandParts(
      first: first, second: try physicalAddress(next, kind, paging), firstCount: room)
  }

  /// The `count` bytes (1 to 8) at `linear` as a little-endian integer. What L1 has no memory for reads as ones.
  mutating func read(_ linear: UInt64, _ count: UInt64) throws(InstructionFault) -> UInt64 {
    let parts = try parts(linear, count, .read)
    work.memoryReads &+= 1
    var value: UInt64 = 0
    for position in 0..<count {
      value |= UInt64(memory.byte(at: parts.address(of: position))) << (position &* 8)
    }
    return value
  }

  /// Stores the low `count` bytes (1 to 8) of `value` at `linear`. What L1 has no memory for is dropped.
  mutating func write(_ value: UInt64, _ linear: UInt64, _ count: UInt64) throws(InstructionFault) {
    let parts = try parts(linear, count, .write)
    work.memoryWrites &+= 1
    for position in 0..<count {
      let address = parts.address(of: position)
      guard let byte = memory.pointer(to: address, count: 1) else { continue }
      byte.storeBytes(of: UInt8(truncatingIfNeeded: value >> (position &* 8)), as: UInt8.self)
      memory.noteWrite(address, count: 1)
    }
  }
}

extension LinearPaging {
  /// The paging of the guest whose state is in `vmcs`.
  package init(ofGuestOf vmcs: VMCS, physicalAddressWidth: UInt8) {
    let cr0 = CR0(rawValue: vmcs[.guestCR0])
    let cr4 = CR4(rawValue: vmcs[.guestCR4])
    let efer = EFER(rawValue: vmcs[.guestEFER])
    var controls: LinearPaging.Controls = []
    if cr0.contains(.wp) { controls.insert(.writeProtect) }
    if cr4.contains(.pse) { controls.insert(.pageSizeExtensions) }
    if cr4.contains(.smep) { controls.insert(.supervisorExecutionPrevention) }
    if cr4.contains(.smap) { controls.insert(.supervisorAccessPrevention) }
    if efer.contains(.nxe) { controls.insert(.executeDisable) }
    self.init(
      mode: PagingMode(
        paging: cr0.contains(.pg), pae: cr4.contains(.pae), longModeActive: efer.contains(.lma)),
      cr3: vmcs[.guestCR3], controls: controls, physicalAddressWidth: physicalAddressWidth,
      pdptes: (vmcs[.guestPDPTE0], vmcs[.guestPDPTE1], vmcs[.guestPDPTE2], vmcs[.guestPDPTE3]))
  }
}

/// Where the bytes of an operand lie that may cross a page.
struct OperandParts {
  let first: PhysicalAddress<L1>
  let second: PhysicalAddress<L1>
  let firstCount: UInt64

  func address(of position: UInt64) -> PhysicalAddress<L1> {
    position < firstCount ? first + position : second + (position &- firstCount)
  }
}

extension SegmentRegister {

  package var baseField: VMCSField {
    switch self {
    case .es: .guestESBase
    case .cs: .guestCSBase
    case .ss: .guestSSBase
    case .ds: .guestDSBase
    case .fs: .guestFSBase
    case .gs: .guestGSBase
    }
  }

  package var limitField: VMCSField {
    switch self {
    case .es: .guestESLimit
    case .cs: .guestCSLimit
    case .ss: .guestSSLimit
    case .ds: .guestDSLimit
    case .fs: .guestFSLimit
    case .gs: .guestGSLimit
    }
  }

  package var accessRightsField: VMCSField {
    switch self {
    case .es: .guestESAccessRights
    case .cs: .guestCSAccessRights
    case .ss: .guestSSAccessRights
    case .ds: .guestDSAccessRights
    case .fs: .guestFSAccessRights
    case .gs: .guestGSAccessRights
    }
  }
}
