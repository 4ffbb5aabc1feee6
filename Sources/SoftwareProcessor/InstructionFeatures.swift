import InstructionDecoder
import X86

/// Which feature of CPUID an instruction belongs to: without it the processor raises #UD, or knows another instruction
/// by that encoding.
///
/// Source: SDM volume 2, "CPUID—CPU Identification", and the CPUID feature flag at each instruction.
enum InstructionFeatures {
  /// The features that `instruction` needs, all of them.
  static func needed(by instruction: Instruction, in mode: ExecutionMode) -> ProcessorFeatures {
    let own = table[Int(instruction.mnemonic.rawValue)]
    switch instruction.mnemonic {
    // Outside 64-bit mode every processor has LAHF and SAHF.
    case .lahf, .sahf: return mode.contains(.code64) ? own : ProcessorFeatures()
    case _ where instruction.mnemonic.isVector && instruction.prefixes.contains(.vex):
      return vexFeatures(instruction).union(own)
    default: return own
    }
  }

  /// AVX2 brought the forms of AVX that have 256 bits of integers, and those that broadcast from a register.
  private static func vexFeatures(_ instruction: Instruction) -> ProcessorFeatures {
    let mnemonic = instruction.mnemonic
    let isWide = instruction.prefixes.contains(.vex256)
    let isBroadcast = mnemonic == .vbroadcastss || mnemonic == .vbroadcastsd
    let needsAVX2 =
      (isWide && mnemonic.isIntegerVector) || (isBroadcast && instruction.operand1.kind == .vector)
    return ProcessorFeatures(featuresECX: .avx, extendedEBX: needsAVX2 ? .avx2 : [])
  }

  /// What an encoding means where its instruction's feature is missing: TZCNT and LZCNT are then BSF and BSR, whose REP
  /// prefix is ignored.
  static func substitute(for mnemonic: Mnemonic) -> Mnemonic? {
    switch mnemonic {
    case .tzcnt: .bsf
    case .lzcnt: .bsr
    default: nil
    }
  }

  /// By mnemonic: the features of every form of it.
  private static let table: [ProcessorFeatures] = {
    var table = Array(repeating: ProcessorFeatures(), count: Mnemonic.allCases.count)
    for (features, mnemonics) in rows {
      for mnemonic in mnemonics { table[Int(mnemonic.rawValue)] = features }
    }
    return table
  }()

