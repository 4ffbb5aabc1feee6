import InstructionDecoder
import NestedVMX
import Platform
import Translation
import VMX
import X86

/// Why L0 could not go on with an instruction that it emulates for a guest.
enum GuestFault: Error {
  /// The guest gets this exception.
  case exception(ExceptionVector, errorCode: UInt32 = 0)
  /// The guest gets a page fault at `linear`.
  case pageFault(UInt32, linear: UInt64)
  /// L2's access, at `linear` if it has a linear address, is not allowed by ept12, so that L1 gets an exit, whose
  /// qualification says of the linear address what `translation` does.
  case extended(
    ExtendedFault, address: PhysicalAddress<L2>, linear: UInt64?, translation: EPTViolationQualification)
  /// L2's access is one to the APIC-access page, and is not virtualized, so that L1 gets an exit.
  case apicAccess(APICAccessQualification)
  /// The instruction itself lies where there is no memory.
  case noCode(PhysicalAddress<L1>)
  /// L0 has no emulation of the instruction.
  case notEmulated
}

/// The memory of the guest that runs, as its instructions address it: segments, paging, for L2 ept12, and behind them
/// RAM and memory-mapped devices.
struct GuestAddressSpace {
  let guest: RunningGuest
  let ram: L1RAM
  let board: Board
  /// The virtual CPU that makes the accesses.
  let number: Int
  /// The EPT of L2, or nil for L1 and for an L2 without EPT.
  let extended: ExtendedPaging?
  /// Where L1 has L2's writes logged, if it has.
  let log: PageModificationLog<L1RAM>?
  /// L2's APIC-access page, if it has one.
  let apic: APICPages?

  private let paging: LinearPaging
  private var isUser: Bool
  private var obeysSMAP: Bool
  let is64Bit: Bool
  /// Whether breakpoints are enabled.
  private let watchesData: Bool

  init(
    _ guest: RunningGuest, ram: L1RAM, board: Board, number: Int, extended: ExtendedPaging?,
    log: PageModificationLog<L1RAM>? = nil, apic: APICPages? = nil
  ) {
    self.log = log
    self.apic = apic
    self.guest = guest
    self.ram = ram
    self.board = board
    self.number = number
    self.extended = extended
    paging = LinearPaging(ofGuestOf: guest.vmcs, physicalAddressWidth: L1RAM.physicalAddressWidth)
    let flags = RFLAGS(rawValue: guest[.guestRFLAGS])
    isUser = guest.vmcs[.guestSSAccessRights] >> 5 & 3 == 3
    obeysSMAP = !flags.contains(.ac)
    is64Bit = guest.is64Bit
    watchesData = guest.hasBreakpoints
  }

  /// The same memory for accesses of the processor itself, which are supervisor-mode accesses whatever the CPL.
  ///
  /// Source: SDM volume 3, "Access Rights": implicit supervisor-mode accesses.
  var asSystem: GuestAddressSpace {
    var space = self
    space.isUser = false
    space.obeysSMAP = true
    return space
  }

  /// The memory as the registers of the guest are now.
  var refreshed: GuestAddressSpace {
    GuestAddressSpace(guest, ram: ram, board: board, number: number, extended: extended, log: log, apic: apic)
  }

  // MARK: Linear addresses

  /// The bits of an offset that an address size of `bytes` has.
  func mask(_ bytes: UInt8) -> UInt64 {
    switch bytes {
    case 2: 0xFFFF
    case 4: 0xFFFF_FFFF
    default: .max
    }
  }

  /// The linear address of `size` bytes at `offset` in `segment`, checked as the SDM checks segments and canonicality.
  ///
  /// Source: SDM volume 3, "Limit Checking" and "Type Checking".
  func linear(
    _ segment: SegmentRegister, _ offset: UInt64, size: UInt64, _ kind: AccessKind
  ) throws(GuestFault) -> UInt64 {
    let fault = GuestFault.exception(segment == .ss ? .stackSegmentFault : .generalProtection)
    if is64Bit {
      let hasBase = segment == .fs || segment == .gs
      let linear = hasBase ? offset &+ guest.vmcs[segment.baseField] : offset
      guard AddressForm.isCanonical(linear), AddressForm.isCanonical(linear &+ size &- 1) else { throw fault }
      return linear
    }
    let rights = SegmentAccessRights(
      rawValue: UInt32(truncatingIfNeeded: guest.vmcs[segment.accessRightsField]))
    guard !rights.isUnusable else { throw fault }
    let limit = guest.vmcs[segment.limitField]
    guard permits(kind, rights) else { throw .exception(.generalProtection) }
    let last = offset &+ size &- 1
    let isExpandDown = rights.isExpandDown && kind != .execute
    let isWithin =
      isExpandDown ? offset > limit && last <= (rights.isBig ? 0xFFFF_FFFF : 0xFFFF) : last <= limit
    guard isWithin else { throw fault }
    return (guest.vmcs[segment.baseField] &+ offset) & 0xFFFF_FFFF
  }

