import VMX
import X86

// The extensions of virtual-8086 mode (CR4.VME) and the virtual interrupts of protected mode (CR4.PVI): what programs
// that may not change IF change in its place, VIF.
//
// Source: SDM volume 3, "Interrupt and Exception Handling in Virtual-8086 Mode" and "Protected-Mode Virtual Interrupts".
extension Core {
  /// Which flag CLI and STI change; nil if they raise #GP(0).
  ///
  /// Source: SDM volume 2, "CLI—Clear Interrupt Flag", "STI—Set Interrupt Flag".
  var interruptFlag: RFLAGS? {
    guard cr0.contains(.pe), cpl > iopl else { return .if }
    if isVirtual8086 { return cr4.contains(.vme) ? .vif : nil }
    return cpl == 3 && cr4.contains(.pvi) ? .vif : nil
  }

  /// Whether PUSHF, POPF, IRET and INT n of virtual-8086 mode work on VIF. With 32-bit operands they are not extended.
  /// - Throws: #GP(0) if they may not be executed at all.
  func usesVirtualFlags(size: UInt8) throws(Interruption) -> Bool {
    guard isVirtual8086, iopl < 3 else { return false }
    guard cr4.contains(.vme), size == 2 else { throw raise(.generalProtection) }
    return true
  }

  /// FLAGS as an 8086 program sees them whose IF is VIF: with IOPL 3.
  var virtualFlags: UInt64 {
    let flags = rflags & 0xFFFF & ~RFLAGS.if.rawValue | 0x3000
    return systemFlags.contains(.vif) ? flags | RFLAGS.if.rawValue : flags
  }

  /// Loads FLAGS from an image of ``virtualFlags``: IF becomes VIF, and IOPL stays.
  /// - Throws: #GP(0) for TF, and for interrupts enabled while one is pending.
  func setVirtualFlags(_ image: UInt64) throws(Interruption) {
    let new = RFLAGS(rawValue: image)
    guard !new.contains(.tf), !new.contains(.if) || !systemFlags.contains(.vip) else {
      throw raise(.generalProtection)
    }
    setFlags(image, mask: RFLAGS([.cf, .pf, .af, .zf, .sf, .tf, .df, .of, .nt]).rawValue)
    setFlags(new.contains(.if) ? .max : 0, mask: RFLAGS.vif.rawValue)
  }

  /// Whether INT n of virtual-8086 mode goes to the 8086 program's own handler: its bit of the software interrupt
  /// redirection bitmap, which lies below the I/O permission bitmap, is clear.
  /// - Throws: #GP(0) if neither the bitmap nor IOPL allows INT n.
  func redirectsInterrupt(_ vector: UInt8) throws(Interruption) -> Bool {
    guard isVirtual8086 else { return false }
    if cr4.contains(.vme) {
      let map = try ioPermissionMap()
      let offset = map &- 32 &+ UInt64(vector >> 3)
      guard map >= 32, offset <= UInt64(cpu.pointee.tr.limit) else { throw raise(.generalProtection) }
      let bits = try loadSystem(systemAddress(cpu.pointee.tr.base, offset), as: UInt8.self)
      if bits >> (vector & 7) & 1 == 0 { return true }
    }
    guard iopl == 3 else { throw raise(.generalProtection) }
    return false
  }

  /// Enters the 8086 program's handler, by the interrupt vector table at linear address 0.
  ///
  /// Source: SDM volume 3, "Method 5: Software Interrupt Handling" and "Method 6: Software Interrupt Handling".
  func deliverRedirected(_ event: Event) throws(Interruption) {
    let target = try loadSystem(UInt64(event.vector) << 2, as: UInt32.self)
    let isVirtual = iopl < 3
    var stack = currentStack
    try push(isVirtual ? virtualFlags : rflags, size: 2, to: &stack)
    try push(UInt64(cpu.pointee.cs.selector), size: 2, to: &stack)
    try push((rip &+ UInt64(event.instructionLength)) & 0xFFFF, size: 2, to: &stack)
    commit(stack)
    loadRealSegment(.cs, SegmentSelector(rawValue: UInt16(truncatingIfNeeded: target >> 16)))
    rip = UInt64(target & 0xFFFF)
    let cleared: RFLAGS = [.tf, .rf, isVirtual ? .vif : .if]
    cpu.pointee.rflagsSystem &= ~cleared.rawValue
  }
}
