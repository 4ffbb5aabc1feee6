import X86

/// How memory is accessed.
enum MemoryAccess: UInt8 {
  case read, write, execute
}

/// Where a linear address is, as ``Core/translate(_:access:privilege:)`` found it.
struct TranslatedAddress {
  /// The L0-physical address of the byte. It may be a hole.
  var physical: UInt64
  /// Whether a later write to the page needs no other walk: every level writable and dirty.
  var writable: Bool
  /// Whether the guest's own paging maps the address by a page larger than 4 KByte.
  var large: Bool
}

typealias MemoryInteger = BitwiseCopyable & FixedWidthInteger & UnsignedInteger

// MARK: - Linear addresses

// The accesses of the current privilege: at CPL 3 they are user-mode accesses. Each may cross a page; both pages are
// checked before anything changes. A non-canonical address raises #SS if `stack`, else #GP.
//
// The fast paths dereference typed pointers that may be unaligned, which the hosts' processors allow: of the raw
// pointer's loads and stores the compiler makes calls, once the interpreter's loop is as large as it is.
extension Core {
  @inline(always)
  func load<T: MemoryInteger>(_ linear: UInt64, as type: T.Type, stack: Bool = false) throws(Interruption)
    -> T
  {
    let entry = cpu.pointee.machine.translations.pointee.reads + TranslationCache.index(linear)
    let last = linear &+ UInt64(truncatingIfNeeded: MemoryLayout<T>.size &- 1)
    if entry.pointee.tag == last & ~0xFFF | cpu.pointee.contexts.data,
      let pointer = UnsafePointer<T>(bitPattern: Int(truncatingIfNeeded: linear) &+ entry.pointee.addend)
    {
      return pointer.pointee
    }
    return try loadSlowly(linear, as: type, privilege: currentPrivilege, stack: stack)
  }

  @inline(always)
  func store<T: MemoryInteger>(_ value: T, at linear: UInt64, stack: Bool = false) throws(Interruption) {
    let entry = cpu.pointee.machine.translations.pointee.writes + TranslationCache.index(linear)
    let last = linear &+ UInt64(truncatingIfNeeded: MemoryLayout<T>.size &- 1)
    if entry.pointee.tag == last & ~0xFFF | cpu.pointee.contexts.data,
      let pointer = UnsafeMutablePointer<T>(
        bitPattern: Int(truncatingIfNeeded: linear) &+ entry.pointee.addend)
    {
      pointer.pointee = value
      return
    }
    try storeSlowly(value, at: linear, privilege: currentPrivilege, stack: stack)
  }

  /// Accesses of the processor itself (descriptor tables, the TSS, stacks of a more privileged level): supervisor-mode
  /// accesses whatever the CPL.
  func loadSystem<T: MemoryInteger>(_ linear: UInt64, as type: T.Type) throws(Interruption) -> T {
    try loadSlowly(linear, as: type, privilege: .implicitSupervisor, stack: false)
  }

  func storeSystem<T: MemoryInteger>(_ value: T, at linear: UInt64) throws(Interruption) {
    try storeSlowly(value, at: linear, privilege: .implicitSupervisor, stack: false)
  }

  /// Faults as a write of `count` bytes (at most 4096) at `linear` would, and changes no byte; afterwards a load and
  /// a store there complete.
  func checkWrite(_ linear: UInt64, count: Int, stack: Bool = false) throws(Interruption) {
    let fault: ExceptionVector = stack ? .stackSegmentFault : .generalProtection
    if cpu.pointee.contexts.isWatched, count.nonzeroBitCount == 1, count <= 8 {
      try checkAlignment(linear, count: count)
    }
    _ = try locate(linear, for: .write, privilege: currentPrivilege, canonicalFault: fault, count: count)
    let last = linear &+ UInt64(truncatingIfNeeded: count &- 1)
    guard last & ~0xFFF != linear & ~0xFFF else { return }
    _ = try locate(last & ~0xFFF, for: .write, privilege: currentPrivilege, canonicalFault: fault)
  }

  /// The privilege of an explicit access at the current CPL.
  @inline(always)
  var currentPrivilege: Privilege { cpu.pointee.cpl == 3 ? .user : .supervisor }
}

