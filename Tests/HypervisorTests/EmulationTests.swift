import GuestMemory
import Hypervisor
import Processor
import Synchronization
import Testing
import VMX
import X86

/// Collects what a guest sends.
final class SerialOutput: Sendable {
  private let bytes = Mutex<[UInt8]>([])
  func append(_ byte: UInt8) { bytes.withLock { $0.append(byte) } }
  var text: String { String(decoding: bytes.withLock { $0 }, as: UTF8.self) }
}

/// What the VMCS and the registers hold after L0 has handled one exit of L1.
struct AfterExit {
  var rip: UInt64 = 0
  var rflags: UInt64 = 0
  var registers = RegisterFile()
  var event = InterruptionInformation.none
  var errorCode: UInt64 = 0
  var cr0: UInt64 = 0
  var cr0Shadow: UInt64 = 0
  var cr4: UInt64 = 0
  var cr4Shadow: UInt64 = 0
  var efer: UInt64 = 0
  var ia32e = false
  var pending: UInt64 = 0
  var interruptibility: UInt64 = 0

  /// The exception to be delivered.
  var exception: ExceptionVector? { event.isValid ? ExceptionVector(rawValue: event.vector) : nil }
}

/// Plays `step` as L1's first exit, and looks at what L0 makes of it.
func afterExit(
  by wanted: BootProtocol = .entry64, serial: SerialOutput? = nil, _ step: @escaping ScriptedProcessor.Step
) throws -> AfterExit {
  var after = AfterExit()
  var hasFinished = false
  let look: ScriptedProcessor.Step = { vmcs, processor in
    hasFinished = true
    after.rip = vmcs[.guestRIP]
    after.rflags = vmcs[.guestRFLAGS]
    after.registers = processor.registers.pointee
    after.cr0 = vmcs[.guestCR0]
    after.cr0Shadow = vmcs[.cr0ReadShadow]
    after.cr4 = vmcs[.guestCR4]
    after.cr4Shadow = vmcs[.cr4ReadShadow]
    after.efer = vmcs[.guestEFER]
    after.ia32e = vmcs.entryControls.contains(.ia32eModeGuest)
    after.pending = vmcs[.guestPendingDebugExceptions]
    after.interruptibility = vmcs[.guestInterruptibilityState]
    return ScriptedProcessor.debugExit(0)(vmcs, processor)
  }
  let machine = try scriptedMachine([step, look]) {
    $0.bootProtocol = wanted
    $0.image = TestImage(pvh: true).image
    $0.commandLine = "hello"
    if let serial { $0.serialOutput = { serial.append($0) } }
  }
  machine.processor.onEntry = { vmcs in
    guard !hasFinished, vmcs.entryInterruptionInformation.isValid else { return }
    after.event = vmcs.entryInterruptionInformation
    after.errorCode = vmcs[.entryExceptionErrorCode]
  }
  _ = machine.run()
  #expect(hasFinished)
  return after
}

/// A write of `value` to CR0 or CR4 by MOV from RAX.
private func movToCR(
  _ number: UInt8, _ value: UInt64, _ prepare: @escaping (VMCS) -> Void = { _ in }
) -> ScriptedProcessor.Step {
  ScriptedProcessor.step(
    .controlRegisterAccess, length: 3,
    qualification: ControlRegisterQualification(.movToCR, number: number, register: .rax).rawValue
  ) { vmcs, processor in
    processor.registers.pointee.rax = value
    prepare(vmcs)
  }
}

private func wrmsr(_ index: UInt32, _ value: UInt64) -> ScriptedProcessor.Step {
  ScriptedProcessor.step(.wrmsr) {
    $1.registers.pointee.rcx = UInt64(index)
    $1.registers.pointee.rax = value & 0xFFFF_FFFF | 0xAAAA_0000_0000
    $1.registers.pointee.rdx = value >> 32
  }
}

private func rdmsr(_ index: UInt32) -> ScriptedProcessor.Step {
  ScriptedProcessor.step(.rdmsr) { $1.registers.pointee.rcx = UInt64(index) }
}

