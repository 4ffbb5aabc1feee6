import InstructionDecoder
import VMX
import X86

// The XSAVE feature set.
//
// Source: SDM volume 1, "Managing State Using the XSAVE Feature Set"; volume 2 at each instruction.

/// The header of an XSAVE area, behind the legacy region.
private enum XSAVEHeader {
  static let stateComponents: UInt64 = 512
  static let compaction: UInt64 = 520
  static let reserved: UInt64 = 528
  static let end: UInt64 = 576
  /// In XCOMP_BV: the area has the compacted format.
  static let isCompacted: UInt64 = 1 << 63
}

/// What one of the instructions has to do.
private struct StateRequest {
  /// RFBM: the components that are asked for and enabled.
  var components: UInt64
  var is64: Bool
}

extension Core {
  /// XGETBV: XCR0, or with ECX = 1 those of its components that are in use.
  func executeXGETBV() throws(Interruption) {
    guard cr4.contains(.osxsave) else { throw raise(.invalidOpcode) }
    let value: UInt64
    switch self[.rcx] & 0xFFFF_FFFF {
    case 0: value = cpu.pointee.xcr0
    case 1: value = cpu.pointee.xcr0 & componentsInUse
    default: throw raise(.generalProtection)
    }
    self[.rax] = value & 0xFFFF_FFFF
    self[.rdx] = value >> 32
  }

  /// XSETBV: in VMX non-root operation always a VM exit.
  func executeXSETBV() throws(Interruption) {
    guard cr4.contains(.osxsave) else { throw raise(.invalidOpcode) }
    try requireCPL0()
    throw vmExit(.xsetbv)
  }

  /// XSAVE, XSAVEOPT, XSAVEC, XSAVES, XRSTOR, XRSTORS.
  func executeStateComponents(_ instruction: Instruction) throws(Interruption) {
    let isSupervisor = instruction.mnemonic == .xsaves || instruction.mnemonic == .xrstors
    guard cr4.contains(.osxsave) else { throw raise(.invalidOpcode) }
    if isSupervisor, !nonRoot.pointee.secondary.contains(.enableXSAVES) { throw raise(.invalidOpcode) }
    guard !cr0.contains(.ts) else { throw raise(.deviceNotAvailable) }
    if isSupervisor { try requireCPL0() }
    let asked = self[.rdx] << 32 | self[.rax] & 0xFFFF_FFFF
    if isSupervisor { try exitForSupervisorState(instruction, asked) }
    let enabled = cpu.pointee.xcr0 | (isSupervisor ? cpu.pointee.msrs.xss : 0)
    let request = StateRequest(components: asked & enabled, is64: instruction.operandSize == 8)
    switch instruction.mnemonic {
    case .xsave: try saveStandard(instruction, request, optimizes: false)
    case .xsaveopt: try saveStandard(instruction, request, optimizes: true)
    case .xsavec, .xsaves: try saveCompacted(instruction, request)
    default: try restore(instruction, request, isSupervisor: isSupervisor)
    }
  }

  /// SDM volume 3, "Instructions That Cause VM Exits Conditionally": XSAVES and XRSTORS.
  private func exitForSupervisorState(_ instruction: Instruction, _ asked: UInt64) throws(Interruption) {
    guard asked & cpu.pointee.msrs.xss & vmcs[.xssExitingBitmap] != 0 else { return }
    throw vmExit(
      instruction.mnemonic == .xsaves ? .xsaves : .xrstors,
      qualification: displacement(instruction, instruction.operand0),
      information: operandInformation(instruction, instruction.operand0))
  }

  private func stateArea(
    _ instruction: Instruction, _ access: MemoryAccess, count: UInt32 = ExtendedStateComponent.firstOffset
  ) throws(Interruption) -> MemoryArea {
    try area(of: instruction, count: Int(count), access: access, alignment: 64)
  }
}

// MARK: - Saving

extension Core {
  /// XSAVE and XSAVEOPT: the standard format. XSAVEOPT leaves out components that are in their initial configuration.
  private func saveStandard(
    _ instruction: Instruction, _ request: StateRequest, optimizes: Bool
  ) throws(Interruption) {
    let inUse = componentsInUse
    let saved = optimizes ? request.components & inUse : request.components
    let size = ExtendedStateComponent.standardSize(of: saved)
    let area = try stateArea(instruction, .write, count: size)
    try area.checkWrite(0, count: Int(size))
    let old = try area.load(XSAVEHeader.stateComponents, as: UInt64.self)
    if saved & ExtendedStateComponent.x87 != 0 { try saveX87(to: area, is64: request.is64) }
    if request.components & (ExtendedStateComponent.sse | ExtendedStateComponent.avx) != 0 {
      try saveMXCSR(to: area)
    }
    if saved & ExtendedStateComponent.sse != 0 { try saveXMM(to: area) }
    if saved & ExtendedStateComponent.avx != 0 {
      try saveUpperHalves(to: area, at: offset(of: ExtendedStateComponent.avx, in: nil))
    }
    let new = old & ~request.components | request.components & inUse
    try area.store(new, at: XSAVEHeader.stateComponents)
  }

