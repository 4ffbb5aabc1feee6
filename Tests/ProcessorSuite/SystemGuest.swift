import GuestMemory
import Processor
import SoftwareProcessor
import Testing
import VMX
import X86

/// A guest made by hand on the processor that the suite is compiled for: a VMCS with a flat 64-bit guest, identity page tables, a GDT and an
/// empty IDT, to be changed by each test before it runs.
struct SystemGuest {
  let cpu: TestedProcessor
  let vmcs: VMCS
  let memory: PhysicalMemory

  /// Where things are in L0-physical memory, which without EPT is also guest-physical, and guest-linear.
  enum Place {
    static let pml4: UInt64 = 0x2000
    static let pdpt: UInt64 = 0x3000
    static let pd: UInt64 = 0x4000
    static let eptPML4: UInt64 = 0x5000
    static let eptPDPT: UInt64 = 0x6000
    static let eptPD: UInt64 = 0x7000
    static let gdt: UInt64 = 0x9000
    static let idt: UInt64 = 0xA000
    static let tss: UInt64 = 0xB000
    static let code: UInt64 = 0x1_0000
    static let handler: UInt64 = 0x1_8000
    static let stack: UInt64 = 0x1_F000
    static let msrBitmap: UInt64 = 0x2_0000
    static let ioBitmapA: UInt64 = 0x2_1000
    static let ioBitmapB: UInt64 = 0x2_2000
    static let shadow: UInt64 = 0x2_3000
    static let vmreadBitmap: UInt64 = 0x2_4000
    static let vmwriteBitmap: UInt64 = 0x2_5000
    static let vmcs: UInt64 = 0x2_6000
    static let list: UInt64 = 0x2_7000
    static let data: UInt64 = 0x3_0000
  }

  /// Selectors of the GDT.
  enum Selector {
    static let code64: UInt64 = 0x08
    static let data: UInt64 = 0x10
    static let userCode64: UInt64 = 0x18
    static let userData: UInt64 = 0x20
    static let tss: UInt64 = 0x28
    static let code32: UInt64 = 0x38
    static let code16: UInt64 = 0x40
    static let data16: UInt64 = 0x48
    static let userCode32: UInt64 = 0x50
    static let ldt: UInt64 = 0x58
  }

