import Processor
import SoftwareProcessor
import Testing
import VMX
import X86

private typealias Place = SystemGuest.Place

/// An instruction that a feature of CPUID brings.
private struct FeatureProbe: CustomTestStringConvertible {
  var name: String
  var feature: ProcessorFeatures
  var code: [UInt8]
  /// Whether a processor without the feature raises #UD; else the encoding means something else there.
  var isInvalidWithout = true

  init(_ name: String, _ feature: ProcessorFeatures, _ code: [UInt8], isInvalidWithout: Bool = true) {
    self.name = name
    self.feature = feature
    self.code = code
    self.isInvalidWithout = isInvalidWithout
  }

  var testDescription: String { name }

  // RDI holds the address of 4096 bytes of data; the other registers are 0.
  static let all: [FeatureProbe] = leaf1 + extendedFeatures + signature + extendedState

  private static let leaf1 = [
    FeatureProbe("FLD1", .init(featuresEDX: .fpu), [0xD9, 0xE8], isInvalidWithout: false),
    FeatureProbe("RDTSC", .init(featuresEDX: .tsc), [0x0F, 0x31], isInvalidWithout: false),
    FeatureProbe("RDMSR", .init(featuresEDX: .msr), [0x0F, 0x32], isInvalidWithout: false),
    FeatureProbe("CMPXCHG8B", .init(featuresEDX: .cx8), [0x0F, 0xC7, 0x0F]),
    FeatureProbe("SYSENTER", .init(featuresEDX: .sep), [0x0F, 0x34]),
    FeatureProbe("CMOVZ", .init(featuresEDX: .cmov), [0x0F, 0x44, 0xC0]),
    FeatureProbe("FCOMI", .init(featuresEDX: .cmov), [0xDB, 0xF0]),
    FeatureProbe("CLFLUSH", .init(featuresEDX: .clfsh), [0x0F, 0xAE, 0x3F]),
    FeatureProbe("EMMS", .init(featuresEDX: .mmx), [0x0F, 0x77], isInvalidWithout: false),
    FeatureProbe("FXSAVE", .init(featuresEDX: .fxsr), [0x0F, 0xAE, 0x07]),
    FeatureProbe("ADDPS", .init(featuresEDX: .sse), [0x0F, 0x58, 0xC1], isInvalidWithout: false),
    FeatureProbe("ADDPD", .init(featuresEDX: .sse2), [0x66, 0x0F, 0x58, 0xC1], isInvalidWithout: false),
    FeatureProbe("HADDPS", .init(featuresECX: .sse3), [0xF2, 0x0F, 0x7C, 0xC1], isInvalidWithout: false),
    FeatureProbe("PSHUFB", .init(featuresECX: .ssse3), [0x66, 0x0F, 0x38, 0, 0xC1], isInvalidWithout: false),
    FeatureProbe(
      "PTEST", .init(featuresECX: .sse41), [0x66, 0x0F, 0x38, 0x17, 0xC1], isInvalidWithout: false),
    FeatureProbe("CRC32", .init(featuresECX: .sse42), [0xF2, 0x0F, 0x38, 0xF1, 0xC0]),
    FeatureProbe("PCMPGTQ", .init(featuresECX: .sse42), [0x66, 0x0F, 0x38, 0x37, 0xC1]),
    FeatureProbe("PCLMULQDQ", .init(featuresECX: .pclmulqdq), [0x66, 0x0F, 0x3A, 0x44, 0xC1, 0]),
    FeatureProbe("VPCLMULQDQ", .init(featuresECX: .pclmulqdq), [0xC4, 0xE3, 0x71, 0x44, 0xC2, 0]),
    FeatureProbe("AESENC", .init(featuresECX: .aes), [0x66, 0x0F, 0x38, 0xDC, 0xC1]),
    FeatureProbe("VFMADD132PS", .init(featuresECX: .fma), [0xC4, 0xE2, 0x71, 0x98, 0xC2]),
    FeatureProbe("CMPXCHG16B", .init(featuresECX: .cmpxchg16b), [0x48, 0x0F, 0xC7, 0x0F]),
    FeatureProbe("MOVBE", .init(featuresECX: .movbe), [0x0F, 0x38, 0xF0, 0x07]),
    FeatureProbe("POPCNT", .init(featuresECX: .popcnt), [0xF3, 0x0F, 0xB8, 0xC0]),
    FeatureProbe("XSAVE", .init(featuresECX: .xsave), [0x0F, 0xAE, 0x27]),
    FeatureProbe("XGETBV", .init(featuresECX: .xsave), [0x0F, 0x01, 0xD0]),
    FeatureProbe("VADDPS", .init(featuresECX: .avx), [0xC5, 0xF0, 0x58, 0xC2]),
    FeatureProbe("VPADDD of XMM", .init(featuresECX: .avx), [0xC5, 0xF1, 0xFE, 0xC2]),
    FeatureProbe("VPTEST of YMM", .init(featuresECX: .avx), [0xC4, 0xE2, 0x7D, 0x17, 0xC1]),
    FeatureProbe("VCVTPH2PS", .init(featuresECX: .f16c), [0xC4, 0xE2, 0x79, 0x13, 0xC1]),
    FeatureProbe("RDRAND", .init(featuresECX: .rdrand), [0x0F, 0xC7, 0xF0]),
  ]

