import Hypervisor
import Processor
import Testing
import Trace
import VMX
import X86

/// An L1 in 32-bit protected mode without paging, that switches from one task to another.
private struct TaskScene {
  enum Place {
    static let gdt = 0x20_0000
    static let oldTSS = 0x20_1000
    static let newTSS = 0x20_2000
    static let ldt = 0x20_3000
    static let stack: UInt32 = 0x20_8000
    static let code: UInt32 = 0x21_0000
  }

  /// Selectors of the GDT, and of the LDT of the new task.
  enum Selector {
    static let code: UInt16 = 0x08
    static let data: UInt16 = 0x10
    static let userCode: UInt16 = 0x18
    static let userData: UInt16 = 0x20
    static let conforming: UInt16 = 0x28
    static let readOnly: UInt16 = 0x30
    static let executeOnly: UInt16 = 0x38
    static let absentCode: UInt16 = 0x40
    static let absentData: UInt16 = 0x48
    static let old: UInt16 = 0x50
    static let new: UInt16 = 0x58
    static let ldt: UInt16 = 0x60
    static let absentLDT: UInt16 = 0x68
    static let limit: UInt64 = 0x6F
  }

  let ram: UnsafeMutableRawPointer
  let vmcs: VMCS
  let registers: UnsafeMutablePointer<RegisterFile>

  init(_ vmcs: VMCS, _ processor: ScriptedProcessor) {
    ram = NestedScript.ram(processor)
    self.vmcs = vmcs
    registers = processor.registers
    let descriptors: [(UInt16, UInt64)] = [
      (Selector.code, 0x00CF_9A00_0000_FFFF), (Selector.data, 0x00CF_9200_0000_FFFF),
      (Selector.userCode, 0x00CF_FA00_0000_FFFF), (Selector.userData, 0x00CF_F200_0000_FFFF),
      (Selector.conforming, 0x00CF_9E00_0000_FFFF), (Selector.readOnly, 0x00CF_9000_0000_FFFF),
      (Selector.executeOnly, 0x00CF_9800_0000_FFFF), (Selector.absentCode, 0x00CF_1A00_0000_FFFF),
      (Selector.absentData, 0x00CF_1200_0000_FFFF), (Selector.old, Self.task(Place.oldTSS, type: 0xB)),
      (Selector.new, Self.task(Place.newTSS, type: 0x9)),
      (Selector.ldt, 0x0000_8200_0000_00FF | UInt64(Place.ldt & 0xFF_FFFF) << 16),
      (Selector.absentLDT, 0x0000_0200_0000_00FF | UInt64(Place.ldt & 0xFF_FFFF) << 16),
    ]
    for (selector, value) in descriptors { descriptor(selector, value) }
    vmcs[.guestGDTRBase] = UInt64(Place.gdt)
    vmcs[.guestGDTRLimit] = Selector.limit
    vmcs[.guestTRSelector] = UInt64(Selector.old)
    vmcs[.guestTRBase] = UInt64(Place.oldTSS)
    vmcs[.guestTRLimit] = 0x67
    vmcs[.guestTRAccessRights] = 0x8B
    vmcs[.guestRFLAGS] = 0x246
    vmcs[.guestRSP] = 0x1234_5678
    vmcs[.guestDR7] = 0x7FF
    vmcs[.guestESSelector] = 0x1B
    writeNewTask()
  }

  static func task(_ base: Int, type: UInt64, limit: UInt64 = 0x67, rights: UInt64 = 0x80) -> UInt64 {
    limit | UInt64(base & 0xFF_FFFF) << 16 | (type | rights) << 40
  }

