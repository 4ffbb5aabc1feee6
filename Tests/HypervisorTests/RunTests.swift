import Hypervisor
import Processor
import Testing
import Trace
import VMX
import X86

/// A machine on a scripted processor, booted in 64-bit mode unless `configure` says otherwise.
func scriptedMachine(
  _ steps: [ScriptedProcessor.Step], _ configure: (inout MachineConfiguration) -> Void = { _ in }
) throws -> Machine<ScriptedProcessor> {
  var configuration = MachineConfiguration(image: TestImage().image)
  configuration.memorySize = NestedScript.memorySize
  configuration.trace = .kept(limit: 1000)
  configure(&configuration)
  return try Machine(configuration) { memory in
    let processor = ScriptedProcessor(memory: memory)
    processor.steps = steps
    return processor
  }
}

func count(_ result: RunResult, _ from: ExitLevel, _ reason: ExitReason, _ to: ExitLevel) -> UInt64 {
  result.exits.first { $0.from == from && $0.reason == reason.rawValue && $0.routedTo == to }?.count ?? 0
}

@Suite struct RunTests {
  @Test(arguments: [(0, true), (1, false), (7, false)] as [(UInt8, Bool)])
  func theDebugExitPortEndsTheRun(_ code: UInt8, _ isSuccess: Bool) throws {
    let result = try scriptedMachine([ScriptedProcessor.debugExit(code)]).run()
    #expect(result.outcome == .guestReported(code: UInt32(code)))
    #expect(result.outcome.isSuccess == isSuccess)
    #expect(count(result, .l1, .ioInstruction, .l0) == 1)
  }

  @Test func guestsThatFailEndInASentence() throws {
    let endings: [(ScriptedProcessor.Step, RunOutcome)] = [
      (ScriptedProcessor.step(.tripleFault), .tripleFault(level: .l1, rip: TestImage.entry)),
      (ScriptedProcessor.step(.hlt), .halted(level: .l1, rip: TestImage.entry)),
      (
        ScriptedProcessor.step(.eptViolation, qualification: EPTViolationQualification.fetch.rawValue) {
          vmcs, _ in vmcs[.guestPhysicalAddress] = 0xFEE0_0030
        },
        .outsideMemory(level: .l1, address: 0xFEE0_0030, rip: TestImage.entry)
      ),
    ]
    for (step, outcome) in endings {
      let result = try scriptedMachine([step]).run()
      #expect(result.outcome == outcome)
      #expect(!result.outcome.description.contains("\n"))
      #expect(result.exits.count == 1)
    }
  }

  @Test func aRefusedVMCSIsOurOwnError() throws {
    let result = try scriptedMachine([{ _, _ in .failed(.entryInvalidControlFields) }]).run()
    guard case .internalError(let sentence) = result.outcome else {
      Issue.record("\(result.outcome)")
      return
    }
    #expect(sentence.contains("vmcs01") && sentence.contains("7"))
  }

  @Test func stopsKeepTheirReasonAndTheCounts() throws {
    let machine = try scriptedMachine([ScriptedProcessor.step(.cpuid)])
    let limited = machine.run()
    #expect(count(limited, .l1, .cpuid, .l0) == 1)
    guard case .instructionLimit = limited.outcome else {
      Issue.record("\(limited.outcome)")
      return
    }
    for reason in StopReason.allCases {
      let machine = try scriptedMachine([ScriptedProcessor.step(.cpuid)])
      machine.requestStop(reason)
      machine.requestStop(.interrupted)
      #expect(machine.run().outcome == .stopped(reason))
    }
  }

  @Test func aMachineRunsOnce() throws {
    let machine = try scriptedMachine([ScriptedProcessor.debugExit(0)])
    #expect(machine.run().outcome.isSuccess)
    #expect(!machine.run().outcome.isSuccess)
  }

