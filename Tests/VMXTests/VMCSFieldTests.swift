import Testing
import VMX

@Suite struct VMCSFieldTests {
  static let rows: [VMCSFieldRow] = VMCSField.rows.indices.map { VMCSField.rows[$0] }

  /// SDM volume 3, "Encodings of VMCS Fields": access type 0, index 9:1, type 11:10, width 14:13.
  @Test(arguments: rows.indices)
  func encodingIsItsParts(_ number: Int) {
    let field = Self.rows[number].field
    let type: UInt32 =
      switch field.area {
      case .control: 0
      case .readOnlyData: 1
      case .guestState: 2
      case .hostState: 3
      }
    let width: UInt32 =
      switch field.width {
      case .w16: 0
      case .w64: 1
      case .w32: 2
      case .natural: 3
      }
    #expect(field.rawValue == width << 13 | type << 10 | field.index << 1)
    #expect(!field.isHighAccess)
  }

  /// One or two encodings of each table in the SDM's appendix "Field Encoding in VMCS".
  @Test(arguments: [
    ("VPID", 0x0), ("EPTP_INDEX", 0x4), ("GUEST_ES_SELECTOR", 0x800), ("GUEST_TR_SELECTOR", 0x80E),
    ("PML_INDEX", 0x812), ("HOST_ES_SELECTOR", 0xC00), ("HOST_TR_SELECTOR", 0xC0C), ("IO_BITMAP_A", 0x2000),
    ("VM_ENTRY_MSR_LOAD_ADDRESS", 0x200A), ("EPT_POINTER", 0x201A), ("VMREAD_BITMAP_ADDRESS", 0x2026),
    ("TSC_MULTIPLIER", 0x2032), ("SECONDARY_VM_EXIT_CONTROLS", 0x2044), ("GUEST_PHYSICAL_ADDRESS", 0x2400),
    ("VMCS_LINK_POINTER", 0x2800), ("GUEST_PDPTE3", 0x2810), ("HOST_IA32_PAT", 0x2C00),
    ("HOST_IA32_PKRS", 0x2C06),
    ("PIN_BASED_VM_EXECUTION_CONTROLS", 0x4000), ("VM_ENTRY_CONTROLS", 0x4012), ("PLE_WINDOW", 0x4022),
    ("VM_INSTRUCTION_ERROR", 0x4400), ("VM_EXIT_INSTRUCTION_INFORMATION", 0x440E), ("GUEST_ES_LIMIT", 0x4800),
    ("GUEST_IDTR_LIMIT", 0x4812), ("GUEST_ES_ACCESS_RIGHTS", 0x4814), ("GUEST_ACTIVITY_STATE", 0x4826),
    ("VMX_PREEMPTION_TIMER_VALUE", 0x482E), ("HOST_IA32_SYSENTER_CS", 0x4C00),
    ("CR0_GUEST_HOST_MASK", 0x6000),
    ("CR3_TARGET_VALUE_3", 0x600E), ("EXIT_QUALIFICATION", 0x6400), ("GUEST_LINEAR_ADDRESS", 0x640A),
    ("GUEST_CR0", 0x6800), ("GUEST_IDTR_BASE", 0x6818), ("GUEST_RIP", 0x681E),
    ("GUEST_IA32_SYSENTER_EIP", 0x6826),
    ("GUEST_SSP", 0x682A), ("HOST_CR0", 0x6C00), ("HOST_RIP", 0x6C16), ("HOST_SSP", 0x6C1A),
  ])
  func encodingIsThatOfTheSDM(_ name: String, _ encoding: UInt32) {
    #expect(Self.rows.filter { $0.name.description == name }.map(\.field.rawValue) == [encoding])
  }

