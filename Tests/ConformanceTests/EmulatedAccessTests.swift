import NestedRig
import Testing
import VMX
import X86

/// Instructions of L2 that L0 performs, since L1 leaves them to L2: what L1 and L2 see of their accesses is what the
/// processor's own would show.
@Suite("Accesses that L0 makes for L2")
struct EmulatedAccessTests {
  static let outsb: [UInt8] = [0x6E]
  static let insb: [UInt8] = [0x6C]
  static let insd: [UInt8] = [0x6D]
  /// The UART's scratch register, which keeps what is written to it.
  static let scratchPort: UInt64 = 0x3FF
  static let ioapic: UInt64 = 0xFEC0_0000

  /// L2 executes `code`, and a VMCALL behind it, with RSI and RDI at `operand` and RCX = `count`.
  static func emulated(
    _ name: String, _ code: [UInt8], at operand: UInt64, count: UInt64 = 1, exitLimit: UInt64 = 1,
    watched: [UInt64] = [], layOut: @escaping @Sendable (VMCS, RigMemory) -> Void = { _, _ in }
  ) -> RigCase {
    var test = RigCase(
      name, exitLimit: exitLimit,
      layOut: { vmcs, memory in
        memory.store(code + [0x0F, 0x01, 0xC1], at: RigPlace.l2Code)
        layOut(vmcs, memory)
      },
      registers: {
        ($0.pointee.rcx, $0.pointee.rdx) = (count, scratchPort)
        ($0.pointee.rsi, $0.pointee.rdi) = (operand, operand)
        $0.pointee.cr2 = 0x1234
      })
    test.watched = watched
    return test
  }

  /// With EPT, in which the hole is mapped by `entry`, and the devices below 4 GByte as they are in L1.
  static func useEPT(_ vmcs: VMCS, _ memory: RigMemory, hole entry: UInt64 = 0) {
    vmcs.secondaryProcessorBasedControls.insert(.enableEPT)
    memory[memory.ept(of: RigPlace.hole)] = entry
    memory[RigPlace.ept + 0x1000 + 3 * 8] = 0xC000_0000 | 0x87
  }

  /// Gives L2 paging structures of its own: the first GByte as it is, and from 1 GByte on what `entry` says.
  static func map(_ entry: UInt64, _ vmcs: VMCS, _ memory: RigMemory) {
    let (root, pointers) = (RigPlace.l2TSS, RigPlace.l2IDT)
    vmcs[.guestCR3] = root
    memory[root] = pointers | 7
    memory[pointers] = 0x83
    memory[pointers + 8] = entry
    vmcs[.guestIDTRBase] = 0
  }
  static let mapped: UInt64 = 1 << 30

  // MARK: EPT violations

  struct Violation: Sendable {
    var test: RigCase
    var qualification: UInt64
    var linear: UInt64
    var physical = RigPlace.hole
  }

  static let violations: [Violation] = [
    Violation(
      test: emulated("OUTS", outsb, at: RigPlace.hole) { useEPT($0, $1) }, qualification: 0x581,
      linear: RigPlace.hole),
    Violation(
      test: emulated("INS", insb, at: RigPlace.hole + 8) { useEPT($0, $1, hole: RigPlace.hole | 0x35) },
      qualification: 0x5AA, linear: RigPlace.hole + 8, physical: RigPlace.hole + 8),
    Violation(
      test: emulated("INS with execute-only memory", insb, at: RigPlace.hole) {
        useEPT($0, $1, hole: RigPlace.hole | 0x34)
      }, qualification: 0x5A2, linear: RigPlace.hole),
    // The page is a user-mode one that can be neither written nor executed.
    Violation(
      test: emulated("OUTS with paging permissions", outsb, at: mapped + RigPlace.hole) {
        useEPT($0, $1)
        map(1 << 63 | 0x85, $0, $1)
      }, qualification: 0xB81, linear: mapped + RigPlace.hole),
    Violation(
      test: emulated("OUTS through a paging structure", outsb, at: mapped + 5) {
        useEPT($0, $1)
        map(RigPlace.hole | 7, $0, $1)
      }, qualification: 0x81, linear: mapped + 5),
    Violation(
      test: emulated("OUTS through a paging structure, with flags", outsb, at: mapped + 5) {
        useEPT($0, $1)
        $0[.eptPointer] |= 1 << 6
        map(RigPlace.hole | 7, $0, $1)
      }, qualification: 0x83, linear: mapped + 5),
    // MOVSD from a register of the I/O APIC, which is L1's, to the hole.
    Violation(
      test: {
        var test = emulated("MOVS from a device", [0xA5], at: RigPlace.hole) { useEPT($0, $1) }
        test.registers = { ($0.pointee.rsi, $0.pointee.rdi) = (ioapic, RigPlace.hole) }
        return test
      }(), qualification: 0x582, linear: RigPlace.hole),
  ]