  /// One exit of L2 through L1 and back: the whole way of DESIGN's picture.
  @Test func anExitOfL2GoesThroughL1() throws {
    var seen: [UInt64] = []
    let entries: [ScriptedProcessor.Step] = [
      { vmcs02, _ in
        seen.append(vmcs02[.guestRIP])
        vmcs02[.guestRIP] = NestedScript.l2RIP + 0x10
        return ScriptedProcessor.exit(vmcs02, .cpuid)
      },
      { vmcs01, processor in
        seen.append(vmcs01[.guestRIP])
        return NestedScript.vmread(.exitReason)(vmcs01, processor)
      },
      { vmcs01, processor in
        seen.append(processor.registers.pointee.rax)
        return NestedScript.vmread(.guestRIP)(vmcs01, processor)
      },
      { vmcs01, processor in
        seen.append(processor.registers.pointee.rax)
        return ScriptedProcessor.exit(vmcs01, .vmresume, length: 3)
      },
      { vmcs02, _ in
        seen.append(vmcs02[.guestRIP])
        return ScriptedProcessor.exit(vmcs02, .vmcall, length: 3)
      },
      ScriptedProcessor.debugExit(0),
    ]
    let machine = try scriptedMachine(NestedScript.launch() + entries)
    let result = machine.run()
    #expect(result.outcome == .guestReported(code: 0))
    #expect(result.entryFailures == [])
    #expect(
      seen == [
        NestedScript.l2RIP, NestedScript.hostRIP, UInt64(ExitReason.cpuid.rawValue),
        NestedScript.l2RIP + 0x10,
        NestedScript.l2RIP + 0x10,
      ])
    #expect(count(result, .l2, .cpuid, .l1) == 1)
    #expect(count(result, .l1, .vmread, .l0) == 2)
    #expect(
      result.trees.map { [UInt64($0.reason), $0.finished, $0.hardwareExits, $0.unfinished] } == [
        [UInt64(ExitReason.cpuid.rawValue), 1, 4, 0], [UInt64(ExitReason.vmcall.rawValue), 0, 0, 1],
      ])
  }

  /// Retired instructions, at a cycle each, and what L0 charged for the exits are all of the virtual time.
  @Test func cyclesAddUp() throws {
    let loop: [ScriptedProcessor.Step] = [
      ScriptedProcessor.step(.cpuid), NestedScript.vmread(.exitReason),
      ScriptedProcessor.step(.vmresume, length: 3),
    ]
    let steps = NestedScript.launch() + loop + loop + [ScriptedProcessor.debugExit(0)]
    // The last entry is L2's, whose I/O L1 intercepts: the run then ends for want of a script.
    let result = try scriptedMachine(steps).run()
    let charged = result.exits.reduce(0) { $0 + $1.cycles }
    #expect(charged > 0)
    #expect(result.virtualCycles == result.instructions + charged)
    #expect(result.instructions == UInt64(steps.count) * ScriptedProcessor.instructionsPerEntry)
    #expect(result.events.reduce(0) { $0 + $1.hostCycles } == charged)
    #expect(result.events.count == steps.count)
    for tree in result.trees where tree.finished > 0 {
      let roots = result.events.filter { $0.isTreeRoot && $0.isFinished }
      #expect(tree.spanCycles == roots.reduce(0) { $0 + $1.span })
    }
  }

  @Test func twoRunsAreAlike() throws {
    let steps = NestedScript.launch() + [ScriptedProcessor.step(.cpuid), ScriptedProcessor.debugExit(3)]
    let first = try scriptedMachine(steps).run()
    let second = try scriptedMachine(steps).run()
    #expect(first.events == second.events)
    #expect(first.virtualCycles == second.virtualCycles)
    #expect(first.outcome == .guestReported(code: 3))
  }

  @Test func aWrongControlIsNamed() throws {
    let broken = NestedScript.launch { $0.pinBasedControls = [.virtualNMIs] }
    let result = try scriptedMachine(broken + [ScriptedProcessor.debugExit(1)]).run()
    #expect(result.failedEntries == 1)
    let report = try #require(result.entryFailures.first)
    #expect(report.field == "PIN_BASED_VM_EXECUTION_CONTROLS" || report.field.contains("PIN"))
    #expect(report.value == UInt64(PinBasedControls.virtualNMIs.rawValue))
    #expect(report.section == "VM-Execution Control Fields")
    #expect(report.consequence.hasPrefix("VMfailValid(7)"))
    #expect(count(result, .l2, .cpuid, .l1) == 0)
  }

  @Test func anInvalidGuestStateIsNamedAndL1GoesOn() throws {
    let broken = NestedScript.launch { $0[.guestRFLAGS] = 0 }
    var continued: UInt64 = 0
    let result = try scriptedMachine(
      broken + [
        { vmcs01, processor in
          continued = vmcs01[.guestRIP]
          return ScriptedProcessor.debugExit(1)(vmcs01, processor)
        }
      ]
    ).run()
    #expect(continued == NestedScript.hostRIP)
    #expect(result.entryFailures.map(\.field) == ["GUEST_RFLAGS"])
    #expect(result.entryFailures.first?.consequence == "VM-entry failure (exit reason 33)")
  }

  /// L1's host RIP may be its own VMRESUME, and L2's RIP an instruction that exits: then nothing ever retires.
  @Test func exitsWithoutInstructionsReachTheLimitToo() throws {
    let exits = Array(repeating: ScriptedProcessor.step(.cpuid, length: 0), count: 100)
    let machine = try scriptedMachine(exits + [ScriptedProcessor.debugExit(0)]) { $0.instructionLimit = 50 }
    machine.processor.retiresInstructions = false
    let result = machine.run()
    #expect(result.outcome == .instructionLimit(50))
    #expect(count(result, .l1, .cpuid, .l0) == 51)
  }

  /// SDM, "Changes to Instruction Behavior in VMX Non-Root Operation": MOV to CR4 and CR0 that would change a fixed bit
  /// which L1 does not own is #GP(0), in L2 as in L1.
  @Test(arguments: [(4, CR4.pae.rawValue), (0, CR0([.pe, .et, .wp, .pg]).rawValue)] as [(UInt8, UInt64)])
  func l2CannotClearAFixedBit(_ number: UInt8, _ value: UInt64) throws {
    var event = InterruptionInformation.none
    let write = ScriptedProcessor.step(
      .controlRegisterAccess, length: 3,
      qualification: ControlRegisterQualification(.movToCR, number: number, register: .rax).rawValue
    ) { $1.registers.pointee.rax = value }
    let machine = try scriptedMachine(NestedScript.launch() + [write, ScriptedProcessor.step(.vmcall)])
    machine.processor.onEntry = { vmcs in
      if vmcs[.guestRIP] == NestedScript.l2RIP { event = vmcs.entryInterruptionInformation }
    }
    _ = machine.run()
    #expect(event == InterruptionInformation(.generalProtection, hasErrorCode: true))
  }

  /// L1 lets L2 halt, and steps it by the monitor trap flag: L2 sleeps, and the trap comes after its HLT.
  @Test func haltOfL2IsAnInstructionLikeAnyOther() throws {
    var states: [[UInt64]] = []
    let steps = NestedScript.launch {
      $0.primaryProcessorBasedControls.remove(.hltExiting)
      $0.primaryProcessorBasedControls.insert(.monitorTrapFlag)
    }
    let look: ScriptedProcessor.Step = { vmcs, _ in
      states.append([vmcs[.guestRIP], vmcs[.guestActivityState]])
      return ScriptedProcessor.exit(vmcs, .monitorTrapFlag)
    }
    let machine = try scriptedMachine(steps + [ScriptedProcessor.step(.hlt, length: 1), look])
    var events: [InterruptionInformation] = []
    machine.processor.onEntry = { events.append($0.entryInterruptionInformation) }
    let result = machine.run()
    #expect(states == [[NestedScript.l2RIP + 1, 1]])
    #expect(events.contains(InterruptionInformation(vector: 0, kind: .otherEvent)))
    #expect(count(result, .l2, .hlt, .l0) == 1)
    #expect(count(result, .l2, .monitorTrapFlag, .l1) == 1)
  }

  /// SDM, "Loading MSRs": an entry that cannot be loaded fails the VM entry with exit reason 34, and the qualification
  /// is its number, counted from 1.
  @Test func anMSRListThatCannotBeLoadedFailsTheEntry() throws {
    let broken = NestedScript.launch {
      $0[.entryMSRLoadAddress] = NestedScript.msrList
      $0[.entryMSRLoadCount] = 2
    }
    let fillList: ScriptedProcessor.Step = { vmcs01, processor in
      let list = NestedScript.ram(processor) + Int(NestedScript.msrList)
      list.storeBytes(of: UInt64(ModelSpecificRegister.star.rawValue), as: UInt64.self)
      list.storeBytes(of: 0x1234, toByteOffset: 8, as: UInt64.self)
      list.storeBytes(of: 0xDEAD, toByteOffset: 16, as: UInt64.self)
      return ScriptedProcessor.exit(vmcs01, .cpuid)
    }
    var read: [UInt64] = []
    let machine = try scriptedMachine(
      [fillList] + broken + [
        NestedScript.vmread(.exitReason),
        { vmcs01, processor in
          read.append(processor.registers.pointee.rax)
          return NestedScript.vmread(.exitQualification)(vmcs01, processor)
        },
        { vmcs01, processor in
          read.append(processor.registers.pointee.rax)
          return ScriptedProcessor.debugExit(1)(vmcs01, processor)
        },
      ])
    _ = machine.run()
    #expect(read == [0x8000_0022, 2])
    #expect(machine.processor.msrs[ModelSpecificRegister.star.rawValue] == 0x1234)
  }

  @Test func timeStampCounterIsStoredWithoutTheOffsetOfL2() throws {
    var stored: UInt64?
    let fillList: ScriptedProcessor.Step = { vmcs01, processor in
      let list = NestedScript.ram(processor) + Int(NestedScript.msrList)
      list.storeBytes(of: UInt64(ModelSpecificRegister.timeStampCounter.rawValue), as: UInt64.self)
      return ScriptedProcessor.exit(vmcs01, .cpuid)
    }
    let steps = NestedScript.launch {
      $0.primaryProcessorBasedControls.insert(.useTSCOffsetting)
      $0[.tscOffset] = 1 << 60
      $0[.exitMSRStoreAddress] = NestedScript.msrList
      $0[.exitMSRStoreCount] = 1
    }
    let look: ScriptedProcessor.Step = { vmcs01, processor in
      let list = NestedScript.ram(processor) + Int(NestedScript.msrList)
      stored = list.load(fromByteOffset: 8, as: UInt64.self)
      return ScriptedProcessor.debugExit(0)(vmcs01, processor)
    }
    _ = try scriptedMachine([fillList] + steps + [ScriptedProcessor.step(.cpuid), look]).run()
    let value = try #require(stored)
    #expect(value > 0 && value < 1 << 60)
  }

  @Test func anMSRListThatCannotBeStoredIsAVMXAbort() throws {
    let steps = NestedScript.launch {
      $0[.exitMSRStoreAddress] = NestedScript.msrList
      $0[.exitMSRStoreCount] = 1
    }
    let result = try scriptedMachine(steps + [ScriptedProcessor.step(.cpuid)]).run()
    guard case .shutdown(let sentence) = result.outcome else {
      Issue.record("\(result.outcome)")
      return
    }
    #expect(sentence.contains("VMX abort 1"))
  }
}
