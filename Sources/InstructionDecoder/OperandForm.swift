/// How an operand is encoded and how wide it is, by the codes of the SDM's opcode maps: a capital for the place
/// (E the ModRM byte's r/m, G its reg, M memory only, R register only, I immediate, …), a small letter for the size
/// (b, w, d, q bytes to quadwords; v the operand size; z the same but 4 at most; y 4, or 8 with W).
///
/// Source: SDM volume 2, "Opcode Map", "Codes for Addressing Method" and "Codes for Operand Type". Our own are n, the
/// native size (8 in 64-bit mode, else 4), and the few that say so.
enum OperandForm: UInt8 {
  case none

  // Places named by the opcode.
  /// AL, the operand-sized rAX, CL and DX.
  case al, rax, cl, dx
  /// AX, and ST(0).
  case ax, st0
  /// The register in the opcode's bits 2:0, byte-sized and operand-sized.
  case zb, zv
  /// The segment register in the opcode's bits 5:3.
  case opcodeSegment
  /// The constant 1 of the shifts by one.
  case one

  // Immediates: zero-extended byte, sign-extended byte, zero-extended word, sign-extended z, all of v.
  case ib, ibs, iw, iz, iv
  /// The byte behind another immediate: ENTER's nesting level.
  case ibSecond
  /// Relative branch displacements.
  case jb, jz
  /// A far pointer in the instruction.
  case ap
  /// Memory at an offset in the instruction.
  case ob, ov

  // Everything from here on takes a ModRM byte.
  case eb, ew, ev, ey, ez, en
  /// A register of the operand size, or a word of memory.
  case evOrMw
  case gb, gv, gy, gn
  case gw
  /// A register that holds an address: as wide as the address size.
  case ga
  /// An address only, of no size.
  case m
  case mb, mw, md, mq, mdq, mv, my
  /// 10 bytes: a real or a packed decimal of the x87 FPU.
  case m10
  /// Twice the operand size: BOUND's pair.
  case ma
  /// A far pointer in memory.
  case mp
  /// A pseudo-descriptor in memory: limit and base.
  case ms
  /// 64 bytes of memory.
  case mz
  /// A general register in r/m, whatever the mod field says (MOV of control and debug registers).
  case rn
  /// A register in r/m; d is 4 bytes wide, and a as wide as the address size.
  case rv, ry, rd, ra
  /// Segment, control and debug registers in reg.
  case sw, cn, dn
  /// ST(i), where i is r/m.
  case sti
  /// The general register of VEX.vvvv.
  case by

  // General registers of MMX and SSE instructions: 4 bytes in reg and in r/m; a register of 4 bytes, or less of memory.
  case gd, ed, edOrMb, edOrMw
  // Vector registers: x has 16 or 32 bytes by VEX.L.
  /// In reg.
  case vx, vdq
  /// In VEX.vvvv; without a VEX prefix there is no such operand.
  case hx, hdq
  /// The same, but only if r/m is a register.
  case hr
  /// In r/m, or memory of that size: all of it, 16, 8, 4, 2, 1 bytes; 4 or 8 by VEX.W; half, a quarter, an eighth.
  case wx, wdq, wq, wd, ww, wb, wy, whalf, wquarter, weighth
  /// 8 bytes of 16, or 32 of 32: MOVDDUP's source.
  case wdup
  /// In r/m, which must be a register.
  case ux
  /// Memory only.
  case mx
  /// In bits 7:4 of an immediate.
  case lx
  /// Memory at a vector of addresses.
  case vsib
  // MMX registers: in reg; in r/m, or 8 or 4 bytes of memory; in r/m.
  case pq, qq, qd, nq

  var usesModRM: Bool { rawValue >= OperandForm.eb.rawValue }
  /// Whether an instruction with this destination works on bytes.
  var isByte: Bool {
    switch self {
    case .al, .zb, .ob, .eb, .gb: true
    default: false
    }
  }
}