  private func writeNewTask() {
    store(Place.code, at: Place.newTSS + 0x20)
    store(0x202, at: Place.newTSS + 0x24)
    for number in 0..<8 { store(0xA000_0000 + UInt32(number), at: Place.newTSS + 0x28 + number * 4) }
    store(Place.stack, at: Place.newTSS + 0x38)
    for (position, selector) in [
      Selector.data, Selector.code, Selector.data, Selector.data, Selector.data, 0, Selector.ldt,
    ].enumerated() {
      store(UInt32(selector), at: Place.newTSS + 0x48 + position * 4)
    }
  }

  /// Where the 32-bit TSS of the new task has its selectors.
  static let field: [GuestSegment: Int] = [
    .es: 0x48, .cs: 0x4C, .ss: 0x50, .ds: 0x54, .fs: 0x58, .gs: 0x5C, .ldtr: 0x60,
  ]

  func select(_ segment: GuestSegment, _ selector: UInt16) {
    store(UInt32(selector), at: Place.newTSS + (Self.field[segment] ?? 0))
  }

  func descriptor(_ selector: UInt16, _ value: UInt64) {
    ram.storeBytes(of: value, toByteOffset: Place.gdt + Int(selector & ~7), as: UInt64.self)
  }

  func store(_ value: UInt32, at offset: Int) {
    ram.storeBytes(of: value, toByteOffset: offset, as: UInt32.self)
  }
}

/// What is left of the scene when L1 goes on.
private struct TaskOutcome {
  var fields: [VMCSField: UInt64] = [:]
  var registers = RegisterFile()
  var old: [UInt32] = []
  var link: UInt32 = 0
  var stackTop: [UInt32] = []
  var descriptors: [UInt16: UInt64] = [:]
  var event = InterruptionInformation.none
  var errorCode: UInt64 = 0
  var outcome: RunOutcome?

  subscript(field: VMCSField) -> UInt64 { fields[field] ?? 0xDEAD }

  /// Whether a task of `selector` is marked busy.
  func isBusy(_ selector: UInt16) -> Bool { (descriptors[selector] ?? 0) >> 41 & 1 != 0 }

  static let looked: [VMCSField] = [
    .guestRIP, .guestRFLAGS, .guestRSP, .guestCR0, .cr0ReadShadow, .guestCR3, .guestDR7, .guestTRSelector,
    .guestTRBase, .guestTRLimit, .guestTRAccessRights, .guestCSSelector, .guestCSAccessRights, .guestCSLimit,
    .guestCSBase, .guestSSSelector, .guestSSAccessRights, .guestDSSelector, .guestDSAccessRights,
    .guestGSAccessRights, .guestLDTRSelector, .guestLDTRBase, .guestLDTRAccessRights,
    .guestInterruptibilityState,
  ]
}

/// Plays the task switch of `source` to `target` in the scene that `prepare` changes.
private func afterTaskSwitch(
  _ source: TaskSwitchQualification.Source, to target: UInt16 = TaskScene.Selector.new,
  delivering event: InterruptionInformation = .none, _ prepare: @escaping (TaskScene) -> Void = { _ in }
) throws -> TaskOutcome {
  var after = TaskOutcome()
  var hasFinished = false
  let attempt: ScriptedProcessor.Step = { vmcs, processor in
    let scene = TaskScene(vmcs, processor)
    prepare(scene)
    let selector = SegmentSelector(rawValue: target)
    let exit = ScriptedProcessor.exit(
      vmcs, .taskSwitch, length: 7,
      qualification: TaskSwitchQualification(source, selector: selector).rawValue)
    vmcs.idtVectoringInformation = event
    vmcs[.idtVectoringErrorCode] = 0x1234
    return exit
  }
  let look: ScriptedProcessor.Step = { vmcs, processor in
    hasFinished = true
    for field in TaskOutcome.looked { after.fields[field] = vmcs[field] }
    after.registers = processor.registers.pointee
    let ram = NestedScript.ram(processor)
    func load(_ offset: Int) -> UInt32 { ram.load(fromByteOffset: offset, as: UInt32.self) }
    after.old = (0..<26).map { load(TaskScene.Place.oldTSS + $0 * 4) }
    after.link = load(TaskScene.Place.newTSS)
    after.stackTop = [load(Int(TaskScene.Place.stack) - 4), load(Int(TaskScene.Place.stack) - 8)]
    for selector in stride(from: UInt16(8), to: 0x70, by: 8) {
      after.descriptors[selector] =
        ram.load(fromByteOffset: TaskScene.Place.gdt + Int(selector), as: UInt64.self)
    }
    return ScriptedProcessor.debugExit(0)(vmcs, processor)
  }
  let machine = try scriptedMachine([attempt, look]) {
    $0.bootProtocol = .pvh
    $0.image = TestImage(pvh: true).image
  }
  machine.processor.onEntry = { vmcs in
    guard !hasFinished, vmcs.entryInterruptionInformation.isValid else { return }
    after.event = vmcs.entryInterruptionInformation
    after.errorCode = vmcs[.entryExceptionErrorCode]
  }
  after.outcome = machine.run().outcome
  return after
}

