import CInstructions
import NestedVMX
import VMX
import X86

/// What an exit demands.
extension Carrier {
  mutating func handle(_ reason: ExitReasonField) {
    switch vmx.route(reason) {
    case .reflectedToL1(let exit): reflect(exit)
    case .keptByL0(.vmxInstruction): execute(reason)
    case .keptByL0(let handler):
      switch handler {
      case .composedEPT, .virtualizationException: break
      // The guest's own interrupts do not exit, so that its guest's do only because it wants them.
      case .externalInterrupt:
        let vector = vmx.vmcs02.exitInterruptionInformation.vector
        guard vmx.isNotification(vector) else { return reflect(vmx.externalInterrupt(vector: vector)) }
        endInterrupt()
        readRestOfGuestState()
        vmx.processPostedInterrupts()
      case .nonMaskableInterrupt: return reflect(vmx.nonMaskableInterrupt())
      case .emulation: emulate(reason)
      case .outOfPages: refuse(reason, "no page is left for the composed EPT")
      case .memoryOfL1: refuse(reason, "the guest has no memory there")
      default: refuse(reason, "unexpected")
      }
      vmx.prepareToResume()
    }
  }

  mutating func reflect(_ exit: ExitInformation) {
    readRestOfGuestState()
    readShadowOfL2()
    perform(vmx.reflect(exit))
  }

  private mutating func execute(_ reason: ExitReasonField) {
    guard let basic = reason.basic else { refuse(reason, "unexpected") }
    if !isFieldAccessByRegisters(basic) {
      readRestOfGuestState()
      readShadowOfGuest()
    }
    switch vmx.execute(basic) {
    case .succeeded, .failInvalid, .failValid, .fault: break
    case .enterL2(let list):
      acknowledgeInterruptsAsWanted()
      writeShadowOfL2()
      loadMSRsAtEntry(list)
    case .entryFailed(let reflection, _): perform(reflection)
    }
  }

  /// Whether the exit is a VMREAD or VMWRITE without an operand in memory, by far the most frequent VMX instructions.
  private func isFieldAccessByRegisters(_ reason: ExitReason) -> Bool {
    let information = ExitInstructionInformation(
      rawValue: UInt32(truncatingIfNeeded: vmx.running[.exitInstructionInformation]))
    return (reason == .vmread || reason == .vmwrite) && information.isRegister
  }

  /// An interrupt that exits is the guest's, so it is acknowledged exactly if the guest asks for that.
  private func acknowledgeInterruptsAsWanted() {
    var controls = vmx.vmcs02.exitControls
    if vmx.acknowledgesInterrupts {
      controls.insert(.acknowledgeInterruptOnExit)
    } else {
      controls.remove(.acknowledgeInterruptOnExit)
    }
    vmx.vmcs02.exitControls = controls
  }

  /// The EOI of an interrupt that notifies of posted ones, which the processor's own processing of them writes.
  ///
  /// Source: SDM volume 3, "Posted-Interrupt Processing".
  private func endInterrupt() {
    let base = rdmsr(ModelSpecificRegister.apicBase.rawValue)
    let isX2APIC: UInt64 = 1 << 10
    let endOfInterrupt: UInt64 = 0xB0
    if base & isX2APIC != 0 {
      wrmsr(ModelSpecificRegister.x2APICFirst.rawValue + UInt32(endOfInterrupt >> 4), 0)
    } else {
      store32(base & EPTEntry.addressMask &+ endOfInterrupt, 0)
    }
  }

  private mutating func emulate(_ reason: ExitReasonField) {
    switch reason.basic {
    case .cpuid: emulateCPUID()
    case .rdmsr: emulateRDMSR()
    case .wrmsr: emulateWRMSR()
    case .controlRegisterAccess: emulateControlRegisterAccess(reason)
    case .xsetbv:
      let value = registers.pointee.rdx << 32 | registers.pointee.rax & 0xFFFF_FFFF
      complete(unless: !try_xsetbv(UInt32(truncatingIfNeeded: registers.pointee.rcx), value))
    case .invd, .wbinvd:
      wbinvd()
      skipInstruction()
    default: refuse(reason, "unexpected")
    }
  }