@Suite struct BootStateTests {
  @Test func pvhStartsInProtectedModeWithItsInformationInEBX() throws {
    var start: (rip: UInt64, rbx: UInt64, cr0: UInt64, magic: UInt32, text: String) = (0, 0, 0, 0, "")
    _ = try afterExit(by: .pvh) { vmcs, processor in
      let rbx = processor.registers.pointee.rbx
      let ram = NestedScript.ram(processor)
      let line = ram.load(fromByteOffset: Int(rbx) + 24, as: UInt64.self)
      start = (
        vmcs[.guestRIP], rbx, vmcs[.cr0ReadShadow], ram.load(fromByteOffset: Int(rbx), as: UInt32.self),
        String(cString: (ram + Int(line)).assumingMemoryBound(to: CChar.self))
      )
      return ScriptedProcessor.exit(vmcs, .cpuid)
    }
    #expect(start.rip == UInt64(TestImage.pvhEntry))
    #expect(start.cr0 & CR0.pg.rawValue == 0)
    #expect(start.magic == 0x336E_C578)
    #expect(start.text == "hello")
  }

  @Test func multibootPassesItsMagicAndAMemoryMapOfAllMemory() throws {
    var magic: UInt64 = 0
    var ramBytes: UInt64 = 0
    let machine = try scriptedMachine([
      { vmcs, processor in
        let registers = processor.registers.pointee
        magic = registers.rax
        let ram = NestedScript.ram(processor)
        let information = ram + Int(registers.rbx)
        let end = information.load(fromByteOffset: 44, as: UInt32.self)
        let map = Int(information.load(fromByteOffset: 48, as: UInt32.self))
        for entry in stride(from: map, to: map + Int(end), by: 24)
        where ram.load(fromByteOffset: entry + 20, as: UInt32.self) == 1 {
          ramBytes += ram.loadUnaligned(fromByteOffset: entry + 12, as: UInt64.self)
        }
        return ScriptedProcessor.debugExit(0)(vmcs, processor)
      }
    ]) { $0.image = TestImage(multiboot: true).image }
    #expect(machine.run().outcome.isSuccess)
    #expect(magic == 0x2BAD_B002)
    #expect(ramBytes == NestedScript.memorySize - 0x6_0000)
  }

  @Test func a64BitEntryIsInLongModeWithIdentityPaging() throws {
    let after = try afterExit(ScriptedProcessor.step(.cpuid))
    #expect(after.ia32e)
    #expect(after.rip == TestImage.entry + 2)
    #expect(after.registers.rdi == 0x1000)
  }
}

@Suite struct EmulationTests {
  @Test func cpuidAnswersByThePolicy() throws {
    let after = try afterExit(
      ScriptedProcessor.step(.cpuid) {
        $1.registers.pointee.rax = 0xFFFF_FFFF_0000_0000
        $1.registers.pointee.rcx = 0
      })
    #expect(after.registers.rbx == 0x756E_6547)
    #expect(after.registers.rax == 0x16)
    #expect(after.rip == TestImage.entry + 2)
  }

  @Test func completingAnInstructionEndsItsShadowAndPendsASingleStep() throws {
    let after = try afterExit(
      ScriptedProcessor.step(.cpuid) { vmcs, _ in
        vmcs[.guestRFLAGS] |= RFLAGS.tf.rawValue
        vmcs.interruptibilityState = [.blockingBySTI, .blockingByNMI]
      })
    #expect(after.pending == DebugExceptionQualification.bs.rawValue)
    #expect(after.interruptibility == UInt64(InterruptibilityState.blockingByNMI.rawValue))
  }

  @Test func thirtyTwoBitCodeWrapsAt4GByte() throws {
    let after = try afterExit(
      by: .pvh, ScriptedProcessor.step(.cpuid) { vmcs, _ in vmcs[.guestRIP] = 0xFFFF_FFFF })
    #expect(after.rip == 1)
  }

  @Test func inKeepsTheRestOfTheRegister() throws {
    let sizes: [(UInt8, UInt64)] = [
      (1, 0x1122_3344_5566_77FF), (2, 0x1122_3344_5566_FFFF), (4, 0xFFFF_FFFF),
    ]
    for (size, expected) in sizes {
      let after = try afterExit(
        ScriptedProcessor.step(
          .ioInstruction, qualification: IOQualification(port: 0x80, size: size, isIn: true).rawValue
        ) { $1.registers.pointee.rax = 0x1122_3344_5566_7788 })
      #expect(after.registers.rax == expected)
    }
  }

