import NestedVMX
import Testing
import VMX
import X86

@Suite("The merge")
struct MergeTests {
  let machine: TestMachine

  init() throws {
    machine = try TestMachine()
    machine.prepareVMCS12()
  }

  private var vmcs02: VMCS { machine.vmx.vmcs02 }

  @Test func everyFieldHasExactlyOneRule() {
    #expect(MergeRow.count == VMCSField.count)
    for position in 0..<MergeRow.count {
      #expect(MergeRow.row(at: position).field == VMCSField.rows[position].field)
    }
  }

  @Test func onlyExitInformationAndAbsentFeaturesHaveNoRule() {
    for position in 0..<MergeRow.count {
      let row = MergeRow.row(at: position)
      if row.field.area == .readOnlyData {
        guard case .absent = row.rule else {
          Issue.record("\(row.field.name) is written by VM exits")
          continue
        }
      }
    }
  }

  @Test func hostStateIsL0s() {
    machine.vmcs12[.hostRIP] = 0x9999
    machine.execute(.vmlaunch)
    for position in 0..<VMCSField.count {
      let field = VMCSField.rows[position].field
      guard field.area == .hostState else { continue }
      #expect(vmcs02[field] == machine.vmcs01[field])
    }
  }

  @Test func guestStateIsL1s() {
    machine.execute(.vmlaunch)
    for (field, value) in TestMachine.guestState { #expect(vmcs02[field] == value) }
  }

  @Test func interceptsAreTheUnionOfBothLevels() {
    machine.vmcs12.primaryProcessorBasedControls.insert(.rdtscExiting)
    machine.execute(.vmlaunch)
    let primary = vmcs02.primaryProcessorBasedControls
    #expect(primary.contains(.rdtscExiting), "L1's")
    #expect(primary.contains(.unconditionalIOExiting), "L0's")
    #expect(!primary.contains(.invlpgExiting), "nobody's")
    #expect(vmcs02.pinBasedControls.isSuperset(of: [.externalInterruptExiting, .nmiExiting]))
  }

  @Test func enabledInstructionsAreTheIntersection() throws {
    machine.vmcs12.secondaryProcessorBasedControls = [.enableEPT, .enableRDTSCP, .enableUserWaitAndPause]
    machine.execute(.vmlaunch)
    let secondary = vmcs02.secondaryProcessorBasedControls
    #expect(secondary.contains(.enableRDTSCP), "both levels enable it")
    #expect(!secondary.contains(.enableINVPCID), "only L0 enables it")
    #expect(!secondary.contains(.enableUserWaitAndPause), "only L1 enables it")
    #expect(!secondary.contains(.unrestrictedGuest), "L1 decides")
    #expect(secondary.contains(.enableEPT) && secondary.contains(.enableVPID), "L0 decides")
    #expect(!secondary.contains(.vmcsShadowing))
  }

  @Test func vmcs02HasOnlyWhatTheProcessorAllows() {
    machine.execute(.vmlaunch)
    let words: [(ControlWordKind, VMCSField)] = [
      (.pinBased, .pinBasedControls), (.primaryProcessorBased, .primaryProcessorBasedControls),
      (.secondaryProcessorBased, .secondaryProcessorBasedControls), (.exit, .exitControls),
      (.entry, .entryControls),
    ]
    for (kind, field) in words {
      #expect(machine.vmx.processor.capability(of: kind).permits(vmcs02[field]))
    }
  }

  @Test func tscOffsetsAdd() {
    machine.vmcs12[.tscOffset] = 0xFFFF_FFFF_FFFF_FF00
    machine.execute(.vmlaunch)
    #expect(vmcs02[.tscOffset] == 1000, "L1 uses none")
    _ = machine.reflectFromL2(.cpuid)
    machine.vmcs12.primaryProcessorBasedControls.insert(.useTSCOffsetting)
    machine.execute(.vmresume)
    #expect(vmcs02[.tscOffset] == 1000 - 256)
  }

  @Test func exceptionBitmapAndPageFaults() {
    machine.vmcs01[.exceptionBitmap] = 1 << 1
    machine.vmcs12[.exceptionBitmap] = 1 << 6
    machine.vmcs12[.pageFaultErrorCodeMask] = 5
    machine.vmcs12[.pageFaultErrorCodeMatch] = 4
    machine.execute(.vmlaunch)
    #expect(vmcs02[.exceptionBitmap] == 0x42)
    #expect(vmcs02[.pageFaultErrorCodeMask] == 5 && vmcs02[.pageFaultErrorCodeMatch] == 4)
    _ = machine.reflectFromL2(.cpuid)
    machine.vmcs01[.exceptionBitmap] = 1 << 14
    machine.execute(.vmresume)
    #expect(vmcs02[.pageFaultErrorCodeMask] == 0 && vmcs02[.pageFaultErrorCodeMatch] == 0)
  }

  @Test func controlRegistersThatL2Reads() {
    machine.vmcs12[.cr4GuestHostMask] = CR4.pge.rawValue
    machine.vmcs12[.cr4ReadShadow] = CR4.pge.rawValue | CR4.smep.rawValue
    machine.execute(.vmlaunch)
    #expect(vmcs02[.cr4GuestHostMask] == CR4.vmxe.rawValue | CR4.pge.rawValue)
    #expect(vmcs02[.guestCR4] == 0x2020)
    let read =
      vmcs02[.guestCR4] & ~vmcs02[.cr4GuestHostMask] | vmcs02[.cr4ReadShadow] & vmcs02[.cr4GuestHostMask]
    #expect(read == 0x2020 | CR4.pge.rawValue, "L1's shadow of PGE, L2's own VMXE")
  }

  @Test func unrestrictedL2IsFreeInPEAndPG() {
    machine.vmcs12.secondaryProcessorBasedControls = [.enableEPT, .unrestrictedGuest]
    machine.vmcs12.entryControls.remove(.ia32eModeGuest)
    machine.vmcs12[.guestEFER] = 0
    machine.vmcs12[.guestCR0] = 0x20
    machine.vmcs12[.guestCSAccessRights] = 0x9B
    machine.vmcs12[.guestCSLimit] = 0xFFFF
    machine.vmcs12[.guestSSAccessRights] = 0x93
    machine.vmcs12[.guestSSLimit] = 0xFFFF
    machine.vmcs12[.guestRIP] = 0x100
    #expect(machine.execute(.vmlaunch) == .enterL2(loadMSRs: .none))
    #expect(vmcs02[.guestCR0] == 0x30, "ET stays as L1 has it")
  }

  @Test func statesThatL1DoesNotLoadAreL1sOwn() {
    machine.vmcs12.entryControls.subtract([.loadEFER, .loadPAT])
    machine.vmcs12[.guestEFER] = 0
    machine.vmcs12[.guestPAT] = 0
    machine.vmcs01[.guestEFER] = 0xD01
    machine.vmcs01[.guestPAT] = 0x0606_0606_0606_0606
    machine.execute(.vmlaunch)
    #expect(vmcs02[.guestEFER] == 0xD01, "SCE, LME, LMA and NXE of L1")
    #expect(vmcs02[.guestPAT] == 0x0606_0606_0606_0606)
    #expect(vmcs02.entryControls.isSuperset(of: [.loadEFER, .loadPAT]), "L0 keeps them apart all the same")
  }

  @Test func linkPointerVPIDAndPreemptionTimer() {
    machine.vmcs12.pinBasedControls.insert(.activatePreemptionTimer)
    machine.vmcs12[.preemptionTimerValue] = 77
    machine.execute(.vmlaunch)
    #expect(vmcs02[.vmcsLinkPointer] == .max)
    #expect(vmcs02[.vpid] == 2)
    #expect(vmcs02[.preemptionTimerValue] == 77)
    #expect(vmcs02.exitControls.contains(.savePreemptionTimerValue))
    #expect(vmcs02.pinBasedControls.contains(.activatePreemptionTimer))
  }

  /// SDM, "Changes to Instruction Behavior in VMX Non-Root Operation": the product of TSC and multiplier, plus the
  /// offset; L1's TSC is L0's plus L0's offset.
  @Test func tscScalingScalesTheOffsetOfL0() {
    machine.vmcs12.secondaryProcessorBasedControls.insert(.useTSCScaling)
    machine.vmcs12[.tscMultiplier] = TSCScaling.one * 3 / 2
    machine.vmcs12[.tscOffset] = 7
    machine.execute(.vmlaunch)
    #expect(!vmcs02.secondaryProcessorBasedControls.contains(.useTSCScaling), "L1 uses no offset")
    #expect(vmcs02[.tscOffset] == 1000)
    _ = machine.reflectFromL2(.cpuid)
    machine.vmcs12.primaryProcessorBasedControls.insert(.useTSCOffsetting)
    machine.execute(.vmresume)
    #expect(vmcs02.secondaryProcessorBasedControls.contains(.useTSCScaling))
    #expect(vmcs02[.tscMultiplier] == TSCScaling.one * 3 / 2)
    #expect(vmcs02[.tscOffset] == 1500 + 7)
    _ = machine.reflectFromL2(.cpuid)
    machine.vmcs01[.tscOffset] = 0 &- 1000
    machine.execute(.vmresume)
    #expect(vmcs02[.tscOffset] == 0 &- 1493)
  }

  /// SDM, "Restrictions on VMX Operation": PE and PG stay 1 in L1; in an unrestricted L2 they are its own.
  @Test func pagingOfL1IsFixedInVMXOperation() {
    let paging = CR0([.pe, .pg]).rawValue
    #expect(machine.vmcs01[.cr0GuestHostMask] & paging == paging)
    #expect(machine.vmcs01[.cr0ReadShadow] & paging == paging)
    machine.execute(.vmlaunch)
    #expect(vmcs02[.cr0GuestHostMask] & paging == 0)
    _ = machine.reflectFromL2(.cpuid)
    machine.execute(.vmxoff)
    #expect(machine.vmcs01[.cr0GuestHostMask] & paging == 0)
  }

  @Test func msrListsAreL0s() {
    machine.vmcs12[.exitMSRLoadCount] = 3
    machine.vmcs12[.exitMSRLoadAddress] = 0x2_8000
    machine.execute(.vmlaunch)
    #expect(vmcs02[.exitMSRLoadCount] == 0)
  }

  @Test func virtualAPICPageIsTranslated() {
    machine.vmcs12.primaryProcessorBasedControls.insert(.useTPRShadow)
    machine.vmcs12[.virtualAPICAddress] = 0x4_0000
    #expect(machine.execute(.vmlaunch) == .enterL2(loadMSRs: .none))
    #expect(vmcs02[.virtualAPICAddress] == 0x4_0000 + TestMemory.offset)
    _ = machine.reflectFromL2(.cpuid)
    machine.vmcs12[.virtualAPICAddress] = 0x70_0000
    machine.execute(.vmresume)
    #expect(
      machine.pages.pointer(to: PhysicalAddress(vmcs02[.virtualAPICAddress])) != nil, "a page of L0 stands in"
    )
  }