  private static let rows: [(ProcessorFeatures, [Mnemonic])] = [
    (ProcessorFeatures(featuresEDX: .cx8), [.cmpxchg8b]),
    (ProcessorFeatures(featuresEDX: .cmov), [.cmovcc, .fcmovcc, .fcomi, .fcomip, .fucomi, .fucomip]),
    (ProcessorFeatures(featuresEDX: .sep), [.sysenter, .sysexit]),
    (ProcessorFeatures(featuresEDX: .clfsh), [.clflush]),
    (ProcessorFeatures(featuresEDX: .fxsr), [.fxsave, .fxrstor]),
    (ProcessorFeatures(featuresECX: .monitor), [.monitor, .mwait]),
    (ProcessorFeatures(featuresECX: .cmpxchg16b), [.cmpxchg16b]),
    (
      ProcessorFeatures(featuresECX: .sse42),
      [.crc32, .pcmpgtq, .pcmpestrm, .pcmpestri, .pcmpistrm, .pcmpistri]
    ),
    (ProcessorFeatures(featuresECX: .popcnt), [.popcnt]),
    (ProcessorFeatures(featuresECX: .pclmulqdq), [.pclmulqdq]),
    (
      ProcessorFeatures(featuresECX: .aes),
      [.aesenc, .aesenclast, .aesdec, .aesdeclast, .aesimc, .aeskeygenassist]
    ),
    (ProcessorFeatures(featuresECX: .xsave), [.xsave, .xrstor, .xgetbv, .xsetbv]),
    (ProcessorFeatures(featuresECX: .f16c), [.vcvtph2ps, .vcvtps2ph]),
    (ProcessorFeatures(featuresECX: .rdrand), [.rdrand]),
    (ProcessorFeatures(featuresECX: .movbe), [.movbe]),
    (
      ProcessorFeatures(featuresECX: .fma),
      [
        .vfmadd, .vfmaddScalar, .vfmsub, .vfmsubScalar, .vfnmadd, .vfnmaddScalar, .vfnmsub, .vfnmsubScalar,
        .vfmaddsub, .vfmsubadd,
      ]
    ),
    (ProcessorFeatures(extendedEBX: .fsgsbase), [.rdfsbase, .rdgsbase, .wrfsbase, .wrgsbase]),
    (ProcessorFeatures(extendedEBX: .bmi1), [.tzcnt, .andn, .bextr, .blsi, .blsmsk, .blsr]),
    (ProcessorFeatures(extendedEBX: .bmi2), [.bzhi, .pdep, .pext, .rorx, .sarx, .shlx, .shrx, .mulx]),
    (
      ProcessorFeatures(extendedEBX: .avx2),
      [
        .vpbroadcastb, .vpbroadcastw, .vpbroadcastd, .vpbroadcastq, .vbroadcasti128, .vinserti128,
        .vextracti128,
        .vperm2i128, .vpermps, .vpermpd, .vpermd, .vpermq, .vpmaskmov, .vgatherdp, .vgatherqp, .vpgatherd,
        .vpgatherq, .vpblendd, .vpsllv, .vpsrlv, .vpsravd,
      ]
    ),
    (ProcessorFeatures(extendedEBX: .invpcid), [.invpcid]),
    (ProcessorFeatures(extendedEBX: .rdseed), [.rdseed]),
    (ProcessorFeatures(extendedEBX: .adx), [.adcx, .adox]),
    (ProcessorFeatures(extendedEBX: .smap), [.clac, .stac]),
    (ProcessorFeatures(extendedEBX: .clflushopt), [.clflushopt]),
    (ProcessorFeatures(extendedEBX: .clwb), [.clwb]),
    (ProcessorFeatures(extendedECX: .rdpid), [.rdpid]),
    (ProcessorFeatures(extendedECX: .waitpkg), [.umonitor, .umwait, .tpause]),
    (ProcessorFeatures(extendedECX: .movdiri), [.movdiri]),
    (ProcessorFeatures(extendedECX: .movdir64b), [.movdir64b]),
    (ProcessorFeatures(extendedEDX: .serialize), [.serialize]),
    (ProcessorFeatures(signatureECX: .lahf), [.lahf, .sahf]),
    (ProcessorFeatures(signatureECX: .lzcnt), [.lzcnt]),
    (ProcessorFeatures(signatureEDX: .syscall), [.syscall, .sysret]),
    (ProcessorFeatures(signatureEDX: .rdtscp), [.rdtscp]),
    (ProcessorFeatures(extendedState: .xsaveopt), [.xsaveopt]),
    (ProcessorFeatures(extendedState: .xsavec), [.xsavec]),
    (ProcessorFeatures(extendedState: .xsaves), [.xsaves, .xrstors]),
  ]
}

extension Mnemonic {
  /// Whether it works on a vector of integers, all of it: what AVX2 widened to 256 bits.
  fileprivate var isIntegerVector: Bool {
    switch rawValue {
    case Mnemonic.pand.rawValue...Mnemonic.pxor.rawValue,
      Mnemonic.paddb.rawValue...Mnemonic.punpckhqdq.rawValue,
      Mnemonic.pshufb.rawValue...Mnemonic.phsubsw.rawValue,
      Mnemonic.palignr.rawValue...Mnemonic.pblendw.rawValue,
      Mnemonic.pabsb.rawValue...Mnemonic.psrldq.rawValue:
      true
    default: self == .pblendvb || self == .pmovmskb || self == .movntdqa
    }
  }
}

extension Core {
  /// `instruction` as the processor knows it, or nil if it has no such instruction.
  func known(_ instruction: Instruction, in mode: ExecutionMode) -> Instruction? {
    guard cpu.pointee.lacksFeatures else { return instruction }
    let needed = InstructionFeatures.needed(by: instruction, in: mode)
    guard needed.intersection(cpu.pointee.missingFeatures) != ProcessorFeatures() else { return instruction }
    guard let substitute = InstructionFeatures.substitute(for: instruction.mnemonic) else { return nil }
    var other = instruction
    other.mnemonic = substitute
    return other
  }

  /// Makes the processor one without `features`.
  func remove(_ features: ProcessorFeatures) {
    cpu.pointee.missingFeatures = features
    cpu.pointee.lacksFeatures = features != ProcessorFeatures()
  }
}