private typealias Place = TaskScene.Place
private typealias Selector = TaskScene.Selector

@Suite struct TaskSwitchTests {
  @Test func aCallSavesTheOldTaskAndNestsTheNewOne() throws {
    let after = try afterTaskSwitch(.call) { $0.registers.pointee.rax = 0xFFFF_FFFF_8765_4321 }
    #expect(after.event == .none)
    #expect(after.old[8] == TestImage.pvhEntry + 7, "behind the CALL")
    #expect(after.old[9] == 0x246)
    #expect(after.old[10] == 0x8765_4321, "EAX")
    #expect(after.old[14] == 0x1234_5678, "ESP")
    #expect(after.old[18] == 0x1B, "ES")
    #expect(after.link == UInt32(Selector.old))
    #expect(after.isBusy(Selector.old) && after.isBusy(Selector.new))
    #expect(after[.guestRFLAGS] == 0x4202, "NT")
    #expect(after[.guestRIP] == UInt64(Place.code))
    #expect(after[.guestRSP] == UInt64(Place.stack))
    #expect(after.registers.rax == 0xA000_0000)
    #expect(after.registers.rdi == 0xA000_0007)
    #expect(after[.guestTRSelector] == UInt64(Selector.new))
    #expect(after[.guestTRBase] == UInt64(Place.newTSS))
    #expect(after[.guestTRLimit] == 0x67)
    #expect(after[.guestTRAccessRights] == 0x8B)
    #expect(after[.guestLDTRSelector] == UInt64(Selector.ldt))
    #expect(after[.guestLDTRBase] == UInt64(Place.ldt))
    #expect(after[.guestLDTRAccessRights] == 0x82)
    #expect(after[.guestCSAccessRights] == 0xC09B, "accessed")
    #expect((after.descriptors[Selector.code] ?? 0) >> 40 & 1 == 1, "in the table too")
    #expect(after[.guestSSAccessRights] == 0xC093)
    #expect(after[.guestGSAccessRights] & 1 << 16 != 0, "a null selector")
    #expect(after[.guestCR0] & CR0.ts.rawValue != 0)
    #expect(after[.cr0ReadShadow] & CR0.ts.rawValue != 0)
    #expect(after[.guestDR7] == 0x7FF & ~0x155, "local breakpoints are of a task")
  }

  @Test func aJumpEndsTheOldTask() throws {
    let after = try afterTaskSwitch(.jmp)
    #expect(after.event == .none)
    #expect(!after.isBusy(Selector.old) && after.isBusy(Selector.new))
    #expect(after[.guestRFLAGS] == 0x202)
    #expect(after.link == 0)
  }

