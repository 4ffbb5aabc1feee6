import Hypervisor
import Processor
import Testing
import VMX
import X86

/// Instructions that access devices and that L0 leaves to the processor.
@Suite struct DeviceStepTests {
  /// QEMU's test device, whose memory keeps what is written.
  private static let device: UInt64 = 0xFF00_0000

  /// The bytes that vmcs01's EPT maps at L1-physical `address`, or nil if it maps none.
  private static func mapped(
    _ address: UInt64, _ vmcs: VMCS, _ processor: ScriptedProcessor
  ) -> (bytes: UnsafeMutableRawPointer, entry: UInt64)? {
    var table = vmcs[.eptPointer] & ~0xFFF
    var entry: UInt64 = 0
    for level in stride(from: UInt64(3), through: 0, by: -1) {
      let slot = table + (address >> (12 + 9 * level) & 511) * 8
      entry = processor.memory.load(PhysicalAddress<L0>(slot), as: UInt64.self) ?? 0
      guard entry & 7 != 0 else { return nil }
      table = entry & 0x000F_FFFF_FFFF_F000
    }
    return (processor.memory.base + Int(table | address & 0xFFF), entry)
  }

  /// `code` at RIP accesses the device at `address`.
  private static func access(
    _ code: [UInt8], _ address: UInt64, isWrite: Bool,
    _ prepare: @escaping (VMCS, ScriptedProcessor) -> Void = { _, _ in }
  ) -> ScriptedProcessor.Step {
    let qualification: EPTViolationQualification = [
      isWrite ? .write : .read, .linearAddressValid, .finalTranslation,
    ]
    return ScriptedProcessor.step(.eptViolation, length: 0, qualification: qualification.rawValue) {
      vmcs, processor in
      let place = NestedScript.ram(processor) + Int(vmcs[.guestRIP])
      for (index, byte) in code.enumerated() {
        place.storeBytes(of: byte, toByteOffset: index, as: UInt8.self)
      }
      processor.registers.pointee.rbx = address
      vmcs[.guestLinearAddress] = address
      vmcs[.guestPhysicalAddress] = address
      prepare(vmcs, processor)
    }
  }

  private static let storeVector: [UInt8] = [0x0F, 0x11, 0x03]  // movups [rbx], xmm0
  private static let loadVector: [UInt8] = [0x0F, 0x10, 0x03]  // movups xmm0, [rbx]

  @Test func aStoreReachesTheDeviceAndALoadSeesIt() throws {
    var seen: [UInt64] = []
    var entryOfLoad: UInt64 = 0
    var wasSteppedWith: (Bool, UInt64) = (false, 0)
    var after: (Bool, UInt64, Bool) = (true, 0, true)
    let machine = try scriptedMachine([
      Self.access(Self.storeVector, Self.device + 8, isWrite: true),
      ScriptedProcessor.step(.monitorTrapFlag) { vmcs, processor in
        wasSteppedWith = (
          vmcs.primaryProcessorBasedControls.contains(.monitorTrapFlag), vmcs[.exceptionBitmap]
        )
        guard let window = Self.mapped(Self.device + 8, vmcs, processor) else { return }
        window.bytes.storeBytes(of: 0x1122_3344_5566_7788, as: UInt64.self)
        window.bytes.storeBytes(of: 0x99AA_BBCC_DDEE_FF00, toByteOffset: 8, as: UInt64.self)
      },
      Self.access(Self.loadVector, Self.device + 8, isWrite: false) { vmcs, processor in
        after = (
          vmcs.primaryProcessorBasedControls.contains(.monitorTrapFlag), vmcs[.exceptionBitmap],
          Self.mapped(Self.device, vmcs, processor) != nil
        )
      },
      ScriptedProcessor.step(.monitorTrapFlag) { vmcs, processor in
        guard let window = Self.mapped(Self.device + 8, vmcs, processor) else { return }
        entryOfLoad = window.entry
        seen = [
          window.bytes.load(as: UInt64.self), window.bytes.load(fromByteOffset: 8, as: UInt64.self),
          window.bytes.load(fromByteOffset: 16, as: UInt64.self),
        ]
      },
      ScriptedProcessor.debugExit(0),
    ])
    #expect(machine.run().outcome.isSuccess)
    #expect(wasSteppedWith == (true, 0xFFFF_FFFF))
    #expect(after.0 == false && after.1 == 1 << 16 && after.2 == false)
    #expect(seen == [0x1122_3344_5566_7788, 0x99AA_BBCC_DDEE_FF00, 0])
    #expect(entryOfLoad & 7 == 1, "read only")
  }