  @Test(arguments: violations.indices)
  func violationsAreTheProcessors(_ index: Int) throws {
    let violation = Self.violations[index]
    let report = try Rig().run(violation.test).report
    let exit = try #require(report.exits.first, "\(report)")
    #expect(exit.reason.basic == .eptViolation, "\(violation.test.name)")
    #expect(exit.qualification == violation.qualification, "\(violation.test.name)")
    #expect(exit.linearAddress == violation.linear, "\(violation.test.name)")
    #expect(exit.physicalAddress == violation.physical, "\(violation.test.name)")
    #expect(exit.instructionLength == 0 && exit.instructionInformation == 0, "\(violation.test.name)")
    #expect(exit.interruption == 0 && exit.rip == RigPlace.l2Code, "\(violation.test.name)")
    // SDM volume 3, "Saving RIP, RSP, RFLAGS, and SSP": else a breakpoint of the instruction would come again.
    #expect(report.flags.contains(.rf), "\(violation.test.name)")
    // L0, and not the processor, has met the violation.
    #expect(
      report.hardwareExits.last != ExitReasonField(.eptViolation) || violation.test.name.contains("device"))
  }

  /// SDM volume 3, "Virtualization Exceptions".
  @Test func violationsBecomeVirtualizationExceptions() throws {
    let area = RigPlace.exceptionInformation
    let test = Self.emulated(
      "#VE", Self.outsb, at: RigPlace.hole + 3, watched: [area, area + 8, area + 16, area + 24]
    ) { vmcs, memory in
      Self.useEPT(vmcs, memory)
      vmcs.secondaryProcessorBasedControls.insert(.eptViolationVE)
      vmcs[.exceptionBitmap] = 1 << 20
    }
    let result = try Rig().run(test)
    let exit = try #require(result.report.exits.first)
    #expect(exit.reason.basic == .exceptionOrNMI && exit.interruption == 0x8000_0314)
    #expect(exit.rip == RigPlace.l2Code && result.report.flags.contains(.rf))
    #expect(result.watched == [0xFFFF_FFFF_0000_0030, 0x581, RigPlace.hole + 3, RigPlace.hole + 3])
  }

  // MARK: Page-modification logging

  /// Has all flags of ept12 set, but for the dirty flag of the hole.
  static func useLog(_ vmcs: VMCS, _ memory: RigMemory, index: UInt64) {
    useEPT(vmcs, memory, hole: RigPlace.hole | 0x137)
    vmcs[.eptPointer] |= 1 << 6
    vmcs.secondaryProcessorBasedControls.insert(.enablePML)
    vmcs[.guestPMLIndex] = index
    memory[RigPlace.ept] |= 0x100
    for entry in [UInt64(0), 1] { memory[RigPlace.ept + 0x1000 + entry * 8] |= 0x100 }
    for entry in UInt64(0)..<512 {
      memory[RigPlace.ept + 0x2000 + entry * 8] |= entry == 1 ? 0x100 : 0x300
      let leaf = RigPlace.ept + 0x3000 + entry * 8
      if leaf != memory.ept(of: RigPlace.hole) { memory[leaf] |= 0x300 }
    }
  }

  @Test func writesAreLogged() throws {
    let entry = RigPlace.pageModificationLog + 7 * 8
    let test = Self.emulated(
      "INS", Self.insb, at: RigPlace.hole + 0x123,
      watched: [entry - 8, entry, RigPlace.ept + 0x3000 + 0x1FF * 8]
    ) { Self.useLog($0, $1, index: 7) }
    let result = try Rig().run(test)
    #expect(result.reason == .vmcall)
    #expect(result.watched == [0, RigPlace.hole, RigPlace.hole | 0x337])
  }

  @Test func aFullLogStopsTheInstruction() throws {
    let test = Self.emulated("INS", Self.insb, at: RigPlace.hole) { Self.useLog($0, $1, index: 0xFFFF) }
    let report = try Rig().run(test).report
    let exit = try #require(report.exits.first)
    #expect(exit.reason.basic == .pageModificationLogFull && exit.qualification == 0)
    #expect(exit.rip == RigPlace.l2Code && report.flags.contains(.rf))
  }

  // MARK: Exceptions

  struct Fault: Sendable {
    var test: RigCase
    var interruption: UInt64
    var qualification: UInt64 = 0
  }

  static func fault(
    _ name: String, _ code: [UInt8], at operand: UInt64, _ vector: UInt64, interruption: UInt64,
    qualification: UInt64 = 0, layOut: @escaping @Sendable (VMCS, RigMemory) -> Void = { _, _ in }
  ) -> Fault {
    Fault(
      test: emulated(name, code, at: operand) { vmcs, memory in
        vmcs[.exceptionBitmap] = 1 << vector
        layOut(vmcs, memory)
      }, interruption: interruption, qualification: qualification)
  }

  static func in32BitMode(
    _ change: @escaping @Sendable (VMCS) -> Void
  ) -> @Sendable (VMCS, RigMemory) -> Void {
    { vmcs, memory in
      ExitCase.enter32BitMode(vmcs, memory)
      change(vmcs)
    }
  }

  static let faults: [Fault] = [
    fault("#PF", outsb, at: mapped + 7, 14, interruption: 0x8000_0B0E, qualification: mapped + 7) {
      map(0, $0, $1)
    },
    fault("a write that #PF refuses", insb, at: mapped, 14, interruption: 0x8000_0B0E, qualification: mapped)
    {
      map(0x81, $0, $1)
    },
    fault("#GP for RDMSR", [0xB9, 0xFF, 0x10, 0, 0, 0x0F, 0x32], at: 0, 13, interruption: 0x8000_0B0D) {
      vmcs, _ in
      vmcs.primaryProcessorBasedControls.insert(.useMSRBitmaps)
    },
    fault("an address that is not canonical", outsb, at: 1 << 47, 13, interruption: 0x8000_0B0D),
    fault(
      "INS to a segment that is read-only", insb, at: 0x22_8000, 13, interruption: 0x8000_0B0D,
      layOut: in32BitMode { $0[.guestESAccessRights] = 0xC091 }),
    fault(
      "OUTS from code that cannot be read", [0x2E, 0x6E], at: 0x22_8000, 13, interruption: 0x8000_0B0D,
      layOut: in32BitMode { $0[.guestCSAccessRights] = 0xC099 }),
    fault(
      "INS without a segment", insb, at: 0x22_8000, 13, interruption: 0x8000_0B0D,
      layOut: in32BitMode { $0[.guestESAccessRights] = 0x1_0000 }),
    fault(
      "OUTS beyond the limit", [0x6F], at: 0xFD, 13, interruption: 0x8000_0B0D,
      layOut: in32BitMode {
        $0[.guestDSLimit] = 0xFF
        $0[.guestDSAccessRights] = 0x4093
      }),
    fault(
      "OUTS beyond the stack's limit", [0x36, 0x6E], at: 0x80_0000, 12, interruption: 0x8000_0B0C,
      layOut: in32BitMode {
        $0[.guestSSLimit] = 0xF_FFFF
        $0[.guestSSAccessRights] = 0x4093
      }),
  ]

  @Test(arguments: faults.indices)
  func exceptionsAreTheProcessors(_ index: Int) throws {
    let fault = Self.faults[index]
    let report = try Rig().run(fault.test).report
    let exit = try #require(report.exits.first, "\(report)")
    #expect(exit.reason.basic == .exceptionOrNMI, "\(fault.test.name)")
    #expect(exit.interruption == fault.interruption, "\(fault.test.name)")
    #expect(exit.qualification == fault.qualification, "\(fault.test.name)")
    #expect(exit.instructionLength == 0 && exit.instructionInformation == 0, "\(fault.test.name)")
    #expect(exit.linearAddress == 0, "\(fault.test.name)")
    #expect(report.flags.contains(.rf), "\(fault.test.name)")
    // SDM volume 3, "Architectural State Before a VM Exit": a page fault that exits does not change CR2.
    #expect(report.pageFaultAddress == 0x1234, "\(fault.test.name)")
  }

  /// In real-address mode segments have no types: INS to ES that was loaded as a code segment is.
  @Test func realAddressModeHasNoSegmentTypes() throws {
    let test = Self.emulated("INS in real-address mode", Self.insb, at: 0x100) { vmcs, memory in
      Self.useEPT(vmcs, memory)
      vmcs.secondaryProcessorBasedControls.insert(.unrestrictedGuest)
      vmcs.entryControls.remove(.ia32eModeGuest)
      vmcs[.guestCR0] = 0x30
      vmcs[.guestEFER] = 0
      vmcs[.guestCR4] = 0x2000
      for (selector, base, limit, rights) in [
        (
          VMCSField.guestCSSelector, VMCSField.guestCSBase, VMCSField.guestCSLimit,
          VMCSField.guestCSAccessRights
        ),
        (.guestSSSelector, .guestSSBase, .guestSSLimit, .guestSSAccessRights),
        (.guestDSSelector, .guestDSBase, .guestDSLimit, .guestDSAccessRights),
        (.guestESSelector, .guestESBase, .guestESLimit, .guestESAccessRights),
        (.guestFSSelector, .guestFSBase, .guestFSLimit, .guestFSAccessRights),
        (.guestGSSelector, .guestGSBase, .guestGSLimit, .guestGSAccessRights),
      ] {
        vmcs[selector] = 0x1000
        vmcs[base] = 0x1_0000
        vmcs[limit] = 0xFFFF
        vmcs[rights] = rights == .guestCSAccessRights ? 0x9B : 0x93
      }
      // An access through CS, by a segment override that INS has none of: OUTS reads, MOVS writes to ES alone.
      vmcs[.guestESAccessRights] = 0x9B
      vmcs[.guestRIP] = 0
      vmcs[.guestRSP] = 0x8000
      // The first GByte is mapped by 2-MByte pages to itself.
      memory.store(Self.insb + [0x0F, 0x01, 0xC1], at: 0x1_0000)
    }
    let report = try Rig().run(test).report
    #expect(report.exits.first?.reason.basic == .vmcall, "\(report)")
  }

  @Test func aPageFaultOfL2ChangesCR2() throws {
    let test = Self.emulated("#PF", Self.outsb, at: Self.mapped + 7) { Self.map(0, $0, $1) }
    let result = try Rig().run(test)
    #expect(result.reason == .tripleFault && result.report.pageFaultAddress != 0x1234)
  }

  // MARK: What follows an instruction

  /// SDM volume 3, "Monitor Trap Flag": behind each iteration of a repeated instruction.
  @Test(arguments: [false, true])
  func monitorTrapFlagExitsFollowEachElement(_ isDevice: Bool) throws {
    // REP OUTSB, or REP LODSD from the I/O APIC.
    let code: [UInt8] = isDevice ? [0xF3, 0xAD] : [0xF3, 0x6E]
    let operand = isDevice ? Self.ioapic : RigPlace.l2Data
    let test = Self.emulated("MTF", code, at: operand, count: 3, exitLimit: 4) { vmcs, memory in
      vmcs.primaryProcessorBasedControls.insert(.monitorTrapFlag)
    }
    let report = try Rig().run(test).report
    #expect(
      report.exits.map(\.reason.basic) == [.monitorTrapFlag, .monitorTrapFlag, .monitorTrapFlag, .vmcall])
    let code0 = RigPlace.l2Code
    #expect(report.exits.map(\.rip) == [code0, code0, code0 + 2, code0 + 2])
  }

  @Test(arguments: [false, true])
  func singleStepsFollowEachElement(_ isDevice: Bool) throws {
    let code: [UInt8] = isDevice ? [0xF3, 0xAD] : [0xF3, 0x6E]
    let operand = isDevice ? Self.ioapic : RigPlace.l2Data
    let test = Self.emulated("TF", code, at: operand, count: 2, exitLimit: 3) { vmcs, memory in
      vmcs[.guestRFLAGS] |= RFLAGS.tf.rawValue
      vmcs[.exceptionBitmap] = 2
    }
    let report = try Rig().run(test).report
    let code0 = RigPlace.l2Code
    #expect(report.exits.map(\.reason.basic) == [.exceptionOrNMI, .exceptionOrNMI, .vmcall])
    #expect(report.exits.prefix(2).map(\.qualification) == [0x4000, 0x4000])
    #expect(report.exits.map(\.rip) == [code0, code0 + 2, code0 + 2])
  }

  /// SDM volume 3, "Data Breakpoints": a trap behind the instruction, or behind the element of a repeated one.
  @Test(arguments: [false, true])
  func dataBreakpointsAreMet(_ isDevice: Bool) throws {
    let code: [UInt8] = isDevice ? [0xF3, 0xAD] : [0xF3, 0x6F]
    let operand = isDevice ? Self.ioapic : RigPlace.l2Data
    var test = Self.emulated("data breakpoint", code, at: operand, count: 3, exitLimit: 2) { vmcs, memory in
      // Breakpoint 0, reads and writes of 4 bytes.
      vmcs[.guestDR7] = 0x400 | 0xF << 16 | 2
      vmcs[.exceptionBitmap] = 2
    }
    let registers = test.registers
    test.registers = {
      registers($0)
      $0.pointee.dr0 = operand + 4
    }
    let report = try Rig().run(test).report
    let exit = try #require(report.exits.first)
    #expect(report.exits.map(\.reason.basic) == [.exceptionOrNMI, .vmcall])
    #expect(exit.qualification == 1 && exit.rip == RigPlace.l2Code)
  }

  /// The blocking by STI ends behind the one instruction.
  @Test func blockingEndsBehindTheInstruction() throws {
    let test = Self.emulated("STI; OUTS", [0xFB] + Self.outsb, at: RigPlace.l2Data) { vmcs, _ in
      vmcs.primaryProcessorBasedControls.insert(.interruptWindowExiting)
    }
    let exit = try #require(try Rig().run(test).report.exits.first)
    #expect(exit.reason.basic == .interruptWindow && exit.rip == RigPlace.l2Code + 2)
  }

  @Test func elementsBeforeAFaultAreDone() throws {
    // REP OUTSB from the last two bytes before the hole.
    let test = Self.emulated("REP OUTS", [0xF3, 0x6E], at: RigPlace.hole - 2, count: 5) {
      Self.useEPT($0, $1)
    }
    let report = try Rig().run(test).report
    let exit = try #require(report.exits.first)
    #expect(exit.reason.basic == .eptViolation && exit.linearAddress == RigPlace.hole)
    #expect(exit.rip == RigPlace.l2Code && exit.qualification == 0x581)
  }
}