  @Test func aReturnClearsNTInTheOldTask() throws {
    let after = try afterTaskSwitch(.iret) {
      $0.descriptor(Selector.new, TaskScene.task(Place.newTSS, type: 0xB))
      $0.vmcs[.guestRFLAGS] |= RFLAGS.nt.rawValue
      $0.vmcs.interruptibilityState = [.blockingByNMI]
    }
    #expect(after.event == .none)
    #expect(after.old[9] == 0x246)
    #expect(!after.isBusy(Selector.old) && after.isBusy(Selector.new))
    #expect(after[.guestInterruptibilityState] == 0, "IRET ends the blocking by NMI")
  }

  @Test func anEventKeepsTheInstructionPointerAndPushesItsErrorCode() throws {
    let fault = InterruptionInformation(.generalProtection, hasErrorCode: true)
    let after = try afterTaskSwitch(.taskGate, delivering: fault)
    #expect(after.event == .none, "the event is delivered by the switch")
    #expect(after.old[8] == TestImage.pvhEntry)
    #expect(after.stackTop[0] == 0x1234)
    #expect(after[.guestRSP] == UInt64(Place.stack) - 4)
    let software = InterruptionInformation(vector: 0x22, kind: .softwareInterrupt)
    let behind = try afterTaskSwitch(.taskGate, delivering: software)
    #expect(behind.old[8] == TestImage.pvhEntry + 7)
    #expect(behind[.guestRSP] == UInt64(Place.stack))
    #expect(behind[.guestRFLAGS] == 0x4202)
  }

  @Test func aSixteenBitTaskHasNoCR3AndFourSegments() throws {
    let after = try afterTaskSwitch(.jmp) { scene in
      scene.descriptor(Selector.new, TaskScene.task(Place.newTSS, type: 1, limit: 0x2B))
      for (offset, value) in [
        (0x0E, UInt16(0x1234)), (0x10, 0x202), (0x12, 0xAAAA), (0x1A, 0x8000), (0x20, 0xBBBB),
        (0x22, Selector.data),
        (0x24, Selector.code), (0x26, Selector.data), (0x28, Selector.data), (0x2A, Selector.ldt),
      ] {
        scene.ram.storeBytes(of: value, toByteOffset: Place.newTSS + offset, as: UInt16.self)
      }
    }
    #expect(after.event == .none)
    #expect(after[.guestRIP] == 0x1234)
    #expect(after.registers.rax == 0xAAAA && after.registers.rdi == 0xBBBB)
    #expect(after[.guestRSP] == 0x8000)
    #expect(after[.guestTRAccessRights] == 0x83)
    #expect(after[.guestCSSelector] == UInt64(Selector.code))
    #expect(after[.guestGSAccessRights] & 1 << 16 != 0)
  }

  @Test func anOldSixteenBitTaskIsSavedInItsOwnForm() throws {
    let after = try afterTaskSwitch(.call) {
      $0.vmcs[.guestTRAccessRights] = 0x83
      $0.vmcs[.guestTRLimit] = 0x2B
      $0.registers.pointee.rax = 0x5555_6666
    }
    #expect(after.event == .none)
    #expect(after.old[3] >> 16 == (TestImage.pvhEntry + 7) & 0xFFFF)
    #expect(after.old[4] & 0xFFFF == 0x246)
    #expect(after.old[4] >> 16 == 0x6666)
    #expect(after.old[11] == 0, "and nothing behind it")
  }

  @Test func aVirtual8086TaskHasSegmentsOfRealMode() throws {
    let after = try afterTaskSwitch(.jmp) {
      $0.store(0x2_0202, at: Place.newTSS + 0x24)
      $0.store(0x100, at: Place.newTSS + 0x20)
      $0.select(.cs, 0xF000)
    }
    #expect(after.event == .none)
    #expect(after[.guestCSBase] == 0xF_0000)
    #expect(after[.guestCSLimit] == 0xFFFF)
    #expect(after[.guestCSAccessRights] == 0xF3)
    #expect(after[.guestSSAccessRights] == 0xF3)
  }

