import NestedRig
import VMX
import X86

/// An instruction or event of L2 that causes a VM exit, what L1 sets to get it, and what it is told.
struct ExitCase: Sendable {
  /// What becomes of it if L1 does not ask.
  enum Otherwise: Sendable {
    /// It exits whatever the controls are.
    case always
    /// L2 goes on behind it, to its VMCALL.
    case goesOn
    /// L2 gets an exception, which it has no IDT for.
    case faults
    /// L2 halts for good.
    case halts
  }

  var name: String
  var reason: ExitReason
  /// What L2 executes before, and the instruction itself. A VMCALL follows.
  var before: [UInt8] = []
  var code: [UInt8]
  /// What L1 needs for L2 to come so far at all.
  var setUp: @Sendable (VMCS, RigMemory) -> Void = { _, _ in }
  /// What L1 asks for the exit by.
  var ask: @Sendable (VMCS, RigMemory) -> Void = { _, _ in }
  var registers: @Sendable (UnsafeMutablePointer<RegisterFile>) -> Void = { _ in }
  var otherwise = Otherwise.goesOn

  // What L1 is told; nil is what the SDM leaves undefined for this exit.
  var qualification: UInt64 = 0
  /// Of the instruction, by default that of ``code``.
  var length: UInt64?
  var hasLength = true
  var information: UInt64?
  var interruption: UInt64 = 0
  var interruptionErrorCode: UInt64?
  var linearAddress: UInt64?
  var physicalAddress: UInt64?
  /// Whether RIP is behind the instruction, as for exits that are like traps.
  var isTrap = false

  /// The address that L1 finds in RIP.
  var rip: UInt64 {
    RigPlace.l2Code + UInt64(before.count) + (isTrap ? UInt64(code.count) : 0)
  }

  func rigCase(isAsked: Bool) -> RigCase {
    let (code, setUp, ask) = (before + self.code + [0x0F, 0x01, 0xC1], self.setUp, self.ask)
    return RigCase(
      isAsked ? name : "\(name), not asked for",
      layOut: { vmcs, memory in
        memory.store(code, at: RigPlace.l2Code)
        setUp(vmcs, memory)
        if isAsked { ask(vmcs, memory) }
      }, registers: registers)
  }
}

extension ExitCase {
  /// An instruction that exits if `primary` and `secondary` are 1.
  static func instruction(
    _ name: String, _ reason: ExitReason, _ code: [UInt8], _ primary: PrimaryProcessorBasedControls = [],
    secondary: SecondaryProcessorBasedControls = [], needs: SecondaryProcessorBasedControls = [],
    qualification: UInt64 = 0, information: UInt64? = nil, otherwise: Otherwise = .goesOn,
    registers: @escaping @Sendable (UnsafeMutablePointer<RegisterFile>) -> Void = { _ in }
  ) -> ExitCase {
    ExitCase(
      name: name, reason: reason, code: code,
      setUp: { vmcs, _ in vmcs.secondaryProcessorBasedControls.formUnion(needs) },
      ask: { vmcs, _ in
        vmcs.primaryProcessorBasedControls.formUnion(primary)
        vmcs.secondaryProcessorBasedControls.formUnion(secondary)
      }, registers: registers, otherwise: otherwise, qualification: qualification, information: information)
  }

  static let all = instructions + vmxInstructions + registerAccesses + events + memoryAccesses + apicAccesses