// MARK: - APIC virtualization

extension EmulatedAccessTests {
  /// An instruction that accesses the APIC-access page, what L1 sees first, and where L2 is then.
  struct APICAccess: Sendable {
    var name: String
    var code: [UInt8]
    var offset: UInt64
    var reason: ExitReason
    var qualification: UInt64 = 0
    /// How many bytes of ``code`` L2 has behind it.
    var executed: UInt64
    var controls: [SecondaryProcessorBasedControls] = []
    var usesTPRShadow = true
    /// What the page has at `watched` in the end.
    var watched: UInt64?
    var value: UInt64 = 0
  }

  /// MOV EDX, port; MOV EAX, value; OUT DX, EAX: what a later INSD finds there.
  static func prepare(_ value: UInt32, in port: UInt32) -> [UInt8] {
    let bytes = { (word: UInt32) in (0..<4).map { UInt8(truncatingIfNeeded: word >> ($0 * 8)) } }
    return [0xBA] + bytes(port) + [0xB8] + bytes(value) + [0xEF]
  }

  /// The same of a byte and the scratch register.
  static func writeScratch(_ value: UInt8) -> [UInt8] { [0xBA, 0xFF, 0x03, 0, 0, 0xB0, value, 0xEE] }

  static let delivery: [SecondaryProcessorBasedControls] = [.virtualInterruptDelivery]
  /// The configuration address of PCI keeps what is written to it.
  static let configuration: UInt32 = 0xCF8