  @Test func pdptesComeFromMemoryWithoutEPT() throws {
    let machine = try TestMachine()
    machine.prepareVMCS12(ept: false)
    machine.vmcs12.entryControls.remove(.ia32eModeGuest)
    machine.vmcs12[.guestEFER] = 0
    machine.vmcs12[.guestCSAccessRights] = 0xC09B
    machine.vmcs12[.guestCR3] = 0x5000
    machine.memory[0x5000] = 0x6001
    machine.memory[0x5018] = 0x7001
    #expect(machine.execute(.vmlaunch) == .enterL2(loadMSRs: .none))
    #expect(machine.vmx.vmcs02[.guestPDPTE0] == 0x6001)
    #expect(machine.vmx.vmcs02[.guestPDPTE3] == 0x7001)
    #expect(machine.vmx.vmcs02[.eptPointer] == 0x50_001E, "ept01 as it is")
  }

  @Test func workIsCounted() {
    let before = machine.vmx.work
    machine.execute(.vmlaunch)
    let work = machine.vmx.work.since(before)
    #expect(work.vmcsWrites >= 100, "vmcs02 has some hundred fields")
    #expect(work.fieldsCopied == work.vmcsWrites)
  }
}

@Suite("Merged bitmaps")
struct BitmapTests {
  let machine: TestMachine

