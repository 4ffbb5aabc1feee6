import GuestMemory
import Processor
import VMX
import X86

/// A segment register's hidden part, in the VMCS's own format of access rights.
struct SegmentState {
  var selector: UInt16 = 0
  /// SDM volume 3, "Guest Register State": type, S, DPL, P, AVL, L, D/B, G, and bit 16 for unusable.
  var accessRights: UInt32 = 0x1_0000
  /// The limit in bytes, already scaled by the granularity bit.
  var limit: UInt32 = 0
  var base: UInt64 = 0
}

/// GDTR or IDTR.
struct DescriptorTableState {
  var base: UInt64 = 0
  var limit: UInt32 = 0
}

/// The whole state of the logical processor in one block of memory, laid out in declaration order.
///
/// Everything here is trivial, and nothing refers to anything outside the block but through ``Core``; a translator
/// can address every field at a constant offset from one register.
struct CPUState {
  /// The registers that L0 shares (the contract's `registers`); RSP too lives here while the guest runs.
  var registers = RegisterFile()
  /// Always zero: the register that stands for "no base" and "no index" in an address.
  var zero: UInt64 = 0
  /// The instruction pointer: exact between blocks and whenever ``Core`` code outside the interpreter loop runs.
  var rip: UInt64 = 0
  /// RFLAGS but for the six status flags, which are in `flags`.
  var rflagsSystem: UInt64 = 2
  /// The six status flags, as the interpreter keeps them; read and write through ``Core/rflags``.
  var flags = StatusFlags()

  var es = SegmentState()
  var cs = SegmentState()
  var ss = SegmentState()
  var ds = SegmentState()
  var fs = SegmentState()
  var gs = SegmentState()
  var ldtr = SegmentState()
  var tr = SegmentState()
  var gdtr = DescriptorTableState()
  var idtr = DescriptorTableState()

  var cr0: UInt64 = 0
  var cr3: UInt64 = 0
  var cr4: UInt64 = 0
  var cr8: UInt64 = 0
  var dr7: UInt64 = 0x400
  var xcr0: UInt64 = 1
  var efer: UInt64 = 0
  /// The four PDPTE registers of PAE paging.
  var pdptes: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
  var cpl: UInt8 = 0
  /// The execution mode that decoded blocks are keyed by; derived from CR0, EFER, RFLAGS.VM and CS.
  var mode = ExecutionMode()

  var msrs = ModelSpecificState()
  /// x87, SSE and AVX.
  var extended = ExtendedState()

  /// Instructions that may still retire before ``Core/execute(budget:)`` returns: decremented per block.
  var budget: Int64 = 0
  /// The value of `budget` up to which retired instructions are already in the clock.
  var counted: Int64 = 0

  /// Blocking by STI, MOV SS, SMI and NMI, as in the guest-interruptibility field.
  var interruptibility: UInt32 = 0
  /// Active, HLT, shutdown, wait-for-SIPI.
  var activity: UInt32 = 0
  /// Whether the instruction just executed began the blocking by STI or MOV SS, which then outlives it.
  var freshBlocking = false
  /// Whether the instruction just executed loaded RFLAGS.RF, which then outlives it.
  var freshResumeFlag = false
  /// Whether the IRET that is being executed has ended a blocking by NMI.
  var unblockedNMIs = false
  /// Whether `rip` is at a repeated string instruction that has done some of its iterations, and has more to do.
  var isMidRepetition = false
  /// Debug exceptions that are pending, at their bits of DR6.
  var pendingDebug: UInt64 = 0
  /// The vector of a waiting external interrupt, with bit 8 set; 0 without one.
  var interruptLine: UInt16 = 0
  /// Whether an NMI is waiting.
  var isNMIPending = false
  /// The state of the random number generator.
  var randomState: UInt64 = 0
  /// The features of ``SoftwareCPU/features`` that this processor is made without, and whether there are any.
  var missingFeatures = ProcessorFeatures()
  var lacksFeatures = false

  /// The length of the system instruction being executed, which VM exits report.
  var systemInstructionLength: UInt8 = 0
  /// Cycles for an instruction of late, rounded up: 1 without page walks.
  var pace: UInt64 = 1
  /// The clock's instructions when an exception was last delivered.
  var lastDelivery: UInt64 = .max