  private static let extendedFeatures = [
    FeatureProbe("RDFSBASE", .init(extendedEBX: .fsgsbase), [0xF3, 0x48, 0x0F, 0xAE, 0xC0]),
    FeatureProbe("ANDN", .init(extendedEBX: .bmi1), [0xC4, 0xE2, 0x70, 0xF2, 0xC2]),
    FeatureProbe("TZCNT", .init(extendedEBX: .bmi1), [0xF3, 0x0F, 0xBC, 0xC1], isInvalidWithout: false),
    FeatureProbe("VPADDD of YMM", .init(extendedEBX: .avx2), [0xC5, 0xF5, 0xFE, 0xC2]),
    FeatureProbe("VPMOVMSKB of YMM", .init(extendedEBX: .avx2), [0xC5, 0xFD, 0xD7, 0xC1]),
    FeatureProbe("VPBROADCASTD", .init(extendedEBX: .avx2), [0xC4, 0xE2, 0x79, 0x58, 0xC1]),
    FeatureProbe("VBROADCASTSS of XMM", .init(extendedEBX: .avx2), [0xC4, 0xE2, 0x79, 0x18, 0xC1]),
    FeatureProbe("MULX", .init(extendedEBX: .bmi2), [0xC4, 0xE2, 0x73, 0xF6, 0xC2]),
    FeatureProbe("INVPCID", .init(extendedEBX: .invpcid), [0x66, 0x0F, 0x38, 0x82, 0x07]),
    FeatureProbe("RDSEED", .init(extendedEBX: .rdseed), [0x0F, 0xC7, 0xF8]),
    FeatureProbe("ADCX", .init(extendedEBX: .adx), [0x66, 0x0F, 0x38, 0xF6, 0xC1]),
    FeatureProbe("CLAC", .init(extendedEBX: .smap), [0x0F, 0x01, 0xCA]),
    FeatureProbe("CLFLUSHOPT", .init(extendedEBX: .clflushopt), [0x66, 0x0F, 0xAE, 0x3F]),
    FeatureProbe("CLWB", .init(extendedEBX: .clwb), [0x66, 0x0F, 0xAE, 0x37]),
    FeatureProbe("RDPID", .init(extendedECX: .rdpid), [0xF3, 0x0F, 0xC7, 0xF8]),
    FeatureProbe("UMONITOR", .init(extendedECX: .waitpkg), [0xF3, 0x0F, 0xAE, 0xF7]),
    FeatureProbe("UMWAIT", .init(extendedECX: .waitpkg), [0xF2, 0x0F, 0xAE, 0xF1]),
    FeatureProbe("TPAUSE", .init(extendedECX: .waitpkg), [0x66, 0x0F, 0xAE, 0xF1]),
    FeatureProbe("MOVDIRI", .init(extendedECX: .movdiri), [0x0F, 0x38, 0xF9, 0x07]),
    FeatureProbe("MOVDIR64B", .init(extendedECX: .movdir64b), [0x66, 0x0F, 0x38, 0xF8, 0x07]),
    FeatureProbe("SERIALIZE", .init(extendedEDX: .serialize), [0x0F, 0x01, 0xE8]),
  ]