  init() throws {
    machine = try TestMachine()
    machine.prepareVMCS12()
  }

  private func mergedMSRByte(_ offset: Int) -> UInt8? {
    machine.pages.pointer(to: PhysicalAddress(machine.vmx.vmcs02[.msrBitmap]))?
      .load(fromByteOffset: offset, as: UInt8.self)
  }

  @Test func withoutL1sBitmapEveryMSRExits() {
    machine.execute(.vmlaunch)
    #expect(!machine.vmx.vmcs02.primaryProcessorBasedControls.contains(.useMSRBitmaps))
  }

  @Test func anMSRPassesOnlyIfBothLetIt() {
    let bitmap01 = machine.pages.pointer(to: PhysicalAddress(machine.vmcs01[.msrBitmap]))
    bitmap01?.storeBytes(of: 0b1111_0000, toByteOffset: 0x20, as: UInt8.self)
    machine.vmcs12.primaryProcessorBasedControls.insert(.useMSRBitmaps)
    machine.vmcs12[.msrBitmap] = TestMachine.msrBitmap
    machine.memory[TestMachine.msrBitmap + 0x20] = 0b1010
    machine.execute(.vmlaunch)
    #expect(machine.vmx.vmcs02.primaryProcessorBasedControls.contains(.useMSRBitmaps))
    #expect(mergedMSRByte(0x20) == 0b1111_1010)
    #expect(mergedMSRByte(0x21) == 0xFF)
    _ = machine.reflectFromL2(.cpuid)
    machine.memory[TestMachine.msrBitmap + 0x20] = 0b0001
    machine.execute(.vmresume)
    #expect(mergedMSRByte(0x20) == 0b1111_0001, "L1 changes its bitmap without telling")
    _ = machine.reflectFromL2(.cpuid)
    bitmap01?.storeBytes(of: 0xFF, toByteOffset: 0x20, as: UInt8.self)
    machine.vmx.forgetBitmaps()
    machine.execute(.vmresume)
    #expect(mergedMSRByte(0x20) == 0xFF, "L0 changed its own, and said so")
  }