  static let instructions: [ExitCase] = [
    .instruction("CPUID", .cpuid, [0x0F, 0xA2], otherwise: .always),
    .instruction("HLT", .hlt, [0xF4], .hltExiting, otherwise: .halts),
    .instruction("INVD", .invd, [0x0F, 0x08], otherwise: .always),
    .instruction("INVLPG", .invlpg, [0x0F, 0x01, 0x38], .invlpgExiting, qualification: 0x1_2345) {
      $0.pointee.rax = 0x1_2345
    },
    .instruction("RDPMC", .rdpmc, [0x0F, 0x33], .rdpmcExiting, otherwise: .faults),
    .instruction("RDTSC", .rdtsc, [0x0F, 0x31], .rdtscExiting),
    .instruction(
      "RDTSCP", .rdtscp, [0x0F, 0x01, 0xF9], .rdtscExiting, needs: .enableRDTSCP),
    .instruction("PAUSE", .pause, [0xF3, 0x90], .pauseExiting),
    .instruction(
      "UMWAIT", .umwait, [0xF2, 0x41, 0x0F, 0xAE, 0xF1], .rdtscExiting, needs: .enableUserWaitAndPause,
      information: 0x848
    ) { $0.pointee.r9 = 0 },
    .instruction(
      "TPAUSE", .tpause, [0x66, 0x0F, 0xAE, 0xF3], .rdtscExiting, needs: .enableUserWaitAndPause,
      information: 0x818
    ) { $0.pointee.rbx = 1 },
    .instruction("MONITOR", .monitor, [0x0F, 0x01, 0xC8], .monitorExiting) {
      ($0.pointee.rax, $0.pointee.rcx, $0.pointee.rdx) = (RigPlace.l2Data, 0, 0)
    },
    .instruction("MWAIT", .mwait, [0x0F, 0x01, 0xC9], .mwaitExiting) {
      ($0.pointee.rax, $0.pointee.rcx) = (0, 0)
    },
    .instruction("WBINVD", .wbinvd, [0x0F, 0x09], secondary: .wbinvdExiting),
    .instruction(
      "RDRAND", .rdrand, [0x41, 0x0F, 0xC7, 0xF2], secondary: .rdrandExiting, information: 0x850),
    .instruction(
      "RDSEED", .rdseed, [0x48, 0x0F, 0xC7, 0xF8], secondary: .rdseedExiting, information: 0x1000),
    .instruction(
      "INVPCID", .invpcid, [0x66, 0x0F, 0x38, 0x82, 0x08], .invlpgExiting, needs: .enableINVPCID,
      information: 0x1041_8100
    ) { ($0.pointee.rax, $0.pointee.rcx) = (RigPlace.l2Data, 2) },
    .instruction(
      "SGDT", .gdtrOrIDTRAccess, [0x0F, 0x01, 0x40, 0x10], secondary: .descriptorTableExiting,
      qualification: 0x10, information: 0x41_8100
    ) { $0.pointee.rax = RigPlace.l2Data },
    .instruction(
      "STR", .ldtrOrTRAccess, [0x66, 0x0F, 0x00, 0xC8], secondary: .descriptorTableExiting,
      information: 0x1000_0400),
    ExitCase(
      name: "XSETBV", reason: .xsetbv, code: [0x0F, 0x01, 0xD1],
      setUp: { vmcs, _ in vmcs[.guestCR4] |= CR4.osxsave.rawValue },
      registers: { ($0.pointee.rax, $0.pointee.rcx, $0.pointee.rdx) = (1, 0, 0) }, otherwise: .always),
    ExitCase(
      name: "VMFUNC with a function that is off", reason: .vmfunc, code: [0x0F, 0x01, 0xD4],
      setUp: { vmcs, _ in
        vmcs.secondaryProcessorBasedControls.formUnion([.enableEPT, .enableVMFunctions])
      }, registers: { $0.pointee.rax = 1 }, otherwise: .always),
  ]