  private static let signature = [
    FeatureProbe("LAHF", .init(signatureECX: .lahf), [0x9F]),
    FeatureProbe("LZCNT", .init(signatureECX: .lzcnt), [0xF3, 0x0F, 0xBD, 0xC1], isInvalidWithout: false),
    FeatureProbe("PREFETCHW", .init(signatureECX: .prefetchw), [0x0F, 0x0D, 0x0F], isInvalidWithout: false),
    FeatureProbe("SYSCALL", .init(signatureEDX: .syscall), [0x0F, 0x05]),
    FeatureProbe("RDTSCP", .init(signatureEDX: .rdtscp), [0x0F, 0x01, 0xF9]),
    FeatureProbe("SWAPGS", .init(signatureEDX: .intel64), [0x0F, 0x01, 0xF8], isInvalidWithout: false),
  ]

  private static let extendedState = [
    FeatureProbe("XSAVEOPT", .init(extendedState: .xsaveopt), [0x0F, 0xAE, 0x37]),
    FeatureProbe("XSAVEC", .init(extendedState: .xsavec), [0x0F, 0xC7, 0x27]),
    FeatureProbe("XSAVES", .init(extendedState: .xsaves), [0x0F, 0xC7, 0x2F]),
  ]

  /// What no instruction tells: paging, control registers, the form of saved state, and speed.
  static let untold = ProcessorFeatures(
    featuresECX: [.pcid], featuresEDX: [.vme, .de, .pse, .pae, .mce, .pge, .pat, .pse36],
    extendedEBX: [.smep, .erms, .deprecatesFPUSelectors], extendedECX: .umip,
    signatureEDX: [.executeDisable, .pages1GByte], extendedState: .xgetbv1)
}

/// What CPUID can promise against what the processor executes.
@Suite struct FeatureTests {
  /// Executes `code` and then HLT at CPL 0 with everything enabled; the exception that came, if one did.
  private func exception(of code: [UInt8], on features: ProcessorFeatures) throws -> UInt64? {
    let guest = try SystemGuest(code + [0xF4], features: features)
    guest.enable([.enableRDTSCP, .enableINVPCID, .enableXSAVES, .enableUserWaitAndPause])
    guest.vmcs[.guestCR4] = CR4([.pae, .vmxe, .osfxsr, .osxmmexcpt, .osxsave, .fsgsbase]).rawValue
    #expect(guest.cpu.writeXCR0(7))
    guest.vmcs[.exceptionBitmap] = 0xFFFF_FFFF
    guest.registers.pointee.rdi = Place.data
    guard case .exit(let reason) = guest.run(limit: 10), reason.basic == .exceptionOrNMI else { return nil }
    return guest.vmcs[.exitInterruptionInformation] & 0xFF
  }

  private let invalidOpcode = UInt64(ExceptionVector.invalidOpcode.rawValue)

  @Test(arguments: FeatureProbe.all)
  fileprivate func promisedInstructionsExist(_ probe: FeatureProbe) throws {
    #expect(probe.feature.isSubset(of: SoftwareCPU.features), "it is not promised")
    #expect(try exception(of: probe.code, on: SoftwareCPU.features) != invalidOpcode)
  }

  @Test(arguments: FeatureProbe.all)
  fileprivate func instructionsWithoutTheirFeatureDoNot(_ probe: FeatureProbe) throws {
    let fewer = SoftwareCPU.features.subtracting(probe.feature)
    #expect((try exception(of: probe.code, on: fewer) == invalidOpcode) == probe.isInvalidWithout)
  }

  @Test func everyPromiseHasAnInstructionOrNone() {
    let told = FeatureProbe.all.reduce(ProcessorFeatures()) { $0.union($1.feature) }
    #expect(told.intersection(FeatureProbe.untold) == ProcessorFeatures())
    #expect(SoftwareCPU.features.subtracting(told.union(FeatureProbe.untold)) == ProcessorFeatures())
    #expect(FeatureProbe.untold.isSubset(of: SoftwareCPU.features))
  }