  @Test func theDebugTrapFlagTrapsInTheNewTask() throws {
    let after = try afterTaskSwitch(.jmp) { $0.store(1, at: Place.newTSS + 0x64) }
    #expect(after.event == InterruptionInformation(.debug, hasErrorCode: false))
    #expect(after.registers.dr6 & DR6.bt.rawValue != 0)
    #expect(after[.guestRIP] == UInt64(Place.code))
  }

  @Test func faultsOfTheTSSLeaveTheOldTaskAsItWas() throws {
    let new = UInt64(Selector.new)
    let cases: [(TaskSwitchQualification.Source, UInt16, ExceptionVector, UInt64, (TaskScene) -> Void)] = [
      (.call, 0x70, .generalProtection, 0x70, { _ in }),
      (.iret, 0x70, .invalidTSS, 0x70, { _ in }),
      (.call, 0x5C, .generalProtection, 0x5C, { _ in }),
      (.call, Selector.data, .generalProtection, 0x10, { _ in }),
      (.call, Selector.old, .generalProtection, 0x50, { _ in }),
      (.iret, Selector.new, .invalidTSS, new, { _ in }),
      (
        .jmp, Selector.new, .segmentNotPresent, new,
        { $0.descriptor(Selector.new, TaskScene.task(Place.newTSS, type: 9, rights: 0)) }
      ),
      (
        .jmp, Selector.new, .invalidTSS, new,
        { $0.descriptor(Selector.new, TaskScene.task(Place.newTSS, type: 9, limit: 0x66)) }
      ),
      (
        .jmp, Selector.new, .invalidTSS, new,
        { $0.descriptor(Selector.new, TaskScene.task(Place.newTSS, type: 1, limit: 0x2A)) }
      ),
      (.jmp, Selector.new, .invalidTSS, UInt64(Selector.old), { $0.vmcs[.guestTRLimit] = 0x66 }),
    ]
    for (source, selector, vector, code, prepare) in cases {
      let after = try afterTaskSwitch(source, to: selector, prepare)
      #expect(after.event == InterruptionInformation(vector, hasErrorCode: true), "\(source) \(selector)")
      #expect(after.errorCode == code, "\(source) \(selector)")
      #expect(after[.guestRIP] == UInt64(TestImage.pvhEntry))
      #expect(after[.guestTRSelector] == UInt64(Selector.old))
      #expect(after.old[8] == 0, "nothing was saved")
      #expect(after[.guestCR0] & CR0.ts.rawValue == 0)
    }
  }

  /// Each check of the new task's segments: what is selected, and the exception with its error code.
  @Test func faultsOfTheSegmentsAreOfTheNewTask() throws {
    let cases: [(GuestSegment, UInt16, ExceptionVector, UInt64)] = [
      (.ldtr, 0x70, .invalidTSS, 0x70), (.ldtr, Selector.data, .invalidTSS, 0x10),
      (.ldtr, Selector.ldt | 4, .invalidTSS, 0x64), (.ldtr, Selector.absentLDT, .invalidTSS, 0x68),
      (.cs, 0, .invalidTSS, 0), (.cs, 0x70, .invalidTSS, 0x70), (.cs, Selector.data, .invalidTSS, 0x10),
      (.cs, Selector.userCode, .invalidTSS, 0x18), (.cs, Selector.absentCode, .segmentNotPresent, 0x40),
      (.ss, 0, .invalidTSS, 0), (.ss, 0x70, .invalidTSS, 0x70), (.ss, Selector.readOnly, .invalidTSS, 0x30),
      (.ss, Selector.absentData, .stackSegmentFault, 0x48), (.ss, Selector.userData | 3, .invalidTSS, 0x20),
      (.ss, Selector.data | 1, .invalidTSS, 0x10), (.ds, 0x70, .invalidTSS, 0x70),
      (.ds, Selector.ldt, .invalidTSS, 0x60), (.ds, Selector.executeOnly, .invalidTSS, 0x38),
      (.es, Selector.absentData, .segmentNotPresent, 0x48), (.fs, 0x74, .invalidTSS, 0x74),
    ]
    for (segment, selector, vector, code) in cases {
      let after = try afterTaskSwitch(.call) { $0.select(segment, selector) }
      #expect(after.event == InterruptionInformation(vector, hasErrorCode: true), "\(segment) \(selector)")
      #expect(after.errorCode == code, "\(segment) \(selector)")
      #expect(after[.guestRIP] == UInt64(Place.code), "the switch is complete")
      #expect(after[.guestTRSelector] == UInt64(Selector.new))
      #expect(after[.guestCSAccessRights] & 0x1_0090 == 0x90, "a VM entry needs a usable CS")
    }
  }