  @Test func ioBitmapsOfL1AreUsedIfL0WantsNoPort() {
    machine.vmcs01.primaryProcessorBasedControls.remove(.unconditionalIOExiting)
    machine.vmcs12.primaryProcessorBasedControls.insert(.useIOBitmaps)
    machine.vmcs12[.ioBitmapA] = TestMachine.ioBitmapA
    machine.vmcs12[.ioBitmapB] = TestMachine.ioBitmapB
    machine.memory[TestMachine.ioBitmapA + 0x78] = 0xFF
    machine.execute(.vmlaunch)
    let vmcs02 = machine.vmx.vmcs02
    #expect(vmcs02.primaryProcessorBasedControls.contains(.useIOBitmaps))
    #expect(!vmcs02.primaryProcessorBasedControls.contains(.unconditionalIOExiting))
    let merged = machine.pages.pointer(to: PhysicalAddress(vmcs02[.ioBitmapA]))
    #expect(merged?.load(fromByteOffset: 0x78, as: UInt64.self) == 0xFF)
    #expect(merged?.load(fromByteOffset: 0x80, as: UInt64.self) == 0)
  }

  @Test func aBitmapInAHoleInterceptsAll() {
    machine.vmcs01.primaryProcessorBasedControls.remove(.unconditionalIOExiting)
    machine.vmcs12.primaryProcessorBasedControls.insert(.useIOBitmaps)
    machine.vmcs12[.ioBitmapA] = 0x80_0000
    machine.vmcs12[.ioBitmapB] = TestMachine.ioBitmapB
    machine.execute(.vmlaunch)
    let merged = machine.pages.pointer(to: PhysicalAddress(machine.vmx.vmcs02[.ioBitmapA]))
    #expect(merged?.load(fromByteOffset: 0, as: UInt64.self) == .max)
  }
}

@Suite("Provenance")
struct ProvenanceTests {
  let machine: TestMachine

  init() throws {
    machine = try TestMachine()
    machine.prepareVMCS12()
    machine.vmcs12.primaryProcessorBasedControls.insert(.rdtscExiting)
    machine.execute(.vmlaunch)
  }

  private func origin(_ field: VMCSField, _ bit: UInt8) -> MergeOrigin {
    Merge.provenance(
      of: field, bit: bit, vmcs01: machine.vmcs01, vmcs12: machine.vmcs12, vmcs02: machine.vmx.vmcs02
    ).origin
  }

  @Test func bitsOfTheControls() {
    #expect(origin(.primaryProcessorBasedControls, 7) == .both, "both want HLT exits")
    #expect(origin(.primaryProcessorBasedControls, 12) == .l1, "L1 wants RDTSC exits")
    #expect(origin(.primaryProcessorBasedControls, 24) == .derived, "I/O exits follow from the bitmaps")
    #expect(origin(.primaryProcessorBasedControls, 1) == .processor, "default1")
    #expect(origin(.pinBasedControls, 0) == .l0)
    #expect(origin(.secondaryProcessorBasedControls, 7) == .l1, "L1 decides on unrestricted guest")
    #expect(origin(.secondaryProcessorBasedControls, 1) == .l0, "L0 decides on EPT")
  }

  @Test func otherRules() {
    #expect(origin(.guestRIP, 20) == .l1)
    #expect(origin(.hostRIP, 12) == .l0)
    #expect(origin(.eptPointer, 12) == .derived)
    #expect(origin(.exitReason, 0) == .none)
    #expect(origin(.cr4GuestHostMask, 13) == .l0)
    #expect(origin(.cr4GuestHostMask, 7) == .both, "neither wants it")
    #expect(origin(.exceptionBitmap, 40) == .none, "beyond the field")
  }

  @Test func provenanceCarriesTheThreeValues() {
    let provenance = Merge.provenance(
      of: .guestRIP, bit: 4, vmcs01: machine.vmcs01, vmcs12: machine.vmcs12, vmcs02: machine.vmx.vmcs02)
    #expect(provenance.vmcs12 == 0x10_0000 && provenance.vmcs02 == 0x10_0000)
    #expect(provenance.vmcs01 == machine.vmcs01[.guestRIP])
  }
}
