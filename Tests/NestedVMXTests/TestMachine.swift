import NestedVMX
import VMX
import X86

/// A virtual CPU for tests: L1 in 64-bit mode with identity paging, at the moment of a VM exit.
final class TestMachine {
  /// Where things lie in L1's memory.
  static let vmxonRegion: UInt64 = 0x1_0000
  static let region: UInt64 = 0x1_1000
  static let otherRegion: UInt64 = 0x1_2000
  static let operand: UInt64 = 0x2_0100
  static let msrBitmap: UInt64 = 0x2_1000
  static let ioBitmapA: UInt64 = 0x2_2000
  static let ioBitmapB: UInt64 = 0x2_3000
  static let pageTables: UInt64 = 0x1000
  static let ept12: UInt64 = 0x3_0000

  let memory: TestMemory
  let pages: TestPages
  let registers: UnsafeMutablePointer<RegisterFile>
  let vmcs01: VMCS
  var vmx: VirtualVMX<TestMemory, TestPages>

  init(
    processor: VMXCapabilities = TestProcessor.capabilities, policy: NestedPolicy = NestedPolicy(),
    pool: Int = 64
  ) throws {
    memory = TestMemory()
    pages = TestPages(capacity: pool)
    registers = .allocate(capacity: 1)
    registers.initialize(to: RegisterFile())
    vmcs01 = VMCS.allocate()
    vmx = try VirtualVMX(
      vmcs01: vmcs01, registers: registers, processor: processor, memory: memory, pages: pages,
      policy: policy, physicalAddressWidth: 40)
    setUpL0()
    setUpL1()
  }

  deinit {
    registers.deallocate()
    vmcs01.deallocate()
  }

  /// L0's own wants in vmcs01.
  private func setUpL0() {
    let offered = vmx.processor
    vmcs01.pinBasedControls = offered.adjusted([.externalInterruptExiting, .nmiExiting])
    vmcs01.primaryProcessorBasedControls = offered.adjusted([
      .useTSCOffsetting, .hltExiting, .unconditionalIOExiting, .useMSRBitmaps, .activateSecondaryControls,
    ])
    vmcs01.secondaryProcessorBasedControls = offered.adjusted([
      .enableEPT, .enableVPID, .unrestrictedGuest, .enableRDTSCP, .enableINVPCID,
    ])
    vmcs01.exitControls = offered.adjusted([
      .hostAddressSpaceSize, .saveDebugControls, .saveEFER, .loadEFER, .savePAT, .loadPAT,
      .acknowledgeInterruptOnExit,
    ])
    vmcs01.entryControls = offered.adjusted([.ia32eModeGuest, .loadEFER, .loadPAT, .loadDebugControls])
    vmcs01[.eptPointer] = 0x50_001E
    vmcs01[.vpid] = 1
    vmcs01[.tscOffset] = 1000
    vmcs01[.vmcsLinkPointer] = .max
    vmcs01[.cr4GuestHostMask] = CR4.vmxe.rawValue
    if let bitmap = pages.allocate() {
      bitmap.bytes.initializeMemory(as: UInt8.self, repeating: 0xFF, count: 4096)
      vmcs01[.msrBitmap] = bitmap.address.rawValue
    }
    for (field, value) in Self.hostState { vmcs01[field] = value }
  }

  /// L1's state: ring 0 in 64-bit mode, with one 1-GByte page mapped to itself.
  private func setUpL1() {
    memory[Self.pageTables] = (Self.pageTables + 0x1000) | 3
    memory[Self.pageTables + 0x1000] = 0x83
    vmcs01[.guestCR0] = 0x8001_0033
    vmcs01[.guestCR3] = Self.pageTables
    vmcs01[.guestCR4] = CR4.vmxe.rawValue | CR4.pae.rawValue
    vmcs01[.cr4ReadShadow] = CR4.vmxe.rawValue | CR4.pae.rawValue
    vmcs01[.guestEFER] = 0xD01
    vmcs01[.guestPAT] = 0x0007_0406_0007_0406
    vmcs01[.guestRFLAGS] = 2
    vmcs01[.guestRIP] = 0x8000
    vmcs01[.guestRSP] = 0x9000
    vmcs01[.guestCSAccessRights] = 0xA09B
    vmcs01[.guestSSAccessRights] = 0xC093
    vmcs01[.guestDSAccessRights] = 0xC093
    vmcs01[.guestDSLimit] = 0xFFFF_FFFF
    vmcs01[.exitInstructionLength] = 4
    memory[Self.vmxonRegion] = UInt64(VirtualCapabilities.revision)
    memory[Self.region] = UInt64(VirtualCapabilities.revision)
    memory[Self.otherRegion] = UInt64(VirtualCapabilities.revision)
  }