  @Test func userTasksAreCheckedAtTheirOwnPrivilege() throws {
    let toUser: (TaskScene) -> Void = {
      $0.select(.cs, Selector.userCode | 3)
      $0.select(.ss, Selector.userData | 3)
      for segment in [GuestSegment.ds, .es, .fs] { $0.select(segment, Selector.userData | 3) }
    }
    #expect(try afterTaskSwitch(.jmp, toUser).event == .none)
    let privileged = try afterTaskSwitch(.jmp) {
      toUser($0)
      $0.select(.ds, Selector.data)
    }
    #expect(privileged.event == InterruptionInformation(.invalidTSS, hasErrorCode: true))
    #expect(privileged.errorCode == UInt64(Selector.data))
    #expect(privileged[.guestDSAccessRights] & 1 << 16 != 0)
    #expect(privileged[.guestSSAccessRights] == 0xC0F3, "what passes is loaded")
    let conforming = try afterTaskSwitch(.jmp) {
      toUser($0)
      $0.select(.cs, Selector.conforming | 3)
      $0.select(.ds, Selector.conforming)
    }
    #expect(conforming.event == .none)
  }

  @Test func faultsDuringEventsTellThatTheyAreExternalAndCombine() throws {
    let interrupt = InterruptionInformation(vector: 0x40, kind: .externalInterrupt)
    let spoil: (TaskScene) -> Void = { $0.select(.ds, 0x70) }
    let external = try afterTaskSwitch(.taskGate, delivering: interrupt, spoil)
    #expect(external.event == InterruptionInformation(.invalidTSS, hasErrorCode: true))
    #expect(external.errorCode == 0x71)
    let software = InterruptionInformation(vector: 0x40, kind: .softwareInterrupt)
    #expect(try afterTaskSwitch(.taskGate, delivering: software, spoil).errorCode == 0x70)
    let fault = InterruptionInformation(.generalProtection, hasErrorCode: true)
    let double = try afterTaskSwitch(.taskGate, delivering: fault, spoil)
    #expect(double.event == InterruptionInformation(.doubleFault, hasErrorCode: true))
    #expect(double.errorCode == 0)
    let last = InterruptionInformation(.doubleFault, hasErrorCode: true)
    let triple = try afterTaskSwitch(.taskGate, delivering: last, spoil)
    #expect(triple.outcome == .tripleFault(level: .l1, rip: UInt64(Place.code)))
  }

  @Test func theNewTaskMayBeginOutsideItsCodeOrHaveNoRoomForTheErrorCode() throws {
    let outside = try afterTaskSwitch(.jmp) { $0.descriptor(Selector.code, 0x0040_9A00_0000_FFFF) }
    #expect(outside.event == InterruptionInformation(.generalProtection, hasErrorCode: true))
    #expect(outside.errorCode == 0)
    let alignment = InterruptionInformation(.alignmentCheck, hasErrorCode: true)
    let noRoom = try afterTaskSwitch(.taskGate, delivering: alignment) {
      $0.descriptor(Selector.data, 0x0040_9200_0000_0FFF)
    }
    #expect(noRoom.event == InterruptionInformation(.stackSegmentFault, hasErrorCode: true))
    #expect(noRoom.errorCode == 1)
  }
}
