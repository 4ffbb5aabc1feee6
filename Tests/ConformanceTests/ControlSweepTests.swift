import NestedRig
import NestedVMX
import Testing
import VMX
import X86

/// Every bit of every control word that L1 writes, and every pair of controls, through the whole of L0.
@Suite("Control sweeps")
struct ControlSweepTests {
  static let words: [ControlWordKind] = [
    .pinBased, .primaryProcessorBased, .secondaryProcessorBased, .exit, .entry, .vmFunction,
  ]

  /// Changes one bit of a word of controls; VM functions are looked at only if they are enabled.
  private static func flip(_ kind: ControlWordKind, _ bit: UInt64, in vmcs: VMCS) {
    if kind == .vmFunction {
      vmcs.secondaryProcessorBasedControls.formUnion([.enableEPT, .enableVMFunctions])
    }
    vmcs[kind.field] ^= 1 << bit
  }

  private static func isAllowed(_ kind: ControlWordKind, _ bit: UInt64) -> Bool {
    let capability = Rig.offered.capability(of: kind)
    return (capability.allowed1 & ~capability.allowed0) >> bit & 1 != 0
  }

  private static func width(_ kind: ControlWordKind) -> UInt64 { kind.field.width == .w64 ? 64 : 32 }

  /// SDM volume 3, "Checks on VMX Controls": a control must have a setting that its capability MSR allows.
  @Test(arguments: words, [true, false])
  func reservedControlsFailTheEntry(_ kind: ControlWordKind, isWritten: Bool) throws {
    let bits = (0..<Self.width(kind)).filter { !Self.isAllowed(kind, $0) }
    try #require(!bits.isEmpty)
    let results = try Rig().run(
      bits.map { bit in
        RigCase("\(kind) bit \(bit)", isWritten: isWritten) { vmcs, _ in Self.flip(kind, bit, in: vmcs) }
      })
    for (bit, result) in zip(bits, results) {
      #expect(result.report.failure == .valid(7), "bit \(bit) of \(kind.field.name)")
      #expect(result.report.entries == 0 && result.end == nil)
    }
  }

  /// A control with what its setting 1 needs of others.
  struct Control: Hashable, CustomTestStringConvertible {
    var kind: ControlWordKind
    var bit: UInt64
    var testDescription: String { kind.name(ofBit: UInt8(bit)).map(String.init(describing:)) ?? "bit \(bit)" }

    init<Word: ControlWord>(_ word: Word) {
      kind = Word.kind
      bit = UInt64(word.rawValue.trailingZeroBitCount)
    }

    init(kind: ControlWordKind, bit: UInt64) {
      self.kind = kind
      self.bit = bit
    }
  }

  /// What the SDM says of two controls, in its own words' order: the first may be 1 only if the second is, or is not.
  ///
  /// Source: SDM volume 3, "VM-Execution Control Fields", "VM-Exit Control Fields" and "VM-Entry Control Fields" under
  /// "Checks on VMX Controls". It is written down here once more, since the sweep is to tell a mistake in the checks.
  static let needs: [(Control, Control)] = [
    (Control(PinBasedControls.virtualNMIs), Control(PinBasedControls.nmiExiting)),
    (Control(PrimaryProcessorBasedControls.nmiWindowExiting), Control(PinBasedControls.virtualNMIs)),
    (
      Control(SecondaryProcessorBasedControls.virtualizeX2APICMode),
      Control(PrimaryProcessorBasedControls.useTPRShadow)
    ),
    (
      Control(SecondaryProcessorBasedControls.apicRegisterVirtualization),
      Control(PrimaryProcessorBasedControls.useTPRShadow)
    ),
    (
      Control(SecondaryProcessorBasedControls.virtualInterruptDelivery),
      Control(PrimaryProcessorBasedControls.useTPRShadow)
    ),
    (
      Control(SecondaryProcessorBasedControls.virtualInterruptDelivery),
      Control(PinBasedControls.externalInterruptExiting)
    ),
    (
      Control(PinBasedControls.processPostedInterrupts),
      Control(SecondaryProcessorBasedControls.virtualInterruptDelivery)
    ),
    (
      Control(PinBasedControls.processPostedInterrupts),
      Control(PrimaryExitControls.acknowledgeInterruptOnExit)
    ),
    (
      Control(SecondaryProcessorBasedControls.unrestrictedGuest),
      Control(SecondaryProcessorBasedControls.enableEPT)
    ),
    (Control(SecondaryProcessorBasedControls.enablePML), Control(SecondaryProcessorBasedControls.enableEPT)),
    (
      Control(SecondaryProcessorBasedControls.modeBasedExecuteControlForEPT),
      Control(SecondaryProcessorBasedControls.enableEPT)
    ),
    (
      Control(PrimaryExitControls.savePreemptionTimerValue),
      Control(PinBasedControls.activatePreemptionTimer)
    ),
  ]