  @Test func outsSendsAStringFromMemory() throws {
    let serial = SerialOutput()
    let text = "from memory"
    let io = IOQualification(port: 0x3F8, size: 1, isIn: false, isString: true, isREP: true)
    let after = try afterExit(
      serial: serial,
      ScriptedProcessor.step(
        .ioInstruction, qualification: io.rawValue, information: .string(addressSize: 8, segment: .ds)
      ) { vmcs, processor in
        let address: UInt64 = 0x20_0FFA
        for (index, byte) in text.utf8.enumerated() {
          NestedScript.ram(processor).storeBytes(of: byte, toByteOffset: Int(address) + index, as: UInt8.self)
        }
        processor.registers.pointee.rsi = address
        processor.registers.pointee.rcx = UInt64(text.utf8.count)
        vmcs[.guestLinearAddress] = address
      })
    #expect(serial.text == text)
    #expect(after.registers.rcx == 0)
    #expect(after.registers.rsi == 0x20_0FFA + UInt64(text.utf8.count))
    #expect(after.rip == TestImage.entry + 2)
  }

  @Test func insStopsAtAPageFaultWithTheRegistersOfTheFaultingElement() throws {
    let io = IOQualification(port: 0x80, size: 4, isIn: true, isString: true, isREP: true)
    let after = try afterExit(
      ScriptedProcessor.step(
        .ioInstruction, qualification: io.rawValue, information: .string(addressSize: 8, segment: .es)
      ) { vmcs, processor in
        // The boot page tables end at 4 GByte.
        let address: UInt64 = 0xFFFF_FFF8
        processor.registers.pointee.rdi = address
        processor.registers.pointee.rcx = 5
        vmcs[.guestLinearAddress] = address
      })
    #expect(after.exception == .pageFault)
    #expect(after.errorCode == 2)
    #expect(after.registers.cr2 == 0x1_0000_0000)
    #expect(after.registers.rcx == 3)
    #expect(after.registers.rdi == 0x1_0000_0000)
    #expect(after.rip == TestImage.entry)
  }

  @Test func aLongStringTakesSeveralExits() throws {
    let io = IOQualification(port: 0x80, size: 1, isIn: false, isString: true, isREP: true)
    let after = try afterExit(
      ScriptedProcessor.step(
        .ioInstruction, qualification: io.rawValue, information: .string(addressSize: 8, segment: .ds)
      ) { vmcs, processor in
        processor.registers.pointee.rcx = 10_000
        processor.registers.pointee.rsi = 0x20_0000
        vmcs[.guestLinearAddress] = 0x20_0000
      })
    #expect(after.registers.rcx == 10_000 - 4096)
    #expect(after.rip == TestImage.entry)
  }
}

@Suite struct StringTrapTests {
  private func afterOUTS(_ count: UInt64, _ prepare: @escaping (VMCS, ScriptedProcessor) -> Void) throws
    -> AfterExit
  {
    let io = IOQualification(port: 0x80, size: 1, isIn: false, isString: true, isREP: true)
    return try afterExit(
      ScriptedProcessor.step(
        .ioInstruction, qualification: io.rawValue, information: .string(addressSize: 8, segment: .ds)
      ) { vmcs, processor in
        processor.registers.pointee.rcx = count
        processor.registers.pointee.rsi = 0x20_0000
        vmcs[.guestLinearAddress] = 0x20_0000
        prepare(vmcs, processor)
      })
  }

  @Test func aSingleStepComesAfterEachElement() throws {
    let step: (VMCS, ScriptedProcessor) -> Void = { vmcs, _ in vmcs[.guestRFLAGS] |= RFLAGS.tf.rawValue }
    let first = try afterOUTS(3, step)
    #expect(first.registers.rcx == 2)
    #expect(first.rip == TestImage.entry)
    #expect(first.pending == DebugExceptionQualification.bs.rawValue)
    #expect(first.rflags & RFLAGS.rf.rawValue != 0, "the instruction's own breakpoint is over")
    let last = try afterOUTS(1, step)
    #expect(last.rip == TestImage.entry + 2)
    #expect(last.pending == DebugExceptionQualification.bs.rawValue)
    #expect(last.rflags & RFLAGS.rf.rawValue == 0)
  }