  /// XSAVEC and XSAVES: the compacted format, without components in their initial configuration.
  private func saveCompacted(_ instruction: Instruction, _ request: StateRequest) throws(Interruption) {
    var inUse = componentsInUse
    if extendedState.pointee.mxcsr != MXCSR.initial { inUse |= ExtendedStateComponent.sse }
    let saved = request.components & inUse
    let size = ExtendedStateComponent.compactedSize(of: request.components)
    let area = try stateArea(instruction, .write, count: size)
    try area.checkWrite(0, count: Int(size))
    if saved & ExtendedStateComponent.x87 != 0 { try saveX87(to: area, is64: request.is64) }
    if saved & ExtendedStateComponent.sse != 0 {
      try saveMXCSR(to: area)
      try saveXMM(to: area)
    }
    if saved & ExtendedStateComponent.avx != 0 {
      try saveUpperHalves(to: area, at: offset(of: ExtendedStateComponent.avx, in: request.components))
    }
    try area.store(saved, at: XSAVEHeader.stateComponents)
    try area.store(request.components | XSAVEHeader.isCompacted, at: XSAVEHeader.compaction)
  }

  private func saveMXCSR(to area: MemoryArea) throws(Interruption) {
    try area.store(extendedState.pointee.mxcsr, at: LegacyRegion.mxcsr)
    try area.store(MXCSR.mask, at: LegacyRegion.mxcsr &+ 4)
  }

  /// Where an area has the component whose bit is `component`: in the compacted format with `compacted`, or in the
  /// standard one.
  private func offset(of component: UInt64, in compacted: UInt64?) -> UInt64 {
    let number = UInt32(truncatingIfNeeded: component.trailingZeroBitCount)
    if let compacted { return UInt64(ExtendedStateComponent.compactedOffset(of: number, in: compacted)) }
    for position in 0..<ExtendedStateComponent.rows.count {
      let row = ExtendedStateComponent.rows[position]
      if row.number == number { return UInt64(row.standardOffset) }
    }
    return 0
  }
}

// MARK: - Restoring

/// The header of an area that XRSTOR and XRSTORS found in order.
private struct CheckedHeader {
  /// XSTATE_BV: the components that the area has; the others of those asked for get their initial configurations.
  var present: UInt64
  /// The components that the compacted format has room for, or nil in the standard format.
  var compacted: UInt64?
}

extension Core {
  private func restore(
    _ instruction: Instruction, _ request: StateRequest, isSupervisor: Bool
  ) throws(Interruption) {
    let start = try stateArea(instruction, .read)
    try start.checkRead(count: XSAVEHeader.end)
    let header = try checkHeader(of: start, isSupervisor: isSupervisor)
    let loaded = request.components & header.present
    var size = ExtendedStateComponent.firstOffset
    if loaded & ExtendedStateComponent.avx != 0 {
      size =
        header.compacted.map(ExtendedStateComponent.compactedSize)
        ?? ExtendedStateComponent.standardSize(of: loaded)
    }
    let area = try stateArea(instruction, .read, count: size)
    try area.checkRead(count: UInt64(size))
    let vectors = ExtendedStateComponent.sse | ExtendedStateComponent.avx
    let takesMXCSR =
      header.compacted == nil ? request.components & vectors != 0 : loaded & ExtendedStateComponent.sse != 0
    var mxcsr = extendedState.pointee.mxcsr
    if takesMXCSR {
      mxcsr = try area.load(LegacyRegion.mxcsr, as: UInt32.self)
      guard mxcsr & ~MXCSR.mask == 0 else { throw raise(.generalProtection) }
    } else if header.compacted != nil, request.components & ExtendedStateComponent.sse != 0 {
      mxcsr = MXCSR.initial
    }
    extendedState.pointee.mxcsr = mxcsr
    try load(request, loaded, header, from: area)
  }

  /// Loads the components `loaded`, and initializes the rest of those that are asked for.
  private func load(
    _ request: StateRequest, _ loaded: UInt64, _ header: CheckedHeader, from area: MemoryArea
  ) throws(Interruption) {
    let initialized = request.components & ~loaded
    if loaded & ExtendedStateComponent.x87 != 0 { try restoreX87(from: area, is64: request.is64) }
    if initialized & ExtendedStateComponent.x87 != 0 { initializeX87() }
    if loaded & ExtendedStateComponent.sse != 0 { try restoreXMM(from: area) }
    if initialized & ExtendedStateComponent.sse != 0 { clearVectors(0..<2) }
    if loaded & ExtendedStateComponent.avx != 0 {
      try restoreUpperHalves(from: area, at: offset(of: ExtendedStateComponent.avx, in: header.compacted))
    }
    if initialized & ExtendedStateComponent.avx != 0 { clearVectors(2..<4) }
  }

  /// The header, or #GP(0) if it has what XRSTOR or XRSTORS refuses.
  private func checkHeader(of area: MemoryArea, isSupervisor: Bool) throws(Interruption) -> CheckedHeader {
    let present = try area.load(XSAVEHeader.stateComponents, as: UInt64.self)
    let compaction = try area.load(XSAVEHeader.compaction, as: UInt64.self)
    let enabled = cpu.pointee.xcr0 | (isSupervisor ? cpu.pointee.msrs.xss : 0)
    let isCompacted = compaction & XSAVEHeader.isCompacted != 0
    let room = compaction & ~XSAVEHeader.isCompacted
    var reserved = try area.load(XSAVEHeader.reserved, as: UInt64.self)
    if isCompacted {
      for offset in stride(from: XSAVEHeader.reserved &+ 8, to: XSAVEHeader.end, by: 8) {
        reserved |= try area.load(offset, as: UInt64.self)
      }
      guard room & ~enabled == 0, present & ~room == 0 else { throw raise(.generalProtection) }
    } else {
      guard !isSupervisor, compaction == 0, present & ~enabled == 0 else { throw raise(.generalProtection) }
    }
    guard reserved == 0 else { throw raise(.generalProtection) }
    return CheckedHeader(present: present, compacted: isCompacted ? room : nil)
  }
}