  init(
    _ code: [UInt8] = [], features: ProcessorFeatures = SoftwareCPU.features, memorySize: UInt64 = 4 << 20
  ) throws {
    memory = try PhysicalMemory(size: memorySize)
    cpu = try makeTestedProcessor(memory, features)
    vmcs = VMCS(region: try #require(memory.pointer(PhysicalAddress(Place.vmcs), count: 4096)))
    writeTables()
    writeControls()
    writeHostState()
    writeGuestState()
    place(code, at: Place.code)
  }

  // MARK: Memory

  func place(_ bytes: [UInt8], at address: UInt64) {
    _ = bytes.withUnsafeBytes { memory.write($0, at: PhysicalAddress<L0>(address)) }
  }

  subscript(_ address: UInt64) -> UInt64 {
    get { memory.load(PhysicalAddress<L0>(address), as: UInt64.self) ?? 0 }
    nonmutating set { memory.store(newValue, at: PhysicalAddress<L0>(address)) }
  }

  private func writeTables() {
    self[Place.pml4] = Place.pdpt | 7
    self[Place.pdpt] = Place.pd | 7
    self[Place.eptPML4] = Place.eptPDPT | 7
    self[Place.eptPDPT] = Place.eptPD | 7
    for index in 0..<UInt64(512) {
      self[Place.pd + index * 8] = index << 21 | 0x87
      self[Place.eptPD + index * 8] = index << 21 | 0xB7
    }
    self[Place.gdt + Selector.code64] = 0x00AF_9B00_0000_FFFF
    self[Place.gdt + Selector.data] = 0x00CF_9300_0000_FFFF
    self[Place.gdt + Selector.userCode64] = 0x00AF_FB00_0000_FFFF
    self[Place.gdt + Selector.userData] = 0x00CF_F300_0000_FFFF
    self[Place.gdt + Selector.tss] = 0x0000_8900_0000_0067 | Place.tss << 16
    self[Place.gdt + Selector.code32] = 0x00CF_9B00_0000_FFFF
    self[Place.gdt + Selector.code16] = 0x0000_9B00_0000_FFFF
    self[Place.gdt + Selector.data16] = 0x0000_9300_0000_FFFF
    self[Place.gdt + Selector.userCode32] = 0x00CF_FB00_0000_FFFF
    self[Place.gdt + Selector.ldt] = 0x0000_8200_0000_00FF | Place.data << 16
    self[Place.tss + 4] = Place.stack - 0x800
    // No I/O permission bitmap: its base is the limit.
    self[Place.tss + 0x60] = 0x68 << 48
  }

  // MARK: The VMCS

  private func writeControls() {
    vmcs.revision = cpu.capabilities.basic.revision
    vmcs.pinBasedControls = cpu.capabilities.adjusted([])
    vmcs.primaryProcessorBasedControls = cpu.capabilities.adjusted([.hltExiting, .activateSecondaryControls])
    vmcs.secondaryProcessorBasedControls = []
    vmcs.exitControls = cpu.capabilities.adjusted([.hostAddressSpaceSize, .saveEFER, .saveDebugControls])
    vmcs.entryControls = cpu.capabilities.adjusted([.ia32eModeGuest, .loadEFER, .loadDebugControls])
    vmcs[.vmcsLinkPointer] = .max
    vmcs[.ioBitmapA] = Place.ioBitmapA
    vmcs[.ioBitmapB] = Place.ioBitmapB
    vmcs[.msrBitmap] = Place.msrBitmap
    vmcs[.vmreadBitmap] = Place.vmreadBitmap
    vmcs[.vmwriteBitmap] = Place.vmwriteBitmap
  }

  func enable(_ controls: PrimaryProcessorBasedControls) {
    vmcs.primaryProcessorBasedControls.formUnion(controls)
  }

  func enable(_ controls: SecondaryProcessorBasedControls) {
    vmcs.secondaryProcessorBasedControls.formUnion(controls)
  }

  func enable(_ controls: PinBasedControls) {
    vmcs.pinBasedControls.formUnion(controls)
  }

  /// Turns on EPT with an identity map of 2-MByte pages.
  func enableEPT(flags: Bool = false) {
    enable(.enableEPT)
    vmcs[.eptPointer] = Place.eptPML4 | 0x1E | (flags ? 1 << 6 : 0)
  }

  private func writeHostState() {
    vmcs[.hostCR0] = 0x8000_0021
    vmcs[.hostCR4] = 0x2020
    vmcs[.hostCSSelector] = 8
    vmcs[.hostTRSelector] = 0x10
    vmcs[.hostRIP] = 0x1000
  }

  private func writeGuestState() {
    vmcs[.guestCR0] = 0x8001_0031
    vmcs[.guestCR3] = Place.pml4
    vmcs[.guestCR4] = 0x2020
    vmcs[.guestEFER] = 0xD01
    vmcs[.guestDR7] = 0x400
    vmcs[.guestRFLAGS] = 2
    vmcs[.guestRIP] = Place.code
    vmcs[.guestRSP] = Place.stack
    vmcs[.guestGDTRBase] = Place.gdt
    vmcs[.guestGDTRLimit] = 0xFF
    vmcs[.guestIDTRBase] = Place.idt
    vmcs[.guestIDTRLimit] = 0xFFF
    setCode(Selector.code64, rights: 0xA09B)
    setData(Selector.data, rights: 0xC093)
    vmcs[.guestLDTRAccessRights] = 0x1_0000
    vmcs[.guestTRSelector] = Selector.tss
    vmcs[.guestTRBase] = Place.tss
    vmcs[.guestTRLimit] = 0x67
    vmcs[.guestTRAccessRights] = 0x8B
  }

  func setCode(_ selector: UInt64, rights: UInt64, base: UInt64 = 0, limit: UInt64 = 0xFFFF_FFFF) {
    vmcs[.guestCSSelector] = selector
    vmcs[.guestCSAccessRights] = rights
    vmcs[.guestCSBase] = base
    vmcs[.guestCSLimit] = limit
  }

  /// Sets SS, DS, ES, FS and GS.
  func setData(_ selector: UInt64, rights: UInt64, base: UInt64 = 0, limit: UInt64 = 0xFFFF_FFFF) {
    let fields: [(VMCSField, VMCSField, VMCSField, VMCSField)] = [
      (.guestSSSelector, .guestSSAccessRights, .guestSSBase, .guestSSLimit),
      (.guestDSSelector, .guestDSAccessRights, .guestDSBase, .guestDSLimit),
      (.guestESSelector, .guestESAccessRights, .guestESBase, .guestESLimit),
      (.guestFSSelector, .guestFSAccessRights, .guestFSBase, .guestFSLimit),
      (.guestGSSelector, .guestGSAccessRights, .guestGSBase, .guestGSLimit),
    ]
    for (selectorField, rightsField, baseField, limitField) in fields {
      vmcs[selectorField] = selector
      vmcs[rightsField] = rights
      vmcs[baseField] = base
      vmcs[limitField] = limit
    }
  }

  /// Makes it a user-mode guest.
  func enterUserMode() {
    setCode(Selector.userCode64 | 3, rights: 0xA0FB)
    setData(Selector.userData | 3, rights: 0xC0F3)
  }

  /// Makes it a 32-bit protected-mode guest without paging.
  func enterProtectedMode() {
    enableEPT()
    enable(.unrestrictedGuest)
    vmcs.entryControls.remove(.ia32eModeGuest)
    vmcs[.guestCR0] = 0x31
    vmcs[.guestEFER] = 0
    setCode(Selector.code32, rights: 0xC09B)
  }

  /// Makes it a real-mode guest, with every segment at 0.
  func enterRealMode() {
    enterProtectedMode()
    vmcs[.guestCR0] = 0x30
    setCode(0, rights: 0x9B, limit: 0xFFFF)
    setData(0, rights: 0x93, limit: 0xFFFF)
    vmcs[.guestRIP] = 0x8000
    vmcs[.guestRSP] = 0x7000
    vmcs[.guestIDTRBase] = 0
    vmcs[.guestIDTRLimit] = 0x3FF
  }

  /// Writes a 64-bit gate.
  func setGate(
    _ vector: UInt64, to offset: UInt64, selector: UInt64 = Selector.code64, type: UInt64 = 0x8E,
    stackTable: UInt64 = 0
  ) {
    self[Place.idt + vector * 16] =
      offset & 0xFFFF | selector << 16 | stackTable << 32 | type << 40 | (offset >> 16 & 0xFFFF) << 48
    self[Place.idt + vector * 16 + 8] = offset >> 32
  }

  /// Writes a gate of protected mode.
  func setGate32(_ vector: UInt64, to offset: UInt64, selector: UInt64 = Selector.code32, type: UInt64 = 0x8E)
  {
    self[Place.idt + vector * 8] =
      offset & 0xFFFF | selector << 16 | type << 40 | (offset >> 16 & 0xFFFF) << 48
  }

  // MARK: Running

  /// Enters the guest; a run without an end fails the test.
  func run(limit: UInt64 = 100_000) -> EntryOutcome {
    cpu.clock.pointee.instructionLimit = cpu.clock.pointee.instructions + limit
    return cpu.enter(vmcs)
  }

  /// Enters the guest and expects a VM exit with this basic reason.
  func expectExit(_ reason: ExitReason, sourceLocation: SourceLocation = #_sourceLocation) {
    #expect(run() == .exit(ExitReasonField(reason)), sourceLocation: sourceLocation)
  }

  var registers: UnsafeMutablePointer<RegisterFile> { cpu.registers }
}
