import CInstructions
import NestedVMX
import VMX
import X86

/// MSRs: those of VMX are the nested core's, some have a field in the VMCS, and all others the guest has itself.
extension Carrier {
  /// RDMSR that exits: of an MSR of VMX, or of one that no bitmap has a bit for.
  mutating func emulateRDMSR() {
    let index = UInt32(truncatingIfNeeded: registers.pointee.rcx)
    guard let value = read(index, of: vmx.running) else { return complete(unless: true) }
    registers.pointee.rax = value & 0xFFFF_FFFF
    registers.pointee.rdx = value >> 32
    skipInstruction()
  }

  mutating func emulateWRMSR() {
    let value = registers.pointee.rdx << 32 | registers.pointee.rax & 0xFFFF_FFFF
    let index = UInt32(truncatingIfNeeded: registers.pointee.rcx)
    complete(unless: !write(index, value, of: vmx.running))
  }

  /// The guest-state field that holds an MSR, or nil.
  private static func field(of index: UInt32) -> VMCSField? {
    switch ModelSpecificRegister(rawValue: index) {
    case .efer: .guestEFER
    case .pat: .guestPAT
    case .debugCtl: .guestDebugCtl
    case .sysenterCS: .guestSysenterCS
    case .sysenterESP: .guestSysenterESP
    case .sysenterEIP: .guestSysenterEIP
    case .fsBase: .guestFSBase
    case .gsBase: .guestGSBase
    default: nil
    }
  }

  /// What the guest of `vmcs` reads, or nil if it gets #GP(0).
  private func read(_ index: UInt32, of vmcs: VMCS) -> UInt64? {
    if let value = vmx.readMSR(index) { return value }
    if (VMXCapabilities.firstMSR...VMXCapabilities.lastMSR).contains(index) { return nil }
    if let field = Self.field(of: index) { return vmcs[field] }
    var value: UInt64 = 0
    return try_rdmsr(index, &value) ? value : nil
  }

  /// Writes an MSR of the guest of `vmcs`; false if it gets #GP(0).
  private mutating func write(_ index: UInt32, _ value: UInt64, of vmcs: VMCS) -> Bool {
    if let isDone = vmx.writeMSR(index, value) { return isDone }
    if (VMXCapabilities.firstMSR...VMXCapabilities.lastMSR).contains(index) { return false }
    guard let field = Self.field(of: index) else { return try_wrmsr(index, value) }
    // What the processor would refuse in its own register, it refuses.
    var own: UInt64 = 0
    guard try_rdmsr(index, &own) else { return false }
    guard try_wrmsr(index, index == ModelSpecificRegister.efer.rawValue ? value | own : value) else {
      return false
    }
    _ = try_wrmsr(index, own)
    vmcs[field] = value
    return true
  }

  // MARK: The lists of VM entries and VM exits between the guest and its guest

  /// Performs what a VM exit to the guest stores and loads. A failure is a VMX abort, which ends the run.
  mutating func perform(_ reflection: Reflection) {
    if !store(reflection.storeMSRs, from: vmx.vmcs02) {
      abort(.savingGuestMSRs)
    } else if let cause = reflection.abort {
      abort(cause)
    } else if load(reflection.loadMSRs, into: vmx.vmcs01) != nil {
      abort(.loadingHostMSRs)
    }
  }

  /// Performs what a VM entry loads. A failure is a failed VM entry.
  mutating func loadMSRsAtEntry(_ list: MSRList) {
    guard let position = load(list, into: vmx.vmcs02) else { return }
    perform(vmx.failEntry(loadingEntry: position))
  }

  /// Source: SDM volume 3, "Loading MSRs".
  private mutating func load(_ list: MSRList, into vmcs: VMCS) -> UInt32? {
    for position in 0..<list.count {
      let entry = vmx.entry(position, of: list)
      guard !entry.mustNotBeLoaded, write(entry.index, entry.value, of: vmcs) else { return position }
    }
    return list.isTooLong ? list.count : nil
  }

  /// Source: SDM volume 3, "Saving MSRs".
  private mutating func store(_ list: MSRList, from vmcs: VMCS) -> Bool {
    for position in 0..<list.count {
      let entry = vmx.entry(position, of: list)
      guard !entry.mustNotBeStored, let value = read(entry.index, of: vmcs),
        vmx.store(value, inEntry: position, of: list)
      else { return false }
    }
    return !list.isTooLong
  }

  private mutating func abort(_ cause: VMXAbort) -> Never {
    vmx.abort(cause)
    Serial.write("failed: VMX abort ")
    Serial.write(UInt64(cause.rawValue))
    Serial.writeLine(" of the guest")
    finish(.failure)
  }
}