  /// A host state that passes the checks, for vmcs01 and vmcs12 alike.
  static var hostState: [(VMCSField, UInt64)] {
    [
      (.hostCR0, 0x8001_0033), (.hostCR3, pageTables), (.hostCR4, 0x2020), (.hostCSSelector, 8),
      (.hostSSSelector, 16), (.hostTRSelector, 24), (.hostRIP, 0x7000), (.hostRSP, 0x7800),
      (.hostEFER, 0xD00), (.hostPAT, 0x0007_0406_0007_0406), (.hostFSBase, 0xF5_0000),
      (.hostGSBase, 0x65_0000), (.hostTRBase, 0x7B_0000), (.hostGDTRBase, 0x6D_0000),
      (.hostIDTRBase, 0x1D_0000), (.hostSysenterESP, 0x51_0000), (.hostSysenterEIP, 0x52_0000),
      (.hostSysenterCS, 8),
    ]
  }
}

// MARK: L1 executes VMX instructions

extension TestMachine {
  /// L1 executes an instruction with a memory operand at `linear` (DS, base in RBX) and `second` in RAX as register
  /// operand.
  @discardableResult
  func execute(
    _ reason: ExitReason, at linear: UInt64 = TestMachine.operand, second: UInt64 = 0
  ) -> VMXInstructionOutcome {
    registers[.rbx] = linear
    registers[.rax] = second
    let information = ExitInstructionInformation(addressSize: 8, segment: .ds, base: .rbx)
      .withSecondRegister(.rax)
    vmcs01[.exitInstructionInformation] = UInt64(information.rawValue)
    vmcs01[.exitQualification] = 0
    return vmx.execute(reason)
  }

  /// L1 executes an instruction with the 64-bit `value` in memory as its operand.
  @discardableResult
  func execute(_ reason: ExitReason, pointer value: UInt64) -> VMXInstructionOutcome {
    memory[Self.operand] = value
    return execute(reason)
  }

  /// L1 executes VMREAD or VMWRITE of the field in RAX, with RCX as the other operand.
  @discardableResult
  func execute(_ reason: ExitReason, field: UInt64) -> VMXInstructionOutcome {
    registers[.rax] = field
    vmcs01[.exitInstructionInformation] = UInt64(
      ExitInstructionInformation(register: .rcx).withSecondRegister(.rax).rawValue)
    return vmx.execute(reason)
  }

  func vmwrite(_ field: VMCSField, _ value: UInt64) -> VMXInstructionOutcome {
    registers[.rcx] = value
    return execute(.vmwrite, field: UInt64(field.rawValue))
  }

  func vmread(_ field: VMCSField) -> UInt64 {
    registers[.rcx] = 0xDEAD_DEAD_DEAD_DEAD
    execute(.vmread, field: UInt64(field.rawValue))
    return registers[.rcx]
  }

  /// L1 enters VMX operation and makes its VMCS current.
  func enterVMX() {
    execute(.vmxon, pointer: Self.vmxonRegion)
    execute(.vmclear, pointer: Self.region)
    execute(.vmptrld, pointer: Self.region)
  }

  /// The current vmcs12, which tests may write as L1 would.
  var vmcs12: VMCS { vmx.vmcs12 ?? vmx.vmcs02 }