  @Test func aPortBreakpointTrapsAfterTheElementThatMeetsIt() throws {
    for (address, remaining) in [(UInt64(0x80), UInt64(2)), (0x81, 0)] {
      let after = try afterOUTS(3) { vmcs, processor in
        processor.registers.pointee.dr1 = address
        vmcs[.guestDR7] = 0x400 | 1 << 2 | 2 << 20
        vmcs[.guestCR4] |= CR4.de.rawValue
        vmcs[.cr4ReadShadow] |= CR4.de.rawValue
      }
      #expect(after.registers.rcx == remaining)
      let met: DebugExceptionQualification = address == 0x80 ? [.b1, .enabledBreakpoint] : []
      #expect(after.pending == met.rawValue)
    }
  }
}

@Suite struct ModelSpecificRegisterTests {
  @Test func anUnknownMSRIsAGeneralProtectionFault() throws {
    for step in [rdmsr(0xDEAD), wrmsr(0xDEAD, 0), wrmsr(0x480, 0), wrmsr(0x3A, 5)] {
      let after = try afterExit(step)
      #expect(after.exception == .generalProtection)
      #expect(after.event.hasErrorCode)
      #expect(after.rip == TestImage.entry)
    }
  }

  /// The x2APIC's EOI and SELF IPI registers can be written only.
  @Test func x2APICRegistersThatCannotBeReadAreWritten() throws {
    let enabled: UInt64 = 0xFEE0_0D00
    let machine = try scriptedMachine([wrmsr(0x1B, enabled), wrmsr(0x80B, 0), rdmsr(0x80B)])
    var exceptions: [ExceptionVector?] = []
    machine.processor.onEntry = { vmcs in
      let event = vmcs.entryInterruptionInformation
      exceptions.append(event.isValid ? ExceptionVector(rawValue: event.vector) : nil)
    }
    _ = machine.run()
    #expect(Array(exceptions.prefix(4)) == [nil, nil, nil, .generalProtection])
  }

  /// SDM volume 4, IA32_MISC_ENABLE: what is read-only stays, what is reserved is #GP(0).
  @Test func miscEnableKeepsWhatCanBeWritten() throws {
    let machine = try scriptedMachine([wrmsr(0x1A0, 0x4_00C5_0009), rdmsr(0x1A0), wrmsr(0x1A0, 2)])
    var registers = RegisterFile()
    var exceptions = 0
    machine.processor.onEntry = { [unowned machine] vmcs in
      if machine.processor.entries == 2 { registers = machine.processor.registers.pointee }
      if vmcs.entryInterruptionInformation.isValid { exceptions += 1 }
    }
    _ = machine.run()
    #expect(registers.rdx << 32 | registers.rax == 0x4_00C5_1809)
    #expect(exceptions == 1)
  }

  /// Without MONITOR's enabling MONITOR and MWAIT are undefined; with XD disabled EFER.NXE is reserved.
  @Test func miscEnableTakesInstructionsAway() throws {
    for step in [ScriptedProcessor.step(.monitor), ScriptedProcessor.step(.mwait)] {
      let machine = try scriptedMachine([wrmsr(0x1A0, 1), step])
      var exception: ExceptionVector?
      machine.processor.onEntry = { vmcs in
        let event = vmcs.entryInterruptionInformation
        if event.isValid { exception = ExceptionVector(rawValue: event.vector) }
      }
      _ = machine.run()
      #expect(exception == .invalidOpcode)
    }
    let machine = try scriptedMachine([
      wrmsr(0x1A0, 1 << 34), wrmsr(0xC000_0080, EFER([.lme, .nxe]).rawValue),
    ])
    var exceptions = 0
    machine.processor.onEntry = { if $0.entryInterruptionInformation.isValid { exceptions += 1 } }
    _ = machine.run()
    #expect(exceptions == 1)
  }

