import Testing
import X86

@Suite struct RegisterTests {
  /// Bit positions of the SDM.
  @Test func controlBitsAreWhereTheSDMPutsThem() {
    let cr0: CR0 = [.pe, .et, .ne, .wp, .pg]
    #expect(cr0.rawValue == 0x8001_0031)
    let cr4: CR4 = [.pae, .pge, .osfxsr, .vmxe, .pcide, .osxsave]
    #expect(cr4.rawValue == 0x6_22A0)
    #expect(CR4.cet.rawValue == 1 << 23 && CR4.la57.rawValue == 1 << 12 && CR4.smap.rawValue == 1 << 21)
    #expect(EFER.defined.rawValue == 0xD01)
    #expect(CR0([.nw, .cd]).rawValue == 0x6000_0000)
  }

  @Test func flagsAreWhereTheSDMPutsThem() {
    #expect(RFLAGS.status.rawValue == 0x8D5)
    #expect(RFLAGS([.if, .fixed1]).rawValue == 0x202)
    #expect(RFLAGS([.vm, .nt, .rf]).rawValue == 0x3_4000)
    var flags: RFLAGS = [.fixed1]
    flags.iopl = 3
    #expect(flags.rawValue == 0x3002 && flags.iopl == 3)
    flags.iopl = 4
    #expect(flags.iopl == 0)
    // Bits 63:22, 15, 5 and 3 are reserved as 0.
    #expect(~RFLAGS.defined.rawValue == 0xFFFF_FFFF_FFC0_8028)
  }

  @Test func debugControlsOfABreakpoint() {
    let dr7 = DR7(rawValue: 0x0000_0400 | 1 << 4 | 0b1101 << 24)
    #expect(dr7.enables(2) && !dr7.enables(0))
    #expect(dr7.condition(of: 2) == 1 && dr7.length(of: 2) == 4)
    #expect(DR7(rawValue: 0b1000 << 28).length(of: 3) == 8)
    #expect(DR6.initial.rawValue == RegisterFile().dr6)
  }

  @Test func registersOfAFileAreIndexedByNumber() {
    let file = UnsafeMutablePointer<RegisterFile>.allocate(capacity: 1)
    defer { file.deallocate() }
    file.initialize(to: RegisterFile())
    for register in GeneralRegister.allCases { file[register] = UInt64(register.rawValue) + 100 }
    #expect(
      file.pointee.rax == 100 && file.pointee.rsp == 104 && file.pointee.rdi == 107 && file.pointee.r15 == 115
    )
    #expect(file.pointee.cr2 == 0 && file[.r8] == 108)
    #expect(GeneralRegister(number: 0x1C) == .r12)
  }

  @Test func msrsHaveTheIndicesAndNamesOfTheSDM() {
    #expect(ModelSpecificRegister.efer.rawValue == 0xC000_0080)
    #expect(ModelSpecificRegister.sysenterEIP.rawValue == 0x176)
    #expect(ModelSpecificRegister.kernelGSBase.name?.description == "IA32_KERNEL_GS_BASE")
    #expect(ModelSpecificRegister(rawValue: 0x123_4567).name == nil)
    let indices = ModelSpecificRegister.names.indices.map {
      ModelSpecificRegister.names[$0].register.rawValue
    }
    #expect(indices == indices.sorted() && Set(indices).count == indices.count)
  }

  @Test func patHasEightMemoryTypes() {
    for byte in UInt64(0)...255 {
      for position in UInt64(0)..<8 {
        #expect(MemoryType.isValidPAT(byte << (position * 8)) == [0, 1, 4, 5, 6, 7].contains(byte))
      }
    }
    #expect(MemoryType.isValidPAT(MemoryType.initialPAT))
  }

  @Test func canonicalAddressesHaveEqualUpperBits() {
    for address: UInt64 in [0, 0x7FFF_FFFF_FFFF, 0xFFFF_8000_0000_0000, .max] {
      #expect(AddressForm.isCanonical(address))
    }
    for address: UInt64 in [0x8000_0000_0000, 0xFFFF_7FFF_FFFF_FFFF, 1 << 63] {
      #expect(!AddressForm.isCanonical(address))
    }
    #expect(AddressForm.isCanonical(0x8000_0000_0000, width: 57))
    #expect(!AddressForm.isCanonical(1 << 56, width: 57))
    #expect(AddressForm.bitsBeyond(physicalWidth: 46) == 0xFFFF_C000_0000_0000)
  }
}