  /// SDM volume 3, "Instructions That Cause VM Exits Unconditionally", and those that VMCS shadowing lets through.
  static let vmxInstructions: [ExitCase] = [
    .instruction("VMCALL", .vmcall, [0x0F, 0x01, 0xC1], otherwise: .always),
    .instruction("VMLAUNCH", .vmlaunch, [0x0F, 0x01, 0xC2], otherwise: .always),
    .instruction("VMRESUME", .vmresume, [0x0F, 0x01, 0xC3], otherwise: .always),
    .instruction("VMXOFF", .vmxoff, [0x0F, 0x01, 0xC4], otherwise: .always),
    .instruction(
      "VMXON", .vmxon, [0xF3, 0x0F, 0xC7, 0x30], information: 0x41_8100, otherwise: .always
    ) { $0.pointee.rax = RigPlace.l2Data },
    .instruction(
      "VMCLEAR", .vmclear, [0x64, 0x66, 0x0F, 0xC7, 0x70, 0xF8], qualification: .max - 7,
      information: 0x42_0100, otherwise: .always
    ) { $0.pointee.rax = RigPlace.l2Data },
    .instruction(
      "VMPTRLD", .vmptrld, [0x0F, 0xC7, 0x30], information: 0x41_8100, otherwise: .always
    ) { $0.pointee.rax = RigPlace.l2Data },
    .instruction(
      "VMPTRST", .vmptrst, [0x0F, 0xC7, 0x38], information: 0x41_8100, otherwise: .always
    ) { $0.pointee.rax = RigPlace.l2Data },
    .instruction(
      "VMREAD", .vmread, [0x0F, 0x78, 0xCA], information: 0x1000_0410, otherwise: .always),
    .instruction(
      "VMWRITE", .vmwrite, [0x41, 0x0F, 0x79, 0x08], information: 0x1441_8100, otherwise: .always
    ) { $0.pointee.r8 = RigPlace.l2Data },
    .shadowed("VMREAD of a field that L1 lets through", .vmread, [0x0F, 0x78, 0xCA], 0x1000_0410),
    .shadowed("VMWRITE of a field that L1 lets through", .vmwrite, [0x0F, 0x79, 0xCA], 0x1000_0410),
    .instruction(
      "INVEPT", .invept, [0x66, 0x0F, 0x38, 0x80, 0x08], information: 0x1041_8100, otherwise: .always
    ) { $0.pointee.rax = RigPlace.l2Data },
    .instruction(
      "INVVPID", .invvpid, [0x66, 0x0F, 0x38, 0x81, 0x10], information: 0x2041_8100, otherwise: .always
    ) { $0.pointee.rax = RigPlace.l2Data },
  ]

  /// L1 lets L2 access the guest RIP of a shadow VMCS, or asks for the exit by the bitmaps.
  private static func shadowed(
    _ name: String, _ reason: ExitReason, _ code: [UInt8], _ information: UInt64
  ) -> ExitCase {
    ExitCase(
      name: name, reason: reason, code: code,
      setUp: { vmcs, memory in
        vmcs.secondaryProcessorBasedControls.insert(.vmcsShadowing)
        vmcs[.vmcsLinkPointer] = RigPlace.linkedVMCS
        memory[RigPlace.linkedVMCS] = UInt64(vmcs.revision) | 1 << 31
      },
      ask: { _, memory in
        memory.fill(RigPlace.vmreadBitmap, with: 0xFF)
        memory.fill(RigPlace.vmwriteBitmap, with: 0xFF)
      },
      registers: {
        $0.pointee.rcx = UInt64(VMCSField.guestRIP.rawValue)
        $0.pointee.rdx = 0x1234
        if reason == .vmwrite { ($0.pointee.rcx, $0.pointee.rdx) = (UInt64(VMCSField.guestRIP.rawValue), 5) }
      }, information: information)
  }