  /// Whether a segment's type allows the access. In real-address mode, where even the code segment can be written, there are
  /// no types.
  private func permits(_ kind: AccessKind, _ rights: SegmentAccessRights) -> Bool {
    guard CR0(rawValue: guest.vmcs[.guestCR0]).contains(.pe) else { return true }
    return switch kind {
    case .read: rights.isReadable
    case .write: rights.isWritable
    case .execute: true
    }
  }

  // MARK: Physical addresses

  /// The L1-physical address of `linear`.
  func physical(_ linear: UInt64, _ kind: AccessKind) throws(GuestFault) -> PhysicalAddress<L1> {
    let access = LinearAccess(kind, isUser: isUser, obeysSMAP: obeysSMAP)
    guard let extended else {
      do throws(LinearFault<Never>) {
        let mapping = try paging.translate(linear, for: access, in: L1PageTables(memory: ram))
        guest.work.pointee.memoryAccesses &+= UInt64(mapping.references)
        return mapping.address
      } catch {
        guard case .pageFault(let code) = error else { throw .notEmulated }
        throw .pageFault(code.rawValue, linear: linear)
      }
    }
    let tables = tables(extended)
    let mapping: LinearMapping<L2>
    do throws(LinearFault<L2StructureFault>) {
      mapping = try paging.translate(linear, for: access, in: tables)
      guest.work.pointee.memoryAccesses &+= UInt64(mapping.references)
    } catch {
      switch error {
      case .pageFault(let code): throw .pageFault(code.rawValue, linear: linear)
      case .structures(let fault):
        throw GuestFault(fault, linear: linear, translation: .linearAddressValid)
      }
    }
    do throws(L2StructureFault) {
      return try tables.address(of: mapping.address, ExtendedAccess(kind, isUser: mapping.isUser))
    } catch {
      let translation = EPTViolationQualification.translation(
        isUser: mapping.isUser, isWritable: mapping.isWritable, isExecutable: mapping.isExecutable)
      throw GuestFault(error, linear: linear, translation: translation)
    }
  }

  private func tables(_ extended: ExtendedPaging) -> L2PageTables<L1RAM> {
    L2PageTables(memory: ram, extended: extended, log: log, apicAccessPage: apic?.accessPage)
  }

  /// The L1-physical address of the guest-physical `address` of a paging structure.
  func structure(at address: UInt64) throws(GuestFault) -> PhysicalAddress<L1> {
    guard let extended else { return PhysicalAddress(address) }
    do throws(L2StructureFault) {
      return try tables(extended).structure(at: PhysicalAddress(address), .read)
    } catch {
      throw GuestFault(error, linear: nil, translation: [])
    }
  }

  /// Whether `size` bytes at `linear` may be accessed, both pages if there are two.
  func probe(_ linear: UInt64, size: UInt8, _ kind: AccessKind) throws(GuestFault) {
    guard linear & 0xFFF &+ UInt64(size) > 4096 else {
      _ = try place(linear, size, kind)
      return
    }
    _ = try place(linear, 0, kind)
    _ = try place(wrapped(linear &+ UInt64(size) &- 1), 0, kind)
  }

  /// Where the access of `size` bytes at `linear`, on one page, goes; a size of 0 is a part of a larger access. In the
  /// place of the APIC-access page that may be the virtual-APIC page.
  private func place(
    _ linear: UInt64, _ size: UInt8, _ kind: AccessKind
  ) throws(GuestFault) -> PhysicalAddress<L1> {
    let address = try physical(linear, kind)
    guard let apic, apic.accessPage == address.page else { return address }
    let (offset, count) = (address.pageOffset, UInt64(size))
    let isVirtualized =
      kind == .write
      ? apic.virtualized.includesWrite(at: offset, count: count)
      : apic.virtualized.includesRead(at: offset, count: count)
    guard isVirtualized else {
      throw .apicAccess(
        APICAccessQualification(
          kind == .write ? .linearWrite : .linearRead, offset: UInt16(truncatingIfNeeded: offset)))
    }
    if kind == .write { guest.work.pointee.apicWrite = UInt16(truncatingIfNeeded: offset) }
    return apic.virtualPage + offset
  }

  private func wrapped(_ linear: UInt64) -> UInt64 { is64Bit ? linear : linear & 0xFFFF_FFFF }

  // MARK: Accesses

  /// The `size` bytes (1, 2, 4 or 8) at `linear`.
  func load(_ linear: UInt64, size: UInt8) throws(GuestFault) -> UInt64 {
    guard linear & 0xFFF &+ UInt64(size) > 4096 else {
      let value = load(at: try place(linear, size, .read), size: size)
      if watchesData { guest.noteDataBreakpoints(linear, size: size, .read) }
      return value
    }
    try probe(linear, size: size, .read)
    var value: UInt64 = 0
    for position in 0..<UInt64(size) {
      let byte = load(at: try place(wrapped(linear &+ position), 0, .read), size: 1)
      value |= byte << (position &* 8)
    }
    if watchesData { guest.noteDataBreakpoints(linear, size: size, .read) }
    return value
  }

