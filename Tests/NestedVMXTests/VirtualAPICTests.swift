import NestedVMX
import Testing
import VMX
import X86

@Suite("APIC virtualization for L2")
struct VirtualAPICTests {
  let machine: TestMachine

  /// Where the pages lie in L1's memory; `device` is no memory.
  private enum Place {
    static let virtualAPIC: UInt64 = 0x4_0000
    static let apicAccess: UInt64 = 0x4_1000
    static let descriptor: UInt64 = 0x4_2040
    static let device: UInt64 = 0xFEE0_0000
    static let notification: UInt64 = 0xF2
  }

  init() throws {
    machine = try TestMachine()
    machine.prepareVMCS12()
    vmcs12[.virtualAPICAddress] = Place.virtualAPIC
    vmcs12[.apicAccessAddress] = Place.apicAccess
    vmcs12[.postedInterruptDescriptorAddress] = Place.descriptor
    vmcs12[.postedInterruptNotificationVector] = Place.notification
  }

  private var vmcs12: VMCS { machine.vmcs12 }
  private var vmcs02: VMCS { machine.vmx.vmcs02 }

  private func enable(_ secondary: SecondaryProcessorBasedControls) {
    vmcs12.pinBasedControls.insert(.externalInterruptExiting)
    vmcs12.primaryProcessorBasedControls.insert([.useTPRShadow, .useMSRBitmaps])
    vmcs12[.msrBitmap] = TestMachine.msrBitmap
    vmcs12.secondaryProcessorBasedControls = secondary.union(.enableEPT)
  }

  private func enablePostedInterrupts() {
    enable(.virtualInterruptDelivery)
    vmcs12.pinBasedControls.insert(.processPostedInterrupts)
    vmcs12.exitControls.insert(.acknowledgeInterruptOnExit)
  }