  /// A mnemonic beyond SSE4.2 that no feature removes would be one that an old model has by mistake.
  @Test func vectorInstructionsOfAVXNeedIt() throws {
    let old = SoftwareCPU.features.subtracting(ProcessorFeatures(featuresECX: .avx))
    for opcode in UInt8(0x58)...0x5F {
      #expect(try exception(of: [0xC5, 0xF0, opcode, 0xC2], on: old) == invalidOpcode)
    }
  }

  @Test func withoutTheirFeatureTZCNTAndLZCNTAreBSFAndBSR() throws {
    // Of 0, TZCNT and LZCNT give the operand size; BSF and BSR keep the destination.
    for (opcode, feature) in [
      (UInt8(0xBC), ProcessorFeatures(extendedEBX: .bmi1)), (0xBD, ProcessorFeatures(signatureECX: .lzcnt)),
    ] {
      for has in [true, false] {
        let features = has ? SoftwareCPU.features : SoftwareCPU.features.subtracting(feature)
        let guest = try SystemGuest([0xF3, 0x48, 0x0F, opcode, 0xC1, 0xF4], features: features)
        guest.registers.pointee.rax = 77
        guest.expectExit(.hlt)
        #expect(guest.registers.pointee.rax == (has ? 64 : 77))
      }
    }
  }

  @Test(arguments: [true, false])
  func withoutTheirFeature1GBytePagesAreReserved(_ has: Bool) throws {
    let feature = ProcessorFeatures(signatureEDX: .pages1GByte)
    let features = has ? SoftwareCPU.features : SoftwareCPU.features.subtracting(feature)
    let guest = try SystemGuest([0x48, 0x8B, 0x07, 0xF4], features: features)  // mov rax, [rdi]; hlt
    guest[Place.pdpt + 8] = 0x87
    guest[Place.data] = 0x1234
    guest.registers.pointee.rdi = 1 << 30 | Place.data
    guest.vmcs[.exceptionBitmap] = 1 << 14
    guest.expectExit(has ? .hlt : .exceptionOrNMI)
    #expect(guest.registers.pointee.rax == 0x1234 || !has)
    #expect(guest.vmcs[.exitInterruptionErrorCode] == 0b01001 || has)
  }

  @Test func directStoresMove4Or8And64Bytes() throws {
    // movdiri [rdi], rax; movdir64b rbx, [rdi]
    let guest = try SystemGuest([0x48, 0x0F, 0x38, 0xF9, 0x07, 0x66, 0x0F, 0x38, 0xF8, 0x1F, 0xF4])
    guest.registers.pointee.rax = 0x1122_3344_5566_7788
    guest.registers.pointee.rdi = Place.data
    guest.registers.pointee.rbx = Place.data + 0x100
    guest[Place.data + 56] = 77
    guest.expectExit(.hlt)
    #expect(guest[Place.data + 0x100] == 0x1122_3344_5566_7788)
    #expect(guest[Place.data + 0x100 + 56] == 77)
    guest.registers.pointee.rbx = Place.data + 0x108
    guest.vmcs[.guestRIP] = Place.code
    guest.vmcs[.exceptionBitmap] = 1 << 13
    guest.expectExit(.exceptionOrNMI)
  }

  /// CPUID.7.0:EBX[13] says that the selectors of the x87 pointers are saved as zeros.
  @Test func theSelectorsOfTheX87PointersAreZero() throws {
    let guest = try SystemGuest([0xD9, 0x07, 0x0F, 0xAE, 0x07, 0xF4])  // fld dword [rdi]; fxsave [rdi]; hlt
    guest.vmcs[.guestCR4] |= CR4.osfxsr.rawValue
    guest.registers.pointee.rdi = Place.data
    guest.expectExit(.hlt)
    #expect(guest[Place.data + 8] == Place.code, "the instruction's offset, and no selector")
    #expect(guest[Place.data + 16] & 0xFFFF_FFFF_FFFF == Place.data)
    #expect(SoftwareCPU.features.extendedEBX.contains(.deprecatesFPUSelectors))
  }
}