  /// L1 prepares a VMCS that passes all checks: L2 in 64-bit mode, with EPT if `ept`.
  func prepareVMCS12(ept: Bool = true) {
    enterVMX()
    let offered = vmx.capabilities
    vmcs12.pinBasedControls = offered.adjusted([])
    vmcs12.primaryProcessorBasedControls = offered.adjusted([.hltExiting, .activateSecondaryControls])
    vmcs12.secondaryProcessorBasedControls = ept ? [.enableEPT] : []
    vmcs12.exitControls = offered.adjusted([
      .hostAddressSpaceSize, .saveEFER, .loadEFER, .savePAT, .loadPAT, .saveDebugControls,
    ])
    vmcs12.entryControls = offered.adjusted([.ia32eModeGuest, .loadEFER, .loadPAT, .loadDebugControls])
    vmcs12[.eptPointer] = Self.ept12 | 0x1E
    for (field, value) in Self.hostState { vmcs12[field] = value }
    for (field, value) in Self.guestState { vmcs12[field] = value }
  }

  /// A guest state that passes the checks.
  static var guestState: [(VMCSField, UInt64)] {
    [
      (.guestCR0, 0x8001_0033), (.guestCR3, 0x5000), (.guestCR4, 0x2020), (.guestDR7, 0x400),
      (.guestEFER, 0x500), (.guestPAT, 0x0007_0406_0007_0406), (.guestRFLAGS, 2), (.guestRIP, 0x10_0000),
      (.guestRSP, 0x11_0000), (.vmcsLinkPointer, .max), (.guestCSSelector, 8), (.guestCSAccessRights, 0xA09B),
      (.guestCSLimit, 0xFFFF_FFFF), (.guestSSSelector, 16), (.guestSSAccessRights, 0xC093),
      (.guestSSLimit, 0xFFFF_FFFF), (.guestDSAccessRights, 0x1_0000), (.guestESAccessRights, 0x1_0000),
      (.guestFSAccessRights, 0x1_0000), (.guestGSAccessRights, 0x1_0000), (.guestLDTRAccessRights, 0x1_0000),
      (.guestTRSelector, 24), (.guestTRAccessRights, 0x8B), (.guestTRLimit, 0x67), (.guestGDTRLimit, 0xFFFF),
      (.guestIDTRLimit, 0xFFFF), (.guestSysenterEIP, 0x1234),
    ]
  }

  /// L1 launches L2.
  func launch(ept: Bool = true) {
    prepareVMCS12(ept: ept)
    execute(.vmlaunch)
  }

  /// L2 exits: the processor has written vmcs02.
  func exitL2(_ reason: ExitReason, qualification: UInt64 = 0) -> Route {
    vmx.vmcs02.exitReason = ExitReasonField(reason)
    vmx.vmcs02[.exitQualification] = qualification
    return vmx.route(ExitReasonField(reason))
  }

  /// L2 exits and L1 gets it.
  func reflectFromL2(_ reason: ExitReason, qualification: UInt64 = 0) -> Reflection? {
    guard case .reflectedToL1(let exit) = exitL2(reason, qualification: qualification) else { return nil }
    return vmx.reflect(exit)
  }

  /// The flags that an instruction left: CF and ZF tell the three results apart.
  var flags: RFLAGS { RFLAGS(rawValue: vmcs01[.guestRFLAGS]).intersection(.status) }
}

// What expectations ask directly, because they cannot hold a value that is not copyable.
extension TestMachine {
  var isInL2: Bool { vmx.isInL2 }
  var isInVMXOperation: Bool { vmx.isInVMXOperation }
  var isShadowing: Bool { vmx.isShadowing }

  func allowsCR0(_ value: UInt64) -> Bool { vmx.allowsCR0(value) }
  func allowsCR4(_ value: UInt64) -> Bool { vmx.allowsCR4(value) }
}

extension TestMachine {
  /// Brings the shadow VMCS up to date with a vmcs12 that the test has written directly.
  func syncShadow() {
    guard vmx.isShadowing,
      let page = pages.pointer(to: PhysicalAddress(vmcs01[.vmcsLinkPointer]))
    else { return }
    for row in 0..<VMCSField.count {
      VMCS(region: page)[VMCSField.rows[row].field] = vmcs12[VMCSField.rows[row].field]
    }
  }
}
