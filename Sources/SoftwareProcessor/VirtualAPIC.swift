import VMX

/// What APIC virtualization needs while a guest runs, beside the VMCS and the virtual-APIC page.
struct VirtualAPICState {
  /// The APIC-access page's L0-physical address, or ``noPage`` without "virtualize APIC accesses".
  var accessPage = Self.noPage
  /// The offset of the register that the instruction being executed has written, or ``noWrite``.
  var pendingWrite = Self.noWrite
  /// Whether the interpreter executes one instruction alone, whose write to the APIC-access page is emulated behind it.
  var isStepping = false
  /// Whether an event is being delivered.
  var isDelivering = false
  /// Whether a pending virtual interrupt is recognised.
  var recognizesInterrupt = false

  /// No page has this address.
  static let noPage: UInt64 = 1
  static let noWrite: UInt16 = .max

  init() {}

  init(_ vmcs: VMCS, _ secondary: SecondaryProcessorBasedControls) {
    if secondary.contains(.virtualizeAPICAccesses) { accessPage = vmcs[.apicAccessAddress] & ~0xFFF }
  }
}

/// The virtual-APIC page, in L0-physical memory. Where there is no memory, its registers read as ones and take no store.
struct VirtualAPIC {
  let core: Core
  let page: UInt64

  /// The 32-bit register at `offset`.
  subscript(offset: UInt64) -> UInt32 {
    get { core.loadPhysical(page &+ offset, as: UInt32.self) }
    nonmutating set { core.storePhysical(newValue, at: page &+ offset) }
  }

  /// VTPR.
  var taskPriority: UInt8 { UInt8(truncatingIfNeeded: self[VirtualAPICRegister.taskPriority]) }

  /// VPPR.
  var processorPriority: UInt8 {
    get { UInt8(truncatingIfNeeded: self[VirtualAPICRegister.processorPriority]) }
    nonmutating set { self[VirtualAPICRegister.processorPriority] = UInt32(newValue) }
  }

  // MARK: VISR and VIRR

  func insert(_ vector: UInt8, into register: UInt64) {
    self[VirtualAPICRegister.word(of: vector, from: register)] |= 1 << UInt32(vector & 31)
  }

  func remove(_ vector: UInt8, from register: UInt64) {
    self[VirtualAPICRegister.word(of: vector, from: register)] &= ~(1 << UInt32(vector & 31))
  }

  /// The highest vector of a 256-bit register, or 0 without any.
  func highest(in register: UInt64) -> UInt8 {
    var number: UInt64 = 8
    while number > 0 {
      number &-= 1
      let word = self[register &+ number &* 16]
      if word != 0 {
        return UInt8(truncatingIfNeeded: number &* 32 &+ UInt64(31 &- word.leadingZeroBitCount))
      }
    }
    return 0
  }
}

extension Core {
  var virtualAPIC: VirtualAPIC { VirtualAPIC(core: self, page: vmcs[.virtualAPICAddress]) }

  /// Whether the guest's virtual interrupts are the processor's to deliver.
  var deliversVirtualInterrupts: Bool { nonRoot.pointee.secondary.contains(.virtualInterruptDelivery) }

  var usesTPRShadow: Bool { nonRoot.pointee.primary.contains(.useTPRShadow) }
}
