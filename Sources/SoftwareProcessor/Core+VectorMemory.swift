import X86

// Accesses of up to 32 bytes. Nothing changes unless all of it can be accessed.
extension Core {
  /// Loads `count` bytes (1, 2, 4, 8, 16 or 32), zero-extended.
  @inline(__always)
  func loadVector(_ linear: UInt64, _ count: UInt8, stack: Bool) throws(Interruption) -> Vector {
    switch count {
    case 1: return Vector(UInt64(try load(linear, as: UInt8.self, stack: stack)))
    case 2: return Vector(UInt64(try load(linear, as: UInt16.self, stack: stack)))
    case 4: return Vector(UInt64(try load(linear, as: UInt32.self, stack: stack)))
    case 8: return Vector(try load(linear, as: UInt64.self, stack: stack))
    default:
      guard let source = readableWords(linear, count) else {
        return try loadVectorSlowly(linear, Int(count), stack)
      }
      if count == 16 { return Vector(source[0], source[1]) }
      return Vector(quads: SIMD4(source[0], source[1], source[2], source[3]))
    }
  }

  /// Stores the low `count` bytes.
  @inline(__always)
  func storeVector(_ value: Vector, at linear: UInt64, _ count: UInt8, stack: Bool) throws(Interruption) {
    switch count {
    case 1, 2, 4, 8: try store(value.quads[0], OperandSize(count), at: linear, stack: stack)
    default:
      guard let place = writableWords(linear, count) else {
        return try storeVectorSlowly(value, at: linear, Int(count), stack)
      }
      place[0] = value.quads[0]
      place[1] = value.quads[1]
      guard count == 32 else { return }
      place[2] = value.quads[2]
      place[3] = value.quads[3]
    }
  }

  /// The host address of `count` bytes on one page whose translation is cached, or nil.
  @inline(__always)
  func readableWords(_ linear: UInt64, _ count: UInt8) -> UnsafePointer<UInt64>? {
    let entry = cpu.pointee.machine.translations.pointee.reads + TranslationCache.index(linear)
    let last = linear &+ UInt64(count &- 1)
    guard entry.pointee.tag == last & ~0xFFF | cpu.pointee.contexts.data else { return nil }
    return UnsafePointer(bitPattern: Int(truncatingIfNeeded: linear) &+ entry.pointee.addend)
  }

  @inline(__always)
  func writableWords(_ linear: UInt64, _ count: UInt8) -> UnsafeMutablePointer<UInt64>? {
    let entry = cpu.pointee.machine.translations.pointee.writes + TranslationCache.index(linear)
    let last = linear &+ UInt64(count &- 1)
    guard entry.pointee.tag == last & ~0xFFF | cpu.pointee.contexts.data else { return nil }
    return UnsafeMutablePointer(bitPattern: Int(truncatingIfNeeded: linear) &+ entry.pointee.addend)
  }

  /// The L0-physical addresses of the first page's part and of what lies on the next.
  private func pieces(
    _ linear: UInt64, _ count: Int, _ access: MemoryAccess, _ stack: Bool
  ) throws(Interruption) -> (first: UInt64, head: Int, second: UInt64) {
    let fault: ExceptionVector = stack ? .stackSegmentFault : .generalProtection
    let head = min(count, 0x1000 &- Int(truncatingIfNeeded: linear & 0xFFF))
    let first = try locate(linear, for: access, privilege: currentPrivilege, canonicalFault: fault)
    guard head < count else { return (first, head, 0) }
    let next = (linear | 0xFFF) &+ 1
    let second = try locate(
      is64BitMode ? next : next & 0xFFFF_FFFF, for: access, privilege: currentPrivilege, canonicalFault: fault
    )
    return (first, head, second)
  }

  @inline(never)
  private func loadVectorSlowly(_ linear: UInt64, _ count: Int, _ stack: Bool) throws(Interruption) -> Vector
  {
    let pieces = try pieces(linear, count, .read, stack)
    var value = Vector()
    for index in 0..<count {
      let address =
        index < pieces.head ? pieces.first &+ UInt64(index) : pieces.second &+ UInt64(index &- pieces.head)
      value.bytes[index] = loadPhysical(address, as: UInt8.self)
    }
    return value
  }

  @inline(never)
  private func storeVectorSlowly(
    _ value: Vector, at linear: UInt64, _ count: Int, _ stack: Bool
  ) throws(Interruption) {
    let pieces = try pieces(linear, count, .write, stack)
    for index in 0..<count {
      let address =
        index < pieces.head ? pieces.first &+ UInt64(index) : pieces.second &+ UInt64(index &- pieces.head)
      storePhysical(value.bytes[index], at: address)
    }
  }
}
