import NestedRig
import VMX
import X86

extension ExitCase {
  /// L2 enables L1's local APIC, which it reaches as L1 does, and has it send what `command` says to itself.
  static func send(_ command: UInt32) -> [UInt8] {
    let enable: [UInt8] = [0xC7, 0x80, 0xF0, 0, 0, 0, 0xFF, 0x01, 0, 0]  // mov dword [rax + 0F0h], 1FFh
    let bytes = (0..<4).map { UInt8(truncatingIfNeeded: command >> ($0 * 8)) }
    return enable + [0xC7, 0x80, 0x00, 0x03, 0, 0] + bytes  // mov dword [rax + 300h], command
  }

  /// An exception of L2 by `code`, which exits if bit `vector` of the exception bitmap is 1.
  private static func exception(
    _ name: String, _ vector: UInt64, _ code: [UInt8], interruption: UInt64, errorCode: UInt64? = nil,
    qualification: UInt64 = 0, hasLength: Bool = false,
    setUp: @escaping @Sendable (VMCS, RigMemory) -> Void = { _, _ in },
    registers: @escaping @Sendable (UnsafeMutablePointer<RegisterFile>) -> Void = { _ in }
  ) -> ExitCase {
    ExitCase(
      name: name, reason: .exceptionOrNMI, code: code, setUp: setUp,
      ask: { vmcs, _ in vmcs[.exceptionBitmap] = 1 << vector }, registers: registers, otherwise: .faults,
      qualification: qualification, hasLength: hasLength, interruption: interruption,
      interruptionErrorCode: errorCode)
  }

  static let events: [ExitCase] = [
    exception("#UD", 6, [0x0F, 0x0B], interruption: 0x8000_0306),
    exception("#BP", 3, [0xCC], interruption: 0x8000_0603, hasLength: true),
    exception("INT1", 1, [0xF1], interruption: 0x8000_0501, hasLength: true),
    exception(
      "#GP", 13, [0x8E, 0xD8], interruption: 0x8000_0B0D, errorCode: 0x7FF8,
      registers: { $0.pointee.rax = 0x7FF8 }),
    exception(
      "#PF", 14, [0x8B, 0x04, 0x25, 0x00, 0x00, 0x40, 0x00], interruption: 0x8000_0B0E, errorCode: 0,
      qualification: 0x40_0000, setUp: { vmcs, memory in hidePage(at: 0x40_0000, vmcs, memory) }),
    ExitCase(
      name: "External interrupt", reason: .externalInterrupt, before: send(0x4_4040), code: [0x90],
      ask: { vmcs, _ in
        vmcs.pinBasedControls.insert(.externalInterruptExiting)
        vmcs.exitControls.insert(.acknowledgeInterruptOnExit)
      }, registers: { $0.pointee.rax = 0xFEE0_0000 }, hasLength: false, interruption: 0x8000_0040),
    ExitCase(
      name: "External interrupt that is not acknowledged", reason: .externalInterrupt, before: send(0x4_4050),
      code: [0x90], ask: { vmcs, _ in vmcs.pinBasedControls.insert(.externalInterruptExiting) },
      registers: { $0.pointee.rax = 0xFEE0_0000 }, hasLength: false),
    ExitCase(
      name: "NMI", reason: .exceptionOrNMI, before: send(0x400), code: [0x90],
      ask: { vmcs, _ in vmcs.pinBasedControls.insert(.nmiExiting) },
      registers: { $0.pointee.rax = 0xFEE0_0000 }, otherwise: .faults, hasLength: false,
      interruption: 0x8000_0202),
    ExitCase(
      name: "Triple fault", reason: .tripleFault, code: [0x0F, 0x0B], otherwise: .always, hasLength: false),
    ExitCase(
      name: "INIT", reason: .initSignal, before: send(0x4500), code: [0x90],
      registers: { $0.pointee.rax = 0xFEE0_0000 }, otherwise: .always, hasLength: false),
    ExitCase(
      name: "Interrupt window", reason: .interruptWindow, code: [],
      setUp: { vmcs, _ in vmcs[.guestRFLAGS] = 0x202 },
      ask: { vmcs, _ in vmcs.primaryProcessorBasedControls.insert(.interruptWindowExiting) }, hasLength: false
    ),
    ExitCase(
      name: "Interrupt window after STI", reason: .interruptWindow, before: [0xFB, 0x90], code: [],
      ask: { vmcs, _ in vmcs.primaryProcessorBasedControls.insert(.interruptWindowExiting) }, hasLength: false
    ),
    // SDM volume 3, "Other Causes of VM Exits": before external interrupts.
    ExitCase(
      name: "Interrupt window before an interrupt that L2 would get", reason: .interruptWindow,
      before: send(0x4_4060) + [0xFB, 0x90], code: [],
      ask: { vmcs, _ in vmcs.primaryProcessorBasedControls.insert(.interruptWindowExiting) },
      registers: { $0.pointee.rax = 0xFEE0_0000 }, otherwise: .faults, hasLength: false),
    ExitCase(
      name: "NMI window", reason: .nmiWindow, code: [],
      ask: { vmcs, _ in
        vmcs.pinBasedControls.formUnion([.nmiExiting, .virtualNMIs])
        vmcs.primaryProcessorBasedControls.insert(.nmiWindowExiting)
      }, hasLength: false),
    ExitCase(
      name: "Monitor trap flag", reason: .monitorTrapFlag, before: [0x90], code: [],
      ask: { vmcs, _ in vmcs.primaryProcessorBasedControls.insert(.monitorTrapFlag) }, hasLength: false),
    ExitCase(
      name: "Preemption timer", reason: .preemptionTimerExpired, code: [],
      ask: { vmcs, _ in vmcs.pinBasedControls.insert(.activatePreemptionTimer) }, hasLength: false),
    ExitCase(
      name: "Task switch by JMP", reason: .taskSwitch, code: [0xEA, 0, 0, 0, 0, 0x28, 0],
      setUp: { vmcs, memory in enter32BitMode(vmcs, memory) }, otherwise: .always,
      qualification: 0x8000_0028),
    ExitCase(
      name: "Task switch by CALL", reason: .taskSwitch, code: [0x9A, 0, 0, 0, 0, 0x28, 0],
      setUp: { vmcs, memory in enter32BitMode(vmcs, memory) }, otherwise: .always, qualification: 0x28),
    ExitCase(
      name: "MSR that VM entry cannot load", reason: .entryFailureMSRLoading, code: [],
      setUp: { vmcs, memory in
        vmcs[.entryMSRLoadCount] = 2
        (memory[RigPlace.msrList], memory[RigPlace.msrList + 8]) = (0xC000_0082, 0)
        (memory[RigPlace.msrList + 16], memory[RigPlace.msrList + 24]) = (0xC000_0100, 0)
      }, otherwise: .always, qualification: 2, hasLength: false),
    ExitCase(
      name: "Guest state that VM entry refuses", reason: .entryFailureInvalidGuestState, code: [],
      setUp: { vmcs, _ in vmcs[.guestRFLAGS] = 0 }, otherwise: .always, hasLength: false),
  ]