  static let apicAccesses: [APICAccess] = [
    APICAccess(
      name: "OUTS without a TPR shadow", code: outsb, offset: 0x80, reason: .apicAccess, qualification: 0x80,
      executed: 0, usesTPRShadow: false),
    APICAccess(
      name: "INS of a register that is not virtualized", code: insb, offset: 0x300, reason: .apicAccess,
      qualification: 0x1300, executed: 0),
    APICAccess(
      name: "OUTS of 4 bytes that are no register", code: [0x6F], offset: 0x82, reason: .apicAccess,
      qualification: 0x82, executed: 0),
    // OUTSB; IN AL, DX; MOV [page + 3F8h], AL: the byte has come from the virtual-APIC page.
    APICAccess(
      name: "OUTS of VTPR",
      code: outsb + [0xEC, 0xA2]
        + (0..<8).map { UInt8(truncatingIfNeeded: (RigPlace.virtualAPICPage + 0x3F8) >> ($0 * 8)) },
      offset: 0x80, reason: .vmcall, executed: 11, watched: 0x3F8, value: 0x60),
    APICAccess(
      name: "INS to VTPR, below the threshold", code: writeScratch(0x40) + insb, offset: 0x80,
      reason: .tprBelowThreshold, executed: 9, watched: 0x80, value: 0x40),
    APICAccess(
      name: "INS to VEOI of a vector that exits", code: insd, offset: 0xB0, reason: .virtualizedEOI,
      qualification: 0x50, executed: 1, controls: delivery, watched: 0x120, value: 0),
    APICAccess(
      name: "INS to the ICR, a self-IPI", code: prepare(0x4_0060, in: configuration) + insd, offset: 0x300,
      reason: .vmcall, executed: 12, controls: delivery, watched: 0x230, value: 1),
    APICAccess(
      name: "INS to the ICR, another IPI", code: prepare(0x8_0060, in: configuration) + insd, offset: 0x300,
      reason: .apicWrite, qualification: 0x300, executed: 12,
      controls: delivery + [.apicRegisterVirtualization], watched: 0x300, value: 0x8_0060),
    APICAccess(
      name: "INS to the upper half of the ICR", code: insd, offset: 0x310, reason: .vmcall, executed: 1,
      controls: [.apicRegisterVirtualization], watched: 0x310, value: 0xFF00_0000),
  ]