  /// What faults has not happened: the device is not written, and L1 gets the exception.
  @Test func aFaultWritesNothing() throws {
    var exception: ExceptionVector?
    var rax: UInt64 = 1
    let machine = try scriptedMachine([
      Self.access(Self.storeVector, Self.device + 8, isWrite: true),
      { vmcs, processor in
        Self.mapped(Self.device + 8, vmcs, processor)?.bytes.storeBytes(of: 5, as: UInt64.self)
        let outcome = ScriptedProcessor.exit(vmcs, .exceptionOrNMI)
        vmcs[.exitInterruptionInformation] = UInt64(
          InterruptionInformation(.generalProtection, hasErrorCode: true).rawValue)
        return outcome
      },
      Self.access([0x48, 0x8B, 0x03], Self.device + 8, isWrite: false),  // mov rax, [rbx], which L0 emulates
      { vmcs, processor in
        rax = processor.registers.pointee.rax
        return ScriptedProcessor.debugExit(0)(vmcs, processor)
      },
    ])
    machine.processor.onEntry = { vmcs in
      let event = vmcs.entryInterruptionInformation
      if event.isValid { exception = ExceptionVector(rawValue: event.vector) }
    }
    #expect(machine.run().outcome.isSuccess)
    #expect(exception == .generalProtection)
    #expect(rax == 0)
  }

  /// An operand across two pages of the device has a window for each, and its bytes are in their places.
  @Test func anOperandAcrossPagesHasTwoWindows() throws {
    var seen: [UInt64] = []
    let place = Self.device + 0xFF8
    let second: ScriptedProcessor.Step = Self.access(Self.storeVector, place, isWrite: true) { vmcs, _ in
      vmcs[.guestLinearAddress] = place + 8
      vmcs[.guestPhysicalAddress] = place + 8
    }
    func load(_ address: UInt64) -> [ScriptedProcessor.Step] {
      [
        Self.access([0x48, 0x8B, 0x03], address, isWrite: false),
        ScriptedProcessor.step(.cpuid) { seen.append($1.registers.pointee.rax) },
      ]
    }
    let store: [ScriptedProcessor.Step] = [
      Self.access(Self.storeVector, place, isWrite: true), second,
      ScriptedProcessor.step(.monitorTrapFlag) { vmcs, processor in
        Self.mapped(place, vmcs, processor)?.bytes.storeBytes(of: 0xA1, as: UInt64.self)
        Self.mapped(place + 8, vmcs, processor)?.bytes.storeBytes(of: 0xA2, as: UInt64.self)
      },
    ]
    let machine = try scriptedMachine(
      store + load(place) + load(place + 8) + [ScriptedProcessor.debugExit(0)])
    #expect(machine.run().outcome.isSuccess)
    #expect(seen == [0xA1, 0xA2])
  }

  /// What accesses but some of its operand, or more than one, ends the run with a sentence.
  @Test func whatCannotBeFollowedEndsTheRun() throws {
    // fxsave [rbx]
    let machine = try scriptedMachine([Self.access([0x0F, 0xAE, 0x03], Self.device, isWrite: true)])
    let outcome = machine.run().outcome
    #expect(!outcome.isSuccess)
    #expect(outcome.description.contains("fxsave"))
  }

  /// SDM volume 2, "JMP—Jump": to an address that is not canonical it faults, wherever that comes from.
  @Test func aJumpThroughADeviceIsChecked() throws {
    var exception: ExceptionVector?
    let store: [UInt8] = [0x48, 0x89, 0x03]  // mov [rbx], rax
    let machine = try scriptedMachine([
      Self.access(store, Self.device, isWrite: true) { $1.registers.pointee.rax = 0xAAAA_AAAA_AAAA_AAAA },
      Self.access([0xFF, 0x23], Self.device, isWrite: false),  // jmp [rbx]
      ScriptedProcessor.debugExit(0),
    ])
    machine.processor.onEntry = { vmcs in
      let event = vmcs.entryInterruptionInformation
      if event.isValid { exception = ExceptionVector(rawValue: event.vector) }
    }
    #expect(machine.run().outcome.isSuccess)
    #expect(exception == .generalProtection)
  }
}