  static let excludes: [(Control, Control)] = [
    (
      Control(SecondaryProcessorBasedControls.virtualizeX2APICMode),
      Control(SecondaryProcessorBasedControls.virtualizeAPICAccesses)
    )
  ]

  /// The controls whose setting is free, but for those that the L1 and L2 of this rig, which are in 64-bit mode, need.
  static let free: [Control] = {
    let needed: Set<Control> = [
      Control(PrimaryProcessorBasedControls.activateSecondaryControls),
      Control(PrimaryExitControls.hostAddressSpaceSize), Control(EntryControls.ia32eModeGuest),
    ]
    return [ControlWordKind.pinBased, .primaryProcessorBased, .secondaryProcessorBased, .exit, .entry]
      .flatMap { kind in (0..<width(kind)).filter { isAllowed(kind, $0) }.map { Control(kind: kind, bit: $0) }
      }
      .filter { !needed.contains($0) }
  }()

  private static func isSet(_ control: Control, in vmcs: VMCS) -> Bool {
    vmcs[control.kind.field] >> control.bit & 1 != 0
  }

  /// What the SDM demands of the controls of `vmcs`.
  static func isConsistent(_ vmcs: VMCS) -> Bool {
    needs.allSatisfy { !isSet($0.0, in: vmcs) || isSet($0.1, in: vmcs) }
      && excludes.allSatisfy { !isSet($0.0, in: vmcs) || !isSet($0.1, in: vmcs) }
  }

  /// A VMCS in which nothing depends on another control, and one in which all that others depend on is 1.
  enum Base: CaseIterable {
    case plain, supporting

    func write(_ vmcs: VMCS) {
      guard self == .supporting else { return }
      vmcs.pinBasedControls.formUnion([.externalInterruptExiting, .nmiExiting, .virtualNMIs])
      vmcs.primaryProcessorBasedControls.formUnion([.useTPRShadow])
      vmcs.secondaryProcessorBasedControls.formUnion([.enableEPT, .virtualInterruptDelivery])
      vmcs.exitControls.formUnion([.acknowledgeInterruptOnExit])
    }
  }

  /// Each control, and each two of them, changed: the VM entry fails just if the SDM says so, and else L2 runs.
  @Test(arguments: Base.allCases)
  func everyPairOfControls(_ base: Base) throws {
    var pairs: [[Control]] = [[]] + Self.free.map { [$0] }
    for (position, first) in Self.free.enumerated() {
      for second in Self.free.dropFirst(position + 1) { pairs.append([first, second]) }
    }
    let scratch = VMCS.allocate()
    defer { scratch.deallocate() }
    func write(_ pair: [Control], _ vmcs: VMCS) {
      base.write(vmcs)
      for control in pair { Self.flip(control.kind, control.bit, in: vmcs) }
    }
    let results = try Rig().run(
      pairs.map { pair in
        RigCase("\(pair.map(\.testDescription))") { vmcs, memory in
          base.write(vmcs)
          for control in pair { Self.flip(control.kind, control.bit, in: vmcs) }
          memory[RigPlace.linkedVMCS] = vmcs[.vmcsLinkPointer] == .max ? 0 : UInt64(vmcs.revision)
        }
      })
    var refused = 0
    for (pair, result) in zip(pairs, results) {
      RigVMCS.write(scratch)
      write(pair, scratch)
      let name = "\(pair.map(\.testDescription))"
      if Self.isConsistent(scratch) {
        #expect(result.report.failure == nil, "\(name) with \(base) is refused")
        #expect(result.report.entries > 0 && result.report.refusals == [], "\(name) with \(base)")
        #expect(result.report.exits.count == 1 && result.end == nil, "\(name) with \(base)")
      } else {
        refused += 1
        #expect(result.report.failure == .valid(7), "\(name) with \(base) is accepted")
      }
    }
    // Both happen often, else this would test little.
    #expect(refused > 100 && pairs.count - refused > 500)
  }
}