  static let registerAccesses: [ExitCase] = [
    .instruction(
      "MOV to CR3", .controlRegisterAccess, [0x0F, 0x22, 0xD8], .cr3LoadExiting, qualification: 0x003
    ) { $0.pointee.rax = RigPlace.pageTables },
    .instruction(
      "MOV from CR3", .controlRegisterAccess, [0x41, 0x0F, 0x20, 0xD9], .cr3StoreExiting, qualification: 0x913
    ),
    .instruction(
      "MOV to CR8", .controlRegisterAccess, [0x44, 0x0F, 0x22, 0xC2], .cr8LoadExiting, qualification: 0x208
    ) { $0.pointee.rdx = 5 },
    .instruction(
      "MOV from CR8", .controlRegisterAccess, [0x44, 0x0F, 0x20, 0xC2], .cr8StoreExiting, qualification: 0x218
    ),
    ExitCase(
      name: "MOV to CR0 that changes a bit of L1", reason: .controlRegisterAccess, code: [0x0F, 0x22, 0xC0],
      ask: { vmcs, _ in
        vmcs[.cr0GuestHostMask] = CR0.ts.rawValue
      }, registers: { $0.pointee.rax = 0x8001_0033 | CR0.ts.rawValue }),
    ExitCase(
      name: "CLTS", reason: .controlRegisterAccess, code: [0x0F, 0x06],
      ask: { vmcs, _ in
        vmcs[.cr0GuestHostMask] = CR0.ts.rawValue
        vmcs[.cr0ReadShadow] = CR0.ts.rawValue
      }, qualification: 0x20),
    ExitCase(
      name: "LMSW", reason: .controlRegisterAccess, code: [0x0F, 0x01, 0xF0],
      ask: { vmcs, _ in vmcs[.cr0GuestHostMask] = CR0.mp.rawValue },
      registers: { $0.pointee.rax = 0x33 }, qualification: 0x33_0030),
    ExitCase(
      name: "MOV to CR4 that changes a bit of L1", reason: .controlRegisterAccess, code: [0x0F, 0x22, 0xE1],
      ask: { vmcs, _ in vmcs[.cr4GuestHostMask] = CR4.pge.rawValue },
      registers: { $0.pointee.rcx = 0x2020 | CR4.pge.rawValue }, qualification: 0x104),
    .instruction("MOV to DR6", .movDR, [0x0F, 0x23, 0xF3], .movDRExiting, qualification: 0x306) {
      $0.pointee.rbx = 0
    },
    .instruction("MOV from DR7", .movDR, [0x0F, 0x21, 0xFB], .movDRExiting, qualification: 0x317),
    .instruction(
      "IN", .ioInstruction, [0xE4, 0x80], .unconditionalIOExiting, qualification: 0x80_0048),
    .instruction(
      "OUT", .ioInstruction, [0xEF], .unconditionalIOExiting, qualification: 0x80_0003
    ) { $0.pointee.rdx = 0x80 },
    ExitCase(
      name: "REP OUTS by a bitmap", reason: .ioInstruction, code: [0xF3, 0x66, 0x6F],
      setUp: { vmcs, _ in vmcs.primaryProcessorBasedControls.insert(.useIOBitmaps) },
      ask: { _, memory in memory[RigPlace.ioBitmapA + 0x10] = 1 },
      registers: {
        ($0.pointee.rcx, $0.pointee.rdx, $0.pointee.rsi) = (2, 0x80, RigPlace.l2Data)
      }, qualification: 0x80_0031, information: 0x1_8100, linearAddress: RigPlace.l2Data),
    ExitCase(
      name: "RDMSR", reason: .rdmsr, code: [0x0F, 0x32],
      setUp: { vmcs, _ in vmcs.primaryProcessorBasedControls.insert(.useMSRBitmaps) },
      ask: { vmcs, _ in vmcs.primaryProcessorBasedControls.remove(.useMSRBitmaps) },
      registers: { $0.pointee.rcx = 0xC000_0081 }),
    ExitCase(
      name: "WRMSR by the bitmap", reason: .wrmsr, code: [0x0F, 0x30],
      setUp: { vmcs, _ in vmcs.primaryProcessorBasedControls.insert(.useMSRBitmaps) },
      ask: { _, memory in memory[RigPlace.msrBitmap + 0xC00 + 0x10] = 2 },
      registers: { ($0.pointee.rcx, $0.pointee.rax, $0.pointee.rdx) = (0xC000_0081, 0, 0) }),
    ExitCase(
      name: "RDMSR of an MSR beyond the bitmap", reason: .rdmsr, code: [0x0F, 0x32],
      setUp: { vmcs, _ in vmcs.primaryProcessorBasedControls.insert(.useMSRBitmaps) },
      registers: { $0.pointee.rcx = 0x4000_0000 }, otherwise: .always),
  ]
}