// MARK: - The slow path: a TLB miss, a page crossing, or a page that holds code

extension Core {
  @inline(never)
  func loadSlowly<T: MemoryInteger>(
    _ linear: UInt64, as type: T.Type, privilege: Privilege, stack: Bool
  ) throws(Interruption) -> T {
    let fault: ExceptionVector = stack ? .stackSegmentFault : .generalProtection
    if cpu.pointee.contexts.isWatched, privilege != .implicitSupervisor {
      try watch(linear, count: MemoryLayout<T>.size, isWrite: false)
    }
    let first = try locate(
      linear, for: .read, privilege: privilege, canonicalFault: fault, count: MemoryLayout<T>.size)
    let head = bytesOnFirstPage(linear, of: T.self)
    if head == MemoryLayout<T>.size { return loadPhysical(first, as: T.self) }
    let next = (linear | 0xFFF) &+ 1
    let second = try locate(next, for: .read, privilege: privilege, canonicalFault: fault)
    var value: T = 0
    for byte in 0..<MemoryLayout<T>.size {
      let address = byte < head ? first &+ UInt64(byte) : second &+ UInt64(byte &- head)
      value |=
        T(truncatingIfNeeded: loadPhysical(address, as: UInt8.self)) &<< T(truncatingIfNeeded: byte &* 8)
    }
    return value
  }

  @inline(never)
  func storeSlowly<T: MemoryInteger>(
    _ value: T, at linear: UInt64, privilege: Privilege, stack: Bool
  ) throws(Interruption) {
    let fault: ExceptionVector = stack ? .stackSegmentFault : .generalProtection
    if cpu.pointee.contexts.isWatched, privilege != .implicitSupervisor {
      try watch(linear, count: MemoryLayout<T>.size, isWrite: true)
    }
    let first = try locate(
      linear, for: .write, privilege: privilege, canonicalFault: fault, count: MemoryLayout<T>.size)
    let head = bytesOnFirstPage(linear, of: T.self)
    if head == MemoryLayout<T>.size { return storePhysical(value, at: first) }
    let next = (linear | 0xFFF) &+ 1
    let second = try locate(next, for: .write, privilege: privilege, canonicalFault: fault)
    for byte in 0..<MemoryLayout<T>.size {
      let address = byte < head ? first &+ UInt64(byte) : second &+ UInt64(byte &- head)
      storePhysical(UInt8(truncatingIfNeeded: value &>> T(truncatingIfNeeded: byte &* 8)), at: address)
    }
  }

  private func bytesOnFirstPage<T: MemoryInteger>(_ linear: UInt64, of type: T.Type) -> Int {
    min(0x1000 &- Int(truncatingIfNeeded: linear & 0xFFF), MemoryLayout<T>.size)
  }
}

// MARK: - L0-physical addresses

extension Core {
  /// The integer at L0-physical `address`; a hole reads as ones.
  func loadPhysical<T: MemoryInteger>(_ address: UInt64, as type: T.Type) -> T {
    guard let pointer = ramPointer(address, count: MemoryLayout<T>.size) else { return .max }
    return pointer.loadUnaligned(as: T.self)
  }

  /// The little-endian 64-bit word at L0-physical `address`, or nil in a hole.
  func word(at address: UInt64) -> UInt64? {
    ramPointer(address, count: 8)?.loadUnaligned(as: UInt64.self)
  }

  /// Stores to L0-physical `address`, dropping code decoded from there; a hole takes no store.
  func storePhysical<T: MemoryInteger>(_ value: T, at address: UInt64) {
    guard let pointer = ramPointer(address, count: MemoryLayout<T>.size) else { return }
    pointer.storeBytes(of: value, as: T.self)
    noteStore(address, count: MemoryLayout<T>.size)
  }

  /// The host address of `count` bytes of RAM, or nil if any of them is a hole.
  @inline(always)
  func ramPointer(_ address: UInt64, count: Int) -> UnsafeMutableRawPointer? {
    let size = cpu.pointee.machine.ramSize
    guard address < size, UInt64(truncatingIfNeeded: count) <= size &- address else { return nil }
    return cpu.pointee.machine.ram + Int(truncatingIfNeeded: address)
  }
}