  /// L2 has no page at `address`, in the third 2 MByte or beyond: it gets paging structures of its own.
  private static func hidePage(at address: UInt64, _ vmcs: VMCS, _ memory: RigMemory) {
    let (root, pointers, directory) = (RigPlace.l2TSS, RigPlace.l2IDT, RigPlace.l2Data)
    vmcs[.guestCR3] = root
    memory[root] = pointers | 3
    memory[pointers] = directory | 3
    for index: UInt64 in 0..<512 { memory[directory + index * 8] = index << 21 | 0x83 }
    memory[directory + (address >> 21) * 8] = 0
    vmcs[.guestIDTRBase] = 0
  }

  /// L2 is in 32-bit protected mode with a GDT that has TSSs: the busy one of TR at 20H, and an available one at 28H.
  static func enter32BitMode(_ vmcs: VMCS, _ memory: RigMemory) {
    vmcs.entryControls.remove(.ia32eModeGuest)
    vmcs[.guestEFER] = 0
    vmcs[.guestCR3] = RigPlace.pageDirectory
    vmcs[.guestCR4] = 0x2010
    vmcs[.guestCSSelector] = RigPlace.code32Selector
    vmcs[.guestCSAccessRights] = 0xC09B
    let descriptors: [UInt64] = [
      0, 0x00CF_9B00_0000_FFFF, 0x00CF_9300_0000_FFFF, 0, 0x0000_8B23_0000_0067, 0x0000_8923_0800_0067,
    ]
    for (index, descriptor) in descriptors.enumerated() {
      memory[RigPlace.l2Data + UInt64(index) * 8] = descriptor
    }
    vmcs[.guestGDTRBase] = RigPlace.l2Data
  }