  @Test func vmxIsEnabledAndLocked() throws {
    #expect(try afterExit(rdmsr(0x3A)).registers.rax == 5)
    let basic = try afterExit(rdmsr(0x480)).registers
    #expect(basic.rax & 0x8000_0000 == 0 && basic.rdx & 0x1FFF == 4096)
  }

  /// SDM volume 3, "IA32_PAT MSR" and "Extended Feature Enable Register".
  @Test func illegalValuesAreRefused() throws {
    let refused: [(UInt32, UInt64)] = [
      (0x277, 2), (0x277, 0x0300_0000_0000_0000), (0xC000_0080, 1 << 1), (0xC000_0080, 0),
      (0xC000_0082, 0x8000_0000_0000_0000), (0x174, 1 << 32), (0x176, 1 << 47),
    ]
    for (index, value) in refused {
      #expect(try afterExit(wrmsr(index, value)).exception == .generalProtection, "\(index) \(value)")
    }
  }

  @Test func legalValuesAreTaken() throws {
    let after = try afterExit(wrmsr(0xC000_0080, EFER([.lme, .nxe, .sce]).rawValue))
    #expect(after.exception == nil)
    #expect(after.efer == EFER([.lme, .lma, .nxe, .sce]).rawValue)
    #expect(try afterExit(wrmsr(0xC000_0082, 0xFFFF_8000_0000_0000)).exception == nil)
  }
}

@Suite struct ControlRegisterTests {
  @Test func theGuestSeesItsOwnBitsAndTheProcessorTheFixedOnes() throws {
    let vmxe = try afterExit(movToCR(4, CR4([.pae, .vmxe, .pge]).rawValue))
    #expect(vmxe.cr4Shadow == CR4([.pae, .vmxe, .pge]).rawValue)
    let cleared = try afterExit(movToCR(4, CR4([.pae]).rawValue))
    #expect(cleared.cr4 & CR4.vmxe.rawValue != 0)
    #expect(cleared.cr4Shadow & CR4.vmxe.rawValue == 0)
    let caching = try afterExit(movToCR(0, CR0([.pe, .pg, .cd, .nw]).rawValue))
    #expect(caching.cr0 & CR0([.cd, .nw]).rawValue == 0)
    #expect(caching.cr0Shadow & CR0([.cd, .nw]).rawValue == CR0([.cd, .nw]).rawValue)
    #expect(caching.cr0 & CR0.ne.rawValue != 0)
  }

  /// SDM volume 2, "MOV—Move to/from Control Registers": the #GP(0) conditions.
  @Test func illegalWritesAreRefused() throws {
    let refused: [(UInt8, UInt64)] = [
      (0, CR0([.pg]).rawValue), (0, CR0([.pe, .pg, .nw]).rawValue), (0, 1 << 32 | 0x8000_0001),
      (4, CR4.vmxe.rawValue), (4, CR4([.pae, .smxe, .vmxe]).rawValue), (4, 1 << 63 | CR4.pae.rawValue),
      (0, CR0([.pe, .ne]).rawValue),
    ]
    for (number, value) in refused {
      let after = try afterExit(movToCR(number, value))
      #expect(after.exception == .generalProtection, "CR\(number) = \(value)")
      #expect(after.rip == TestImage.entry)
    }
  }

  @Test func enablingPagingEntersIA32eMode() throws {
    let after = try afterExit(
      by: .pvh,
      movToCR(0, CR0([.pe, .pg, .ne]).rawValue) { vmcs in
        vmcs[.guestEFER] = EFER.lme.rawValue
        vmcs[.guestCR4] |= CR4.pae.rawValue
      })
    #expect(after.exception == nil)
    #expect(after.ia32e)
    #expect(after.efer == EFER([.lme, .lma]).rawValue)
  }

  @Test func enablingPagingWithoutPAEInIA32eModeIsRefused() throws {
    let after = try afterExit(
      by: .pvh, movToCR(0, CR0([.pe, .pg, .ne]).rawValue) { $0[.guestEFER] = EFER.lme.rawValue })
    #expect(after.exception == .generalProtection)
    #expect(!after.ia32e)
  }
}
