import InstructionDecoder

/// Constants of 128 digits: the next is beyond them, so that they are rounded as inexact values are.
enum WideConstants {
  static var one: UnroundedValue { constant(0, 1 << 127) }
  /// log2(10)
  static var log2Of10: UnroundedValue { constant(1, 0xD49A_784B_CD1B_8AFE_492B_F6FF_4DAF_DB4C) }
  /// log2(e)
  static var log2OfE: UnroundedValue { constant(0, 0xB8AA_3B29_5C17_F0BB_BE87_FED0_691D_3E88) }
  /// π
  static var pi: UnroundedValue { constant(1, 0xC90F_DAA2_2168_C234_C4C6_628B_80DC_1CD1) }
  /// log10(2)
  static var log10Of2: UnroundedValue { constant(-2, 0x9A20_9A84_FBCF_F798_8F89_59AC_0B7C_9178) }
  /// ln(2)
  static var ln2: UnroundedValue { constant(-1, 0xB172_17F7_D1CF_79AB_C9E3_B398_03F2_F6AF) }

  private static func constant(_ exponent: Int32, _ significand: UInt128) -> UnroundedValue {
    UnroundedValue(normalizing: significand, exponent: exponent, isNegative: false)
  }

  /// What FLD1, FLDL2T, FLDL2E, FLDPI, FLDLG2 and FLDLN2 load.
  static func value(of mnemonic: Mnemonic) -> UnroundedValue {
    switch mnemonic {
    case .fldl2t: log2Of10
    case .fldl2e: log2OfE
    case .fldpi: pi
    case .fldlg2: log10Of2
    case .fldln2: ln2
    default: one
    }
  }

  /// The arctangents of k/8, k from 1 to 8.
  static func arctangent(ofEighths eighths: Int) -> UnroundedValue {
    switch eighths {
    case 1: constant(-4, 0xFEAD_D4D5_617B_6E32_C897_989F_3E88_8EF7)
    case 2: constant(-3, 0xFADB_AFC9_6406_EB15_6DC7_9EF5_F7A2_17E5)
    case 3: constant(-2, 0xB7B0_CA0F_26F7_8473_8AA3_2122_DCFE_4483)
    case 4: constant(-2, 0xED63_382B_0DDA_7B45_6FE4_45EC_BC3A_8D03)
    case 5: constant(-1, 0x8F00_5D5E_F7F5_9F9B_5C83_5E16_65C4_3747)
    case 6: constant(-1, 0xA4BC_7D19_34F7_0924_19A8_7F2A_457D_AC9E)
    case 7: constant(-1, 0xB805_3E2B_C231_9E73_CB2D_A552_10A4_443D)
    default: constant(-1, 0xC90F_DAA2_2168_C234_C4C6_628B_80DC_1CD1)
    }
  }
}