  private func enter() { #expect(machine.execute(.vmlaunch) == .enterL2(loadMSRs: .none)) }

  // MARK: The merge

  @Test func theAccessPageIsTranslated() {
    enable(.virtualizeAPICAccesses)
    enter()
    #expect(vmcs02[.apicAccessAddress] == Place.apicAccess + TestMemory.offset)
    #expect(vmcs02.secondaryProcessorBasedControls.contains(.virtualizeAPICAccesses))
    _ = machine.reflectFromL2(.cpuid)
    vmcs12.secondaryProcessorBasedControls.remove(.virtualizeAPICAccesses)
    machine.execute(.vmresume)
    #expect(vmcs02[.apicAccessAddress] == 0)
  }

  @Test func aPageOfL0StandsInForAnAccessPageThatIsNoMemory() {
    enable(.virtualizeAPICAccesses)
    vmcs12[.apicAccessAddress] = Place.device
    machine.setTablesOfEPT12()
    machine.setLeafOfEPT12(5, Place.device | 0x37)
    enter()
    let standIn = vmcs02[.apicAccessAddress]
    #expect(machine.pages.pointer(to: PhysicalAddress(standIn)) != nil)
    #expect(machine.violate(0x5000) == .keptByL0(.composedEPT))
    #expect(machine.leafOfEPT02(0x5000).map { $0 & 0xF_FFFF_FFFF_F000 } == standIn)
    _ = machine.reflectFromL2(.cpuid)
    vmcs12.secondaryProcessorBasedControls.remove(.virtualizeAPICAccesses)
    machine.execute(.vmresume)
    #expect(machine.violate(0x5000) == .keptByL0(.memoryOfL1), "to the next L2 it is a device")
  }

  @Test func withoutEPTAnAccessToSuchAPageIsAnExitToL1() throws {
    let machine = try TestMachine()
    machine.prepareVMCS12(ept: false)
    machine.vmcs12.secondaryProcessorBasedControls = .virtualizeAPICAccesses
    machine.vmcs12[.apicAccessAddress] = Place.device
    machine.execute(.vmlaunch)
    machine.vmx.vmcs02[.guestPhysicalAddress] = Place.device + 0x300
    guard case .reflectedToL1(let exit) = machine.exitL2(.eptViolation, qualification: 0x182) else {
      Issue.record("L0 kept the access")
      return
    }
    #expect(exit.reason.basic == .apicAccess)
    #expect(exit.qualification == APICAccessQualification(.linearWrite, offset: 0x300).rawValue)
  }

  @Test func statusAndBitmapsAreMergedWhereTheyAreUsed() {
    vmcs12[.guestInterruptStatus] = 0x3141
    vmcs12[.eoiExitBitmap2] = 0xF0
    let before = machine.vmx.work
    machine.execute(.vmlaunch)
    let unused = machine.vmx.work.since(before).vmcsWrites
    #expect(vmcs02[.guestInterruptStatus] == 0 && vmcs02[.eoiExitBitmap2] == 0)
    _ = machine.reflectFromL2(.cpuid)
    enable([.virtualInterruptDelivery, .apicRegisterVirtualization])
    vmcs12[.guestInterruptStatus] = 0x3141
    let middle = machine.vmx.work
    machine.execute(.vmresume)
    #expect(vmcs02[.guestInterruptStatus] == 0x3141 && vmcs02[.eoiExitBitmap2] == 0xF0)
    #expect(machine.vmx.work.since(middle).vmcsWrites > unused, "and they cost only then")
  }

  @Test func anExitSavesTheInterruptStatus() {
    enable(.virtualInterruptDelivery)
    enter()
    vmcs02[.guestInterruptStatus] = 0x5262
    _ = machine.reflectFromL2(.cpuid)
    #expect(vmcs12[.guestInterruptStatus] == 0x5262)
    vmcs12.secondaryProcessorBasedControls.remove(.virtualInterruptDelivery)
    machine.execute(.vmresume)
    vmcs02[.guestInterruptStatus] = 0x1111
    _ = machine.reflectFromL2(.cpuid)
    #expect(vmcs12[.guestInterruptStatus] == 0x5262, "without virtual-interrupt delivery it stays")
  }

  @Test func taskPriorityIsL0sWithoutAShadowOfL1() {
    let exits: PrimaryProcessorBasedControls = [.cr8LoadExiting, .cr8StoreExiting]
    machine.vmcs01.primaryProcessorBasedControls.insert(exits)
    enter()
    #expect(vmcs02.primaryProcessorBasedControls.isSuperset(of: exits))
    _ = machine.reflectFromL2(.cpuid)
    enable([])
    machine.execute(.vmresume)
    #expect(vmcs02.primaryProcessorBasedControls.isDisjoint(with: exits))
    _ = machine.reflectFromL2(.cpuid)
    vmcs12.primaryProcessorBasedControls.insert(.cr8StoreExiting)
    machine.execute(.vmresume)
    #expect(vmcs02.primaryProcessorBasedControls.intersection(exits) == .cr8StoreExiting)
  }

  // MARK: x2APIC mode

  /// The MSRs of 800H to 8FFH of which vmcs02 lets an access through.
  private func openMSRs(isWrite: Bool) -> [UInt32] {
    guard let bitmap = machine.pages.pointer(to: PhysicalAddress(vmcs02[.msrBitmap])) else { return [] }
    return (UInt32(0x800)...0x8FF).filter { index in
      guard let position = MSRBitmap.position(of: index, isWrite: isWrite) else { return false }
      return bitmap.load(fromByteOffset: Int(position.offset), as: UInt8.self) & position.mask == 0
    }
  }

  @Test func onlyVirtualizedRegistersReachTheProcessor() {
    enable(.virtualizeX2APICMode)
    enter()
    #expect(openMSRs(isWrite: false) == [0x808])
    #expect(openMSRs(isWrite: true) == [0x808])
    _ = machine.reflectFromL2(.cpuid)
    enable([.virtualizeX2APICMode, .apicRegisterVirtualization, .virtualInterruptDelivery])
    machine.execute(.vmresume)
    #expect(openMSRs(isWrite: false) == Array(0x800...0x8FF))
    #expect(openMSRs(isWrite: true) == [0x808, 0x80B, 0x83F])
    _ = machine.reflectFromL2(.cpuid)
    enable([])
    machine.execute(.vmresume)
    #expect(openMSRs(isWrite: false).isEmpty, "all others are of the APIC that L0 gives L1")
    #expect(openMSRs(isWrite: true).isEmpty)
  }

  @Test func l1InterceptsWhatItWants() {
    enable([.virtualizeX2APICMode, .apicRegisterVirtualization, .virtualInterruptDelivery])
    machine.memory[TestMachine.msrBitmap + 0x100] = 1 << 8
    machine.memory[TestMachine.msrBitmap + 0x900] = 1 << 11
    enter()
    #expect(!openMSRs(isWrite: false).contains(0x808))
    #expect(openMSRs(isWrite: true) == [0x808, 0x83F])
  }

  // MARK: Exits

  @Test func exitsOfAPICVirtualizationAreL1s() {
    let cases: [(ExitReason, SecondaryProcessorBasedControls)] = [
      (.apicAccess, .virtualizeAPICAccesses), (.apicWrite, .apicRegisterVirtualization),
      (.apicWrite, .virtualInterruptDelivery), (.virtualizedEOI, .virtualInterruptDelivery),
      (.tprBelowThreshold, []),
    ]
    enter()
    for (reason, controls) in cases {
      enable(controls)
      guard case .reflectedToL1(let exit) = machine.exitL2(reason, qualification: 0x80) else {
        Issue.record("\(reason.name) was kept")
        continue
      }
      #expect(exit.reason.basic == reason && exit.qualification == 0x80)
    }
  }

  @Test func aLoweredVirtualTPRIsAnExitAndNoRefusedEntry() {
    enable([])
    vmcs12[.tprThreshold] = 3
    machine.memory[Place.virtualAPIC + 0x80] = 0x30
    enter()
    #expect(machine.vmx.exitOfRefusedEntry() == nil)
    machine.memory[Place.virtualAPIC + 0x80] = 0x20
    #expect(machine.vmx.exitOfRefusedEntry()?.basic == .tprBelowThreshold)
    #expect(vmcs02.exitReason.basic == .tprBelowThreshold)
  }

  // MARK: Posted interrupts

  @Test func notificationsAreOfL2Alone() {
    enablePostedInterrupts()
    #expect(!isNotification(0xF2), "L1 runs")
    enter()
    #expect(isNotification(0xF2))
    #expect(!isNotification(0xF1))
    #expect(!vmcs02.pinBasedControls.contains(.processPostedInterrupts), "L0 does it")
    vmcs12.pinBasedControls.remove(.processPostedInterrupts)
    #expect(!isNotification(0xF2))
  }

  private func isNotification(_ vector: UInt8) -> Bool { machine.vmx.isNotification(vector) }

  @Test func postedRequestsGoToTheVirtualAPICPage() {
    enablePostedInterrupts()
    vmcs12[.guestInterruptStatus] = 0x2045
    enter()
    machine.memory[Place.descriptor] = 1 << 0x23
    machine.memory[Place.descriptor + 8] = 1 << 0x01 | 1 << 0x25
    machine.memory[Place.descriptor + 32] = 0xAB01
    machine.memory[Place.virtualAPIC + 0x210] = 1 << 0x1F
    machine.vmx.processPostedInterrupts()
    #expect(machine.memory[Place.descriptor] == 0 && machine.memory[Place.descriptor + 8] == 0)
    #expect(machine.memory[Place.descriptor + 32] == 0xAB00, "the outstanding notification alone is cleared")
    #expect(machine.memory[Place.virtualAPIC + 0x210] & 0xFFFF_FFFF == 1 << 0x03 | 1 << 0x1F)
    #expect(machine.memory[Place.virtualAPIC + 0x220] & 0xFFFF_FFFF == 1 << 0x01)
    #expect(machine.memory[Place.virtualAPIC + 0x230] & 0xFFFF_FFFF == 1 << 0x05)
    #expect(vmcs02[.guestInterruptStatus] == 0x2065, "RVI is the highest")
    machine.memory[Place.descriptor] = 1 << 0x23
    machine.vmx.processPostedInterrupts()
    #expect(vmcs02[.guestInterruptStatus] == 0x2065, "and falls for no lower one")
  }

  @Test func aDescriptorThatIsNoMemoryHoldsNothing() {
    enablePostedInterrupts()
    vmcs12[.postedInterruptDescriptorAddress] = Place.device
    enter()
    machine.vmx.processPostedInterrupts()
    #expect(vmcs02[.guestInterruptStatus] == 0)
  }

  // MARK: HLT

  @Test func whatEndsHLT() {
    enable(.virtualInterruptDelivery)
    vmcs12[.guestRFLAGS] = 0x202
    vmcs12[.guestInterruptStatus] = 0x51
    enter()
    #expect(endsHLT)
    machine.memory[Place.virtualAPIC + 0x80] = 0x50
    #expect(!endsHLT, "the task priority holds it back")
    machine.memory[Place.virtualAPIC + 0x80] = 0
    vmcs02[.guestRFLAGS] = 2
    #expect(!endsHLT, "interrupts are off")
    vmcs02.secondaryProcessorBasedControls = .virtualizeAPICAccesses
    vmcs02[.tprThreshold] = 1
    #expect(endsHLT, "the threshold is above the task priority")
    vmcs02[.tprThreshold] = 0
    #expect(!endsHLT)
  }

  private var endsHLT: Bool { machine.vmx.virtualAPICEndsHLT }
}
