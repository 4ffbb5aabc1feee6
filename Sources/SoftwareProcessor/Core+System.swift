import InstructionDecoder
import VMX
import X86

extension Core {
  /// Executes a system instruction at `rip`, and moves `rip` past it or to its target.
  func executeSystem(_ instruction: Instruction) throws(Interruption) {
    cpu.pointee.systemInstructionLength = instruction.length
    switch instruction.mnemonic {
    case .jmpFar: return try executeFarTransfer(instruction, isCall: false)
    case .callFar: return try executeFarTransfer(instruction, isCall: true)
    case .retFar: return try executeFarReturn(instruction)
    case .iret: return try executeInterruptReturn(instruction)
    case .syscall: return try executeSYSCALL(instruction)
    case .sysret: return try executeSYSRET(instruction)
    case .sysenter: return try executeSYSENTER()
    case .sysexit: return try executeSYSEXIT(instruction)
    case .ins: guard try executeStringPort(instruction, isIn: true) else { return }
    case .outs: guard try executeStringPort(instruction, isIn: false) else { return }
    case .int, .int1, .int3, .into: try executeSoftwareInterrupt(instruction)
    default: try executeSequential(instruction)
    }
    rip = next(after: instruction)
  }

  /// The instructions after which the next one follows.
  private func executeSequential(_ instruction: Instruction) throws(Interruption) {
    switch instruction.mnemonic {
    case .in: try executePort(instruction, isIn: true)
    case .out: try executePort(instruction, isIn: false)
    case .pushf: try executePushFlags(instruction)
    case .popf: try executePopFlags(instruction)
    case .cli: try executeClearInterruptFlag()
    case .sti: try executeSetInterruptFlag()
    case .clac: try setAlignmentCheck(false)
    case .stac: try setAlignmentCheck(true)
    case .hlt: try executeHalt()
    case .pause: try executePAUSE()
    case .movToSegment: try executeMoveToSegment(instruction)
    case .movFromSegment: try executeMoveFromSegment(instruction)
    case .popSegment: try executePopSegment(instruction)
    case .les: try executeLoadFarPointer(.es, instruction)
    case .lds: try executeLoadFarPointer(.ds, instruction)
    case .lss:
      try executeLoadFarPointer(.ss, instruction)
    case .lfs: try executeLoadFarPointer(.fs, instruction)
    case .lgs: try executeLoadFarPointer(.gs, instruction)
    case .rdmsr: try executeReadMSR()
    case .wrmsr: try executeWriteMSR()
    case .cpuid: throw vmExit(.cpuid)
    case .rdtsc: try executeRDTSC()
    case .rdtscp: try executeRDTSCP()
    default: try executeControl(instruction)
    }
  }

  /// Control and debug registers, descriptor tables.
  private func executeControl(_ instruction: Instruction) throws(Interruption) {
    switch instruction.mnemonic {
    case .movToControl: try executeMoveToControl(instruction)
    case .movFromControl: try executeMoveFromControl(instruction)
    case .movToDebug: try executeMoveDebug(instruction, isRead: false)
    case .movFromDebug: try executeMoveDebug(instruction, isRead: true)
    case .clts: try executeClearTaskSwitched()
    case .lmsw: try executeLoadMachineStatus(instruction)
    case .smsw: try executeStoreMachineStatus(instruction)
    case .lgdt: try executeLoadTable(.lgdt, instruction)
    case .lidt: try executeLoadTable(.lidt, instruction)
    case .sgdt: try executeStoreTable(.sgdt, instruction)
    case .sidt: try executeStoreTable(.sidt, instruction)
    case .lldt: try executeLLDT(instruction)
    case .ltr: try executeLTR(instruction)
    case .sldt: try executeStoreSelector(.sldt, instruction)
    case .str: try executeStoreSelector(.str, instruction)
    case .arpl: try executeARPL(instruction)
    case .lar: try executeLoadAccessRights(instruction)
    case .lsl: try executeLoadLimit(instruction)
    case .verr: try executeVerify(instruction, isWrite: false)
    case .verw: try executeVerify(instruction, isWrite: true)
    default: try executeCaches(instruction)
    }
  }

  /// Caches, translations, power and time, and the bases of FS and GS.
  private func executeCaches(_ instruction: Instruction) throws(Interruption) {
    switch instruction.mnemonic {
    case .invlpg: try executeINVLPG(instruction)
    case .invpcid: try executeINVPCID(instruction)
    case .invd: try requireCPL0(); throw vmExit(.invd)
    case .wbinvd, .wbnoinvd: try executeWBINVD()
    case .swapgs: try executeSWAPGS()
    case .rdfsbase: try executeReadBase(.fs, instruction)
    case .rdgsbase: try executeReadBase(.gs, instruction)
    case .wrfsbase: try executeWriteBase(.fs, instruction)
    case .wrgsbase: try executeWriteBase(.gs, instruction)
    case .rdpmc: try executeRDPMC()
    case .rdpid: try executeRDPID(instruction)
    case .rdrand: try executeRandom(instruction, .rdrand, exits: .rdrandExiting)
    case .rdseed: try executeRandom(instruction, .rdseed, exits: .rdseedExiting)
    case .monitor: try executeMONITOR(instruction)
    case .mwait: try executeMWAIT()
    case .umonitor: try executeUMONITOR(instruction)
    case .umwait: try executeUserWait(instruction, exits: .umwait)
    case .tpause: try executeUserWait(instruction, exits: .tpause)
    case .xgetbv: try executeXGETBV()
    case .xsetbv: try executeXSETBV()
    case .xsave, .xsaveopt, .xsavec, .xsaves, .xrstor, .xrstors: try executeStateComponents(instruction)
    default: try executeVMXInstruction(instruction)
    }
  }

  private func executeVMXInstruction(_ instruction: Instruction) throws(Interruption) {
    switch instruction.mnemonic {
    case .vmcall: throw vmExit(.vmcall)
    case .vmxon: try executeVMXMemory(.vmxon, instruction)
    case .vmclear: try executeVMXMemory(.vmclear, instruction)
    case .vmptrld: try executeVMXMemory(.vmptrld, instruction)
    case .vmptrst: try executeVMXMemory(.vmptrst, instruction)
    case .vmxoff: try executeVMX(.vmxoff)
    case .vmlaunch: try executeVMX(.vmlaunch)
    case .vmresume: try executeVMX(.vmresume)
    case .vmread: try executeVMREAD(instruction)
    case .vmwrite: try executeVMWRITE(instruction)
    case .invept: try executeVMXInvalidation(.invept, instruction)
    case .invvpid: try executeVMXInvalidation(.invvpid, instruction)
    case .vmfunc: try executeVMFUNC()
    // Everything that this processor does not have.
    default: throw raise(.invalidOpcode)
    }
  }
}