  static let memoryAccesses: [ExitCase] = [
    ExitCase(
      name: "EPT violation by a read", reason: .eptViolation,
      code: [0x8B, 0x04, 0x25, 0x00, 0xF0, 0x3F, 0x00],
      setUp: { vmcs, memory in useEPT(vmcs, memory) },
      ask: { _, memory in memory[memory.ept(of: RigPlace.hole)] = 0 }, qualification: 0x581,
      hasLength: false, linearAddress: RigPlace.hole, physicalAddress: RigPlace.hole),
    ExitCase(
      name: "EPT violation by a write", reason: .eptViolation,
      code: [0x89, 0x04, 0x25, 0x08, 0xF0, 0x3F, 0x00],
      setUp: { vmcs, memory in useEPT(vmcs, memory) },
      ask: { _, memory in memory[memory.ept(of: RigPlace.hole)] &= ~2 }, qualification: 0x5AA,
      hasLength: false, linearAddress: RigPlace.hole + 8, physicalAddress: RigPlace.hole + 8),
    ExitCase(
      name: "EPT misconfiguration", reason: .eptMisconfiguration,
      code: [0x8B, 0x04, 0x25, 0x00, 0xF0, 0x3F, 0x00], setUp: { vmcs, memory in useEPT(vmcs, memory) },
      ask: { _, memory in memory[memory.ept(of: RigPlace.hole)] = RigPlace.hole | 0x32 },
      hasLength: false, physicalAddress: RigPlace.hole),
    ExitCase(
      name: "Page-modification log full", reason: .pageModificationLogFull,
      code: [0x89, 0x04, 0x25, 0x00, 0xF0, 0x3F, 0x00],
      setUp: { vmcs, memory in
        useEPT(vmcs, memory)
        vmcs[.eptPointer] |= 1 << 6
      },
      ask: { vmcs, _ in
        vmcs.secondaryProcessorBasedControls.insert(.enablePML)
        vmcs[.guestPMLIndex] = 0xFFFF
      }, hasLength: false),
  ]

  private static func useEPT(_ vmcs: VMCS, _ memory: RigMemory) {
    vmcs.secondaryProcessorBasedControls.insert(.enableEPT)
    memory[memory.ept(of: RigPlace.hole)] = RigPlace.hole | 0x37
  }

  static let apicAccesses: [ExitCase] = [
    ExitCase(
      name: "TPR below threshold", reason: .tprBelowThreshold, code: [0x44, 0x0F, 0x22, 0xC0],
      setUp: { vmcs, memory in
        vmcs.primaryProcessorBasedControls.insert(.useTPRShadow)
        memory[RigPlace.virtualAPICPage + 0x80] = 0x60
      }, ask: { vmcs, _ in vmcs[.tprThreshold] = 5 }, registers: { $0.pointee.rax = 4 }, hasLength: false,
      isTrap: true),
    ExitCase(
      name: "APIC access", reason: .apicAccess, code: [0x8B, 0x04, 0x25, 0x20, 0x60, 0x20, 0x00],
      ask: { vmcs, _ in vmcs.secondaryProcessorBasedControls.insert(.virtualizeAPICAccesses) },
      qualification: 0x20),
    ExitCase(
      name: "APIC access by a write", reason: .apicAccess, code: [0x89, 0x04, 0x25, 0x00, 0x63, 0x20, 0x00],
      ask: { vmcs, _ in vmcs.secondaryProcessorBasedControls.insert(.virtualizeAPICAccesses) },
      qualification: 0x1300),
    ExitCase(
      name: "Virtualized EOI", reason: .virtualizedEOI, code: [0x89, 0x04, 0x25, 0xB0, 0x60, 0x20, 0x00],
      setUp: { vmcs, memory in
        deliverVirtualInterrupts(vmcs)
        // Vector 50H is in service.
        vmcs[.guestInterruptStatus] = 0x5000
        memory[RigPlace.virtualAPICPage + 0x120] = 1 << 16
      }, ask: { vmcs, _ in vmcs[.eoiExitBitmap1] = 1 << 16 }, qualification: 0x50, hasLength: false,
      isTrap: true),
    ExitCase(
      name: "APIC write", reason: .apicWrite, code: [0x89, 0x04, 0x25, 0x00, 0x63, 0x20, 0x00],
      setUp: { vmcs, _ in
        deliverVirtualInterrupts(vmcs)
        vmcs.secondaryProcessorBasedControls.insert(.apicRegisterVirtualization)
      }, registers: { $0.pointee.rax = 0x4_0400 }, otherwise: .always, qualification: 0x300,
      hasLength: false, isTrap: true),
  ]

  private static func deliverVirtualInterrupts(_ vmcs: VMCS) {
    vmcs.pinBasedControls.insert(.externalInterruptExiting)
    vmcs.primaryProcessorBasedControls.insert(.useTPRShadow)
    vmcs.secondaryProcessorBasedControls.formUnion([.virtualizeAPICAccesses, .virtualInterruptDelivery])
  }
}