  /// Stores the low `size` bytes (1, 2, 4 or 8) of `value` at `linear`.
  func store(_ value: UInt64, at linear: UInt64, size: UInt8) throws(GuestFault) {
    if linear & 0xFFF &+ UInt64(size) > 4096 {
      try probe(linear, size: size, .write)
      for position in 0..<UInt64(size) {
        let place = try place(wrapped(linear &+ position), 0, .write)
        store(value >> (position &* 8), at: place, size: 1)
      }
    } else {
      store(value, at: try place(linear, size, .write), size: size)
    }
    if watchesData { guest.noteDataBreakpoints(linear, size: size, .write) }
  }

  private func load(at address: PhysicalAddress<L1>, size: UInt8) -> UInt64 {
    guest.work.pointee.memoryAccesses &+= 1
    guard let bytes = ram.pointer(to: address, count: UInt64(size)) else {
      return board.read(address.rawValue, size: size, by: number)
    }
    switch size {
    case 1: return UInt64(bytes.load(as: UInt8.self))
    case 2: return UInt64(bytes.loadUnaligned(as: UInt16.self))
    case 4: return UInt64(bytes.loadUnaligned(as: UInt32.self))
    default: return bytes.loadUnaligned(as: UInt64.self)
    }
  }

  private func store(_ value: UInt64, at address: PhysicalAddress<L1>, size: UInt8) {
    guest.work.pointee.memoryAccesses &+= 1
    guard let bytes = ram.pointer(to: address, count: UInt64(size)) else {
      return board.write(value, to: address.rawValue, size: size, by: number)
    }
    switch size {
    case 1: bytes.storeBytes(of: UInt8(truncatingIfNeeded: value), as: UInt8.self)
    case 2: bytes.storeBytes(of: UInt16(truncatingIfNeeded: value), as: UInt16.self)
    case 4: bytes.storeBytes(of: UInt32(truncatingIfNeeded: value), as: UInt32.self)
    default: bytes.storeBytes(of: value, as: UInt64.self)
    }
    ram.noteWrite(address, count: UInt64(size))
  }

  // MARK: Code

  /// The sizes by which the guest's code is decoded.
  var decodeMode: DecodeMode {
    if is64Bit { return .long64 }
    let isProtected = CR0(rawValue: guest.vmcs[.guestCR0]).contains(.pe)
    if !isProtected || RFLAGS(rawValue: guest.vmcs[.guestRFLAGS]).contains(.vm) { return .real16 }
    let rights = SegmentAccessRights(rawValue: UInt32(truncatingIfNeeded: guest.vmcs[.guestCSAccessRights]))
    return rights.isBig ? .protected32 : .protected16
  }

  /// The instruction at RIP.
  func fetchInstruction() throws(GuestFault) -> Instruction {
    let rip = guest[.guestRIP]
    var bytes: [15 of UInt8] = .init(repeating: 0)
    var count = 0
    var failure: GuestFault?
    while count < 15 {
      do throws(GuestFault) {
        count += try copyCode(at: rip &+ UInt64(count), limit: 15 - count, to: &bytes, from: count)
      } catch {
        failure = error
        break
      }
    }
    let result = decode(&bytes, count: count)
    if let instruction = result { return instruction }
    throw failure ?? .exception(.invalidOpcode)
  }

  /// Copies the code at `offset` in CS, up to the end of its page or segment and `limit` bytes at the most, behind the
  /// first `count` of `bytes`; returns how many there were.
  private func copyCode(
    at offset: UInt64, limit: Int, to bytes: inout [15 of UInt8], from count: Int
  ) throws(GuestFault) -> Int {
    let address = try physical(try linear(.cs, offset, size: 1, .execute), .execute)
    var length = min(UInt64(limit), 4096 &- address.pageOffset)
    if !is64Bit { length = min(length, guest.vmcs[.guestCSLimit] &- offset &+ 1) }
    guard let code = ram.pointer(to: address, count: length) else { throw .noCode(address) }
    for position in 0..<Int(length) {
      bytes[count + position] = code.load(fromByteOffset: position, as: UInt8.self)
    }
    return Int(length)
  }

  private func decode(_ bytes: inout [15 of UInt8], count: Int) -> Instruction? {
    withUnsafeBytes(of: &bytes) { raw in
      guard let base = raw.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return nil }
      return try? Instruction.decode(base, count: count, mode: decodeMode)
    }
  }
}

extension GuestFault {
  fileprivate init(
    _ fault: L2StructureFault, linear: UInt64?, translation: EPTViolationQualification
  ) {
    self =
      fault.isAPICAccess
      ? .apicAccess(APICAccessQualification(.guestPhysicalDuringInstruction, offset: 0))
      : .extended(fault.fault, address: fault.address, linear: linear, translation: translation)
  }
}

extension RunningGuest {
  /// Has the next VM entry deliver the exception of `fault`; false if it is none.
  @discardableResult
  func raise(_ fault: GuestFault) -> Bool {
    switch fault {
    case .exception(let vector, let code): raise(vector, errorCode: code)
    case .pageFault(let code, let linear):
      registers.pointee.cr2 = linear
      raise(.pageFault, errorCode: code)
    case .extended, .apicAccess, .noCode, .notEmulated: return false
    }
    return true
  }
}
