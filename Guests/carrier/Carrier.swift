import CInstructions
import NestedVMX
import VMX
import X86

/// Runs one guest that has the machine to itself, and gives it VMX.
///
/// In the nested core's names the carrier is L0, its guest L1, and what the guest runs L2, whatever lies below.
struct Carrier: ~Copyable {
  typealias Core = VirtualVMX<CarriedMemory, PagePool>

  var vmx: Core
  let registers: UnsafeMutablePointer<RegisterFile>
  let capabilities: VMXCapabilities
  var vmcs01: HardwareVMCS
  var vmcs02: HardwareVMCS
  /// The address of the processor's VMCS that is current, or 0.
  var current: UInt64
  let pool: PagePool
  /// How many fields the core had copied to the guest's shadow VMCS when the processor's was written last.
  var seenFieldsToShadow: UInt64 = 0

  /// Prepares everything that `start` needs to run in `memory`.
  init(
    _ capabilities: VMXCapabilities, _ memory: CarriedMemory, _ start: GuestStart, _ pool: PagePool,
    _ options: Options
  ) {
    let vmcs = VMCS(region: pool.take().bytes)
    VMCS01(vmcs: vmcs, capabilities: capabilities).write(
      ept01: EPT01(memory, pool, capabilities.eptAndVPID), msrBitmap: Self.msrBitmap(pool), start)
    registers = .allocate(capacity: 1)
    registers.initialize(to: RegisterFile())
    registers.pointee.rax = start.rax
    registers.pointee.rbx = start.rbx
    do throws(NestedSetupError) {
      vmx = try Core(
        vmcs01: vmcs, registers: registers, processor: Self.usable(capabilities), memory: memory, pages: pool,
        policy: NestedPolicy(vmcsAccess: options.vmcsAccess, eptComposition: .ahead),
        physicalAddressWidth: Self.physicalAddressWidth)
    } catch {
      fail("the carrier has too few pages for the nested core")
    }
    let fields = ExchangedFields(of: capabilities)
    vmcs01 = HardwareVMCS(vmcs, revision: capabilities.basic.revision, fields, pool)
    vmcs02 = HardwareVMCS(vmx.vmcs02, revision: capabilities.basic.revision, fields, pool)
    current = vmcs02.region
    self.capabilities = capabilities
    self.pool = pool
  }

  /// What of the processor's the core can use: VMCS shadowing only if the carrier can write all of a shadow VMCS.
  private static func usable(_ capabilities: VMXCapabilities) -> VMXCapabilities {
    guard !capabilities.miscellaneous.allowsWritingReadOnlyFields else { return capabilities }
    var usable = capabilities
    usable.secondaryProcessorBased &= ~(UInt64(SecondaryProcessorBasedControls.vmcsShadowing.rawValue) << 32)
    return usable
  }

  private static var physicalAddressWidth: UInt8 {
    UInt8(truncatingIfNeeded: cpuid(CPUIDLeaf.addressSizes, 0).eax)
  }

  /// Lets every MSR through but those of VMX.
  private static func msrBitmap(_ pool: PagePool) -> UInt64 {
    let page = pool.take()
    func intercept(_ index: UInt32, isWrite: Bool) {
      guard let position = MSRBitmap.position(of: index, isWrite: isWrite) else { return }
      let byte = page.bytes + Int(position.offset)
      byte.storeBytes(of: byte.load(as: UInt8.self) | position.mask, as: UInt8.self)
    }
    func intercept(_ index: UInt32) {
      intercept(index, isWrite: false)
      intercept(index, isWrite: true)
    }
    intercept(ModelSpecificRegister.featureControl.rawValue)
    for index in VMXCapabilities.firstMSR...VMXCapabilities.lastMSR { intercept(index) }
    return page.address.rawValue
  }

  /// Runs the guest. It ends the run itself, or the carrier does with a line about why.
  mutating func run() -> Never {
    while true {
      handle(enter())
      while let invalidation = vmx.takeInvalidation() { perform(invalidation) }
    }
  }

  /// Enters the guest or its guest; gives the exit's reason.
  private mutating func enter() -> ExitReasonField {
    writeShadowOfGuest()
    makeCurrent()
    if registers.pointee.cr2 != read_cr2() { write_cr2(registers.pointee.cr2) }
    let entered = vmx.isInL2 ? vmcs02.enter(registers) : vmcs01.enter(registers)
    guard entered else {
      guard let reason = vmx.exitOfRefusedEntry() else { vmxFailed("VM entry") }
      return reason
    }
    registers.pointee.cr2 = read_cr2()
    return vmx.running.exitReason
  }

  /// Reads what else the last exit has saved. To be called before the level changes.
  func readRestOfGuestState() {
    if vmx.isInL2 { vmcs02.readRestOfGuestState() } else { vmcs01.readRestOfGuestState() }
  }

  private mutating func makeCurrent() {
    let wanted = vmx.isInL2 ? vmcs02.region : vmcs01.region
    guard current != wanted else { return }
    current = wanted
    if vmx.isInL2 { vmcs02.makeCurrent() } else { vmcs01.makeCurrent() }
  }

  private func perform(_ invalidation: NestedInvalidation) {
    let failed =
      switch invalidation {
      case .ept(let pointer): invept(INVEPTType.singleContext.rawValue, pointer)
      case .vpid(let vpid): forgetLinearMappings(of: vpid)
      case .address(let vpid, let linear):
        capabilities.eptAndVPID.contains(.invvpidIndividualAddress)
          ? invvpid(INVVPIDType.individualAddress.rawValue, UInt64(vpid), linear)
          : forgetLinearMappings(of: vpid)
      }
    if failed { vmxFailed("INVEPT or INVVPID") }
  }

  private func forgetLinearMappings(of vpid: UInt16) -> Bool {
    capabilities.eptAndVPID.contains(.invvpidSingleContext)
      ? invvpid(INVVPIDType.singleContext.rawValue, UInt64(vpid), 0)
      : invvpid(INVVPIDType.allContexts.rawValue, 0, 0)
  }
}
