/// The state that the XSAVE feature set manages: x87, SSE and AVX (SDM volume 1, "XSAVE-Supported Features and
/// XSAVE-State Components"). Trivial, so that it can be addressed and copied as a block.
struct ExtendedState {
  /// The x87 data registers R0 to R7 by their physical numbers; ST(i) is R((TOP + i) mod 8). MMX register n is the
  /// significand of Rn.
  var x87: InlineArray<8, X87Register> = InlineArray(repeating: X87Register())
  /// The x87 control word after FNINIT.
  var controlWord: UInt16 = 0x37F
  /// The x87 status word, TOP in bits 13:11.
  var statusWord: UInt16 = 0
  /// One bit per physical register: 1 if it is not empty, as in the FXSAVE format's abridged tag word.
  var tags: UInt8 = 0
  /// The last x87 opcode (11 bits), and the pointers to the last instruction and its operand.
  var opcode: UInt16 = 0
  var instructionSelector: UInt16 = 0
  var instructionPointer: UInt64 = 0
  var dataSelector: UInt16 = 0
  var dataPointer: UInt64 = 0
  /// MXCSR after a reset.
  var mxcsr: UInt32 = 0x1F80
  /// YMM0 to YMM15, whose low halves are the XMM registers.
  var vectors: InlineArray<16, VectorRegister> = InlineArray(repeating: VectorRegister())
}

/// An 80-bit x87 register.
struct X87Register {
  var significand: UInt64 = 0
  /// Sign in bit 15, biased exponent in bits 14:0.
  var signAndExponent: UInt16 = 0
}

/// A 256-bit vector register, least significant word first.
struct VectorRegister {
  var words: InlineArray<4, UInt64> = InlineArray(repeating: 0)
}