  /// The event or VM exit that ``Interruption`` announced.
  var pending = PendingInterruption()

  /// The tags of the translation contexts in use; see ``TranslationContexts``.
  var contexts = ContextTags()
  /// What an entry of the jump cache must carry to be good now: the fetch context, the mode and a generation.
  var jumpStamp: UInt64 = 0
  /// Where everything outside the block is.
  var machine: MachinePointers
}

/// The pointers from the processor's state to what it works on. `SoftwareCPU` allocates and frees all of it.
struct MachinePointers {
  /// L0-physical memory: its first byte, its size in bytes, and one mark per page that holds decoded code.
  var ram: UnsafeMutableRawPointer
  var ramSize: UInt64
  var codePages: UnsafeMutablePointer<UInt8>
  var copies: PageCopies
  var clock: UnsafeMutablePointer<VirtualClock>
  /// What VMX non-root operation needs beside the VMCS.
  var nonRoot: UnsafeMutablePointer<NonRootState>
  var translations: UnsafeMutablePointer<TranslationCache>
  var guestPhysical: UnsafeMutablePointer<GuestPhysicalCache>
  var blocks: UnsafeMutablePointer<BlockCache>
}

/// The MSRs that software can read and write and that have no field above.
struct ModelSpecificState {
  var sysenterCS: UInt64 = 0
  var sysenterESP: UInt64 = 0
  var sysenterEIP: UInt64 = 0
  var star: UInt64 = 0
  var lstar: UInt64 = 0
  var cstar: UInt64 = 0
  var sfmask: UInt64 = 0
  var kernelGSBase: UInt64 = 0
  var tscAux: UInt64 = 0
  var pat: UInt64 = 0x0007_0406_0007_0406
  var debugControl: UInt64 = 0
  /// What RDTSC adds to the clock in VMX non-root operation with TSC offsetting.
  var tscOffset: UInt64 = 0
  /// What it multiplies it with before, with TSC scaling.
  var tscMultiplier = TSCScaling.one
  var tscAdjust: UInt64 = 0
  /// IA32_XSS: the supervisor state components that XSAVES and XRSTORS manage.
  var xss: UInt64 = 0
  /// IA32_UMWAIT_CONTROL.
  var umwaitControl: UInt64 = 0
}

/// Why an instruction did not complete; the details are in ``CPUState/pending``.
enum Interruption: Error {
  /// An exception is to be delivered through the IDT (or to cause a VM exit by the exception bitmap).
  case exception
  /// The instruction caused a VM exit.
  case vmExit
  /// The instruction writes to the APIC-access page, so that it is to be executed again, and alone.
  case retry
}

/// The details of an ``Interruption``.
struct PendingInterruption {
  /// The exception's vector.
  var vector: UInt8 = 0
  var kind = InterruptionInformation.Kind.hardwareException
  var hasErrorCode = false
  var errorCode: UInt32 = 0
  /// The length of the instruction that a software interrupt or exception is of.
  var eventLength: UInt32 = 0
  /// Whether it is an INT n that goes to a handler of the 8086 program itself.
  var isRedirected = false
  /// The page fault's linear address, or the debug exception's DR6 bits.
  var address: UInt64 = 0

  /// The VM exit's basic reason (SDM volume 3, "VMX Basic Exit Reasons"), qualification, and instruction information.
  var exitReason: UInt32 = 0
  var qualification: UInt64 = 0
  var instructionInformation: UInt32 = 0
  var guestLinearAddress: UInt64 = 0
  var guestPhysicalAddress: UInt64 = 0
  /// The VM-exit interruption information and error code.
  var interruptionInformation: UInt32 = 0
  var interruptionErrorCode: UInt32 = 0
  /// The IDT-vectoring information and error code.
  var idtVectoringInformation: UInt32 = 0
  var idtVectoringErrorCode: UInt32 = 0
  /// Whether RFLAGS.RF is set in the state that the VM exit saves.
  var savesResumeFlag = false
  /// The length of the instruction that exited, where the exit reports one.
  var instructionLength: UInt32 = 0
}