  /// The guest gets what the carrier gets, but for the bits that tell what the operating system has enabled in CR4.
  private mutating func emulateCPUID() {
    let leaf = UInt32(truncatingIfNeeded: registers.pointee.rax)
    let subleaf = UInt32(truncatingIfNeeded: registers.pointee.rcx)
    var result = cpuid(leaf, subleaf)
    let cr4 = CR4(rawValue: vmx.running[.guestCR4])
    if leaf == CPUIDLeaf.features {
      var features = CPUIDFeaturesECX(rawValue: result.ecx)
      if cr4.contains(.osxsave) { features.insert(.osxsave) } else { features.remove(.osxsave) }
      result.ecx = features.rawValue
    }
    if leaf == CPUIDLeaf.extendedFeatures, subleaf == 0 {
      var features = CPUIDExtendedFeaturesECX(rawValue: result.ecx)
      if cr4.contains(.pke) { features.insert(.ospke) } else { features.remove(.ospke) }
      result.ecx = features.rawValue
    }
    registers.pointee.rax = UInt64(result.eax)
    registers.pointee.rbx = UInt64(result.ebx)
    registers.pointee.rcx = UInt64(result.ecx)
    registers.pointee.rdx = UInt64(result.edx)
    skipInstruction()
  }

  /// A write that changes CR0.NE or CR4.VMXE, or in VMX operation CR0.PE or CR0.PG. If the guest may make it, the read
  /// shadow takes the new value of these bits and the instruction is executed again: it does not exit any more, and the
  /// processor does all the rest.
  private mutating func emulateControlRegisterAccess(_ reason: ExitReasonField) {
    let access = ControlRegisterQualification(rawValue: vmx.running[.exitQualification])
    let vmcs = vmx.running
    switch (access.access, access.number) {
    case (.movToCR, 0):
      let value = operand(access.register)
      guard vmx.isInL2 || vmx.allowsCR0(value) else { return raise(.generalProtection, errorCode: 0) }
      show(value, in: .cr0ReadShadow, .cr0GuestHostMask)
    case (.movToCR, 4):
      let value = operand(access.register)
      guard vmx.isInL2 || vmx.allowsCR4(value) else { return raise(.generalProtection, errorCode: 0) }
      show(value, in: .cr4ReadShadow, .cr4GuestHostMask)
    case (.lmsw, _):
      // It sets PE, or nothing that the carrier owns.
      vmcs[.cr0ReadShadow] |= UInt64(access.lmswSource) & CR0.pe.rawValue
    default: refuse(reason, "unexpected")
    }
  }

  private func operand(_ register: GeneralRegister) -> UInt64 {
    let value = register == .rsp ? vmx.running[.guestRSP] : registers[register]
    let is64Bit = EFER(rawValue: vmx.running[.guestEFER]).contains(.lma)
    return is64Bit ? value : value & 0xFFFF_FFFF
  }

  private func show(_ value: UInt64, in shadow: VMCSField, _ mask: VMCSField) {
    let vmcs = vmx.running
    vmcs[shadow] = vmcs[shadow] & ~vmcs[mask] | value & vmcs[mask]
  }

  // MARK: How an instruction ends

  func skipInstruction() { Core.skipInstruction(in: vmx.running) }

  /// Ends the instruction, or has it raise #GP(0).
  func complete(unless faults: Bool) {
    if faults { raise(.generalProtection, errorCode: 0) } else { skipInstruction() }
  }

  private func raise(_ vector: ExceptionVector, errorCode: UInt32) {
    let vmcs = vmx.running
    vmcs.entryInterruptionInformation = InterruptionInformation(vector, hasErrorCode: true)
    vmcs[.entryExceptionErrorCode] = UInt64(errorCode)
  }

  /// Says why an exit cannot be handled, and ends the run.
  func refuse(_ reason: ExitReasonField, _ why: StaticString) -> Never {
    let vmcs = vmx.running
    Serial.write(vmx.isInL2 ? "failed: VM exit of the guest's guest: " : "failed: VM exit of the guest: ")
    if let basic = reason.basic { Serial.write(basic.name) } else { Serial.write(UInt64(reason.basicNumber)) }
    Serial.write(", qualification ")
    Serial.write(hexadecimal: vmcs[.exitQualification])
    Serial.write(", guest-physical address ")
    Serial.write(hexadecimal: vmcs[.guestPhysicalAddress])
    Serial.write(", at RIP ")
    Serial.write(hexadecimal: vmcs[.guestRIP])
    Serial.write(": ")
    Serial.writeLine(why)
    finish(.failure)
  }
}
