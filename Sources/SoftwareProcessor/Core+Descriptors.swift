import X86

/// A segment or system descriptor as read from its table.
struct LoadedDescriptor {
  var lower: UInt64
  /// The linear address of its first byte.
  var address: UInt64

  var segment: SegmentDescriptor { SegmentDescriptor(rawValue: lower) }
  var rights: SegmentAccessRights { segment.accessRights }
  var gate: GateDescriptor { GateDescriptor(lower: lower) }
  var systemType: SystemSegmentType? { gate.type }
}

extension SegmentState {
  /// The register loaded with a code, data or stack segment.
  init(_ selector: SegmentSelector, _ descriptor: LoadedDescriptor) {
    self.init(
      selector: selector.rawValue, accessRights: descriptor.rights.rawValue,
      limit: descriptor.segment.limit, base: descriptor.segment.base)
  }

  /// The register loaded with a null selector.
  static func null(_ selector: SegmentSelector) -> SegmentState {
    SegmentState(selector: selector.rawValue)
  }

  var rights: SegmentAccessRights {
    get { SegmentAccessRights(rawValue: accessRights) }
    set { accessRights = newValue.rawValue }
  }
}

extension Core {
  /// The error code that names `selector` (SDM volume 3, "Error Code").
  func errorCode(_ selector: SegmentSelector, external: UInt32 = 0) -> UInt32 {
    UInt32(selector.rawValue & 0xFFFC) | external
  }

  /// Reads the descriptor that `selector` names in the GDT or LDT.
  /// - Throws: `fault` with the selector as its error code if it is outside its table.
  func readDescriptor(
    _ selector: SegmentSelector, fault: ExceptionVector = .generalProtection, external: UInt32 = 0
  ) throws(Interruption) -> LoadedDescriptor {
    var base = cpu.pointee.gdtr.base
    var limit = UInt64(cpu.pointee.gdtr.limit)
    if selector.isLocal {
      guard !cpu.pointee.ldtr.rights.isUnusable else {
        throw raise(fault, errorCode: errorCode(selector, external: external))
      }
      base = cpu.pointee.ldtr.base
      limit = UInt64(cpu.pointee.ldtr.limit)
    }
    guard selector.offset &+ 7 <= limit else {
      throw raise(fault, errorCode: errorCode(selector, external: external))
    }
    let address = systemAddress(base, selector.offset)
    return LoadedDescriptor(lower: try loadSystem(address, as: UInt64.self), address: address)
  }

  /// The second half of the 16-byte descriptor at `address` (call gates, LDT and TSS descriptors in IA-32e mode).
  func readUpperHalf(
    _ selector: SegmentSelector, _ descriptor: LoadedDescriptor, fault: ExceptionVector = .generalProtection
  ) throws(Interruption) -> UInt64 {
    let limit = UInt64(selector.isLocal ? cpu.pointee.ldtr.limit : cpu.pointee.gdtr.limit)
    guard selector.offset &+ 15 <= limit else { throw raise(fault, errorCode: errorCode(selector)) }
    let upper = try loadSystem(systemAddress(descriptor.address, 8), as: UInt64.self)
    // Bits 12:8 of the fourth doubleword are the type field of what would be a descriptor of its own.
    guard upper >> 40 & 0x1F == 0 else { throw raise(fault, errorCode: errorCode(selector)) }
    return upper
  }

  /// Sets the accessed flag of a code or data segment's descriptor.
  func setAccessed(_ descriptor: inout LoadedDescriptor) throws(Interruption) {
    guard descriptor.lower & 1 << 40 == 0 else { return }
    descriptor.lower |= 1 << 40
    try storeSystem(
      UInt8(truncatingIfNeeded: descriptor.lower >> 40), at: systemAddress(descriptor.address, 5))
  }
}