  @Test func namesAgreeWithWidthAndArea() {
    for row in Self.rows {
      let name = row.name.description
      if name.hasPrefix("HOST_") { #expect(row.field.area == .hostState, "\(name)") }
      if row.field.area == .guestState && !name.hasPrefix("GUEST_") {
        #expect(["PML_INDEX", "VMCS_LINK_POINTER", "VMX_PREEMPTION_TIMER_VALUE"].contains(name), "\(name)")
      }
      if name.hasSuffix("_SELECTOR") { #expect(row.field.width == .w16, "\(name)") }
      if name.hasSuffix("_LIMIT") || name.hasSuffix("_ACCESS_RIGHTS") || name.hasSuffix("_COUNT") {
        #expect(row.field.width == .w32, "\(name)")
      }
      if name.hasSuffix("_BASE") && name != "GUEST_SMBASE" || name.hasSuffix("RIP") || name.hasSuffix("RSP") {
        #expect(row.field.width == .natural, "\(name)")
      }
      if row.field.area == .control && (name.contains("_ADDRESS") || name.contains("_BITMAP")) {
        #expect(row.field.width == .w64 || name == "EXCEPTION_BITMAP", "\(name)")
      }
    }
  }

  @Test func rowsAreInOrderAndNamesUnique() {
    #expect(Self.rows.map(\.field.rawValue) == Self.rows.map(\.field.rawValue).sorted())
    #expect(Set(Self.rows.map(\.field)).count == Self.rows.count)
    #expect(Set(Self.rows.map(\.name.description)).count == Self.rows.count)
    for (number, row) in Self.rows.enumerated() {
      #expect(row.field.rowIndex == number)
      #expect(VMCSField.row(for: row.field).field == row.field)
    }
  }

  @Test func eachFieldHasASlotOfItsOwnInTheRegion() {
    let slots = Self.rows.map(\.field.slot)
    #expect(Set(slots).count == slots.count)
    #expect(slots.allSatisfy { 0 <= $0 && $0 < VMCSField.slotCount })
    #expect(16 + VMCSField.slotCount * 8 <= VMCS.size)
  }

  @Test func encodingsOfNoFieldMakeNone() {
    let fields = Set(Self.rows.map(\.field.rawValue))
    let highs = Set(Self.rows.filter { $0.field.width == .w64 }.map { $0.field.rawValue | 1 })
    for encoding in UInt32(0)...0x1_FFFF {
      let field = VMCSField(rawValue: encoding)
      #expect((field != nil) == (fields.contains(encoding) || highs.contains(encoding)))
      #expect(field.map(\.rawValue) ?? encoding == encoding)
    }
    for bit in UInt32(15)..<32 { #expect(VMCSField(rawValue: 1 << bit | 0x681E) == nil) }
    #expect(VMCSField(operand: 1 << 32 | 0x681E) == nil)
    #expect(VMCSField(operand: 0x681E) == .guestRIP)
  }

  @Test func aStoreKeepsTheWidthAndLeavesOtherFieldsAlone() {
    let vmcs = VMCS.allocate()
    defer { vmcs.deallocate() }
    for row in Self.rows {
      vmcs.clear()
      vmcs[row.field] = .max
      let bits: UInt64 =
        switch row.field.width {
        case .w16: 16
        case .w32: 32
        case .w64, .natural: 64
        }
      #expect(vmcs[row.field] == .max >> (64 - bits))
      for other in Self.rows where other.field != row.field { #expect(vmcs[other.field] == 0) }
      #expect(vmcs.revision == 0 && vmcs.abortIndicator == 0 && !vmcs.isLaunched)
    }
  }

  @Test func highAccessIsBits63To32() throws {
    let vmcs = VMCS.allocate()
    defer { vmcs.deallocate() }
    let high = try #require(VMCSField(rawValue: VMCSField.eptPointer.rawValue | 1))
    #expect(high.isHighAccess && high.full == .eptPointer)
    vmcs[.eptPointer] = 0x1111_2222_3333_4444
    #expect(vmcs[high] == 0x1111_2222)
    vmcs[high] = 0xFFFF_FFFF_5555_6666
    #expect(vmcs[.eptPointer] == 0x5555_6666_3333_4444)
  }

  @Test func aFieldExistsWithTheControlThatMakesItExist() {
    var capabilities = VMXCapabilities()
    capabilities.basic = VMXBasicInformation(revision: 1)
    #expect(VMCSField.guestRIP.exists(on: capabilities))
    #expect(!VMCSField.eptPointer.exists(on: capabilities))
    #expect(!VMCSField.guestPAT.exists(on: capabilities))
    capabilities.secondaryProcessorBased = 2 << 32
    #expect(VMCSField.eptPointer.exists(on: capabilities))
    #expect(VMCSField.guestPDPTE3.exists(on: capabilities))
    #expect(!VMCSField.vpid.exists(on: capabilities))
    // Either of "load IA32_PAT" at VM entry and "save IA32_PAT" at VM exit suffices.
    capabilities.trueExit = 1 << (18 + 32)
    #expect(VMCSField.guestPAT.exists(on: capabilities))
    #expect(!VMCSField.hostPAT.exists(on: capabilities))
    #expect(!VMCSField.sharedEPTPointer.exists(on: capabilities))
  }

  @Test func segmentsFindTheirFields() {
    for segment in GuestSegment.allCases {
      for field in [segment.selectorField, segment.baseField, segment.limitField, segment.accessRightsField] {
        #expect(VMCSField(rawValue: field.rawValue) == field)
        #expect(GuestSegment(field: field) == segment)
        #expect(field.name.description.contains("_\(segment)_".uppercased()))
      }
    }
    #expect(GuestSegment(field: .guestGDTRBase) == nil)
    #expect(GuestSegment(field: .guestCR0) == nil)
    #expect(GuestSegment(field: .guestGDTRLimit) == nil)
    #expect(GuestSegment(field: .guestInterruptStatus) == nil)
  }
}