  @Test(arguments: apicAccesses.indices)
  func theAPICAccessPageIsVirtualized(_ index: Int) throws {
    let access = Self.apicAccesses[index]
    var test = Self.emulated(
      access.name, access.code, at: RigPlace.apicAccessPage + access.offset,
      watched: [RigPlace.virtualAPICPage + (access.watched ?? 0)]
    ) { vmcs, memory in
      vmcs.secondaryProcessorBasedControls.insert(.virtualizeAPICAccesses)
      for control in access.controls { vmcs.secondaryProcessorBasedControls.formUnion(control) }
      if access.usesTPRShadow { vmcs.primaryProcessorBasedControls.insert(.useTPRShadow) }
      if access.controls.contains(.virtualInterruptDelivery) {
        vmcs.pinBasedControls.insert(.externalInterruptExiting)
        // Vector 50H is in service.
        vmcs[.guestInterruptStatus] = 0x5000
        vmcs[.eoiExitBitmap1] = 1 << 16
        memory[RigPlace.virtualAPICPage + 0x120] = 1 << 16
      } else {
        vmcs[.tprThreshold] = 5
      }
      memory[RigPlace.virtualAPICPage + 0x80] = 0x60
    }
    let registers = test.registers
    test.registers = {
      registers($0)
      // A port where nothing is, which reads as ones.
      if access.offset == 0x310 { $0.pointee.rdx = 0xE000 }
    }
    let result = try Rig().run(test)
    let exit = try #require(result.report.exits.first, "\(access.name): \(result.report)")
    #expect(exit.reason.basic == access.reason, "\(access.name)")
    #expect(exit.qualification == access.qualification, "\(access.name)")
    #expect(exit.rip == RigPlace.l2Code + access.executed, "\(access.name)")
    if access.reason == .apicAccess {
      #expect(exit.instructionLength == 1 && result.report.flags.contains(.rf), "\(access.name)")
    }
    if access.watched != nil { #expect(result.watched[0] & 0xFFFF_FFFF == access.value, "\(access.name)") }
  }

  @Test func pagingStructuresInTheAPICAccessPageExit() throws {
    let test = Self.emulated("OUTS", Self.outsb, at: Self.mapped) { vmcs, memory in
      Self.useEPT(vmcs, memory)
      vmcs.secondaryProcessorBasedControls.insert(.virtualizeAPICAccesses)
      Self.map(RigPlace.apicAccessPage | 7, vmcs, memory)
    }
    let exit = try #require(try Rig().run(test).report.exits.first)
    #expect(exit.reason.basic == .apicAccess && exit.qualification == 0xF000)
  }
}
