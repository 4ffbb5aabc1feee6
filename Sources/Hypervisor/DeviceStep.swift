import InstructionDecoder
import Translation
import VMX
import X86

/// An instruction of L1 that accesses devices, and that the processor itself executes, because L0 has no emulation of it:
/// a move of a vector or an x87 register, a far jump, a push.
///
/// Each page of a device that it accesses is replaced by a window for as long: a page of L0's that holds what the device
/// reads, and from which L0 gives the device what was written. The monitor trap flag returns to L0 behind the
/// instruction; an exception, behind which it has not happened, does so too.
struct DeviceStep {
  /// Some of the bytes of one access, on one page.
  struct Part {
    var first: PhysicalAddress<L1>
    var count: UInt64
  }

  /// A page, and what of it is accessed: an operand across two linear pages that are one physical page has two parts.
  struct Window {
    var mapping: EPT01Window
    var parts: [Part]
    var isWritten: Bool
  }

  let instruction: Instruction
  /// vmcs01's exception bitmap, which L0 puts back afterwards.
  let exceptionBitmap: UInt64
  var windows: [Window] = []

  /// The pages that one instruction may access: its operand and the stack, both across pages.
  static let windowLimit = 4
}

/// The linear addresses that an instruction accesses, as far as it accesses one operand whole, or one slot of the stack.
struct AccessedOperand {
  var first: UInt64
  var count: UInt64

  /// The access of `emulator`'s instruction that meets `linear`; nil if what it accesses is not known.
  init?(_ emulator: InstructionEmulator, meeting linear: UInt64) {
    let instruction = emulator.instruction
    if let size = Self.size(of: instruction),
      let first = try? emulator.operandAddress(size: size, .read), linear &- first < UInt64(size)
    {
      (self.first, count) = (first, UInt64(size))
      return
    }
    guard let slot = Self.stackSlot(of: emulator) else { return nil }
    if linear &- slot < UInt64(instruction.operandSize) {
      (first, count) = (slot, UInt64(instruction.operandSize))
    } else if instruction.mnemonic == .enter {
      // It checks that the frame can be written, and writes nothing there.
      (first, count) = (linear, 0)
    } else {
      return nil
    }
  }

  /// The size of the memory operand, unless the instruction accesses but parts of it, or much more.
  private static func size(of instruction: Instruction) -> UInt8? {
    switch instruction.mnemonic {
    case .maskmovq, .maskmovdqu, .vmaskmovps, .vmaskmovpd, .vpmaskmov: return nil
    case .vgatherdp, .vgatherqp, .vpgatherd, .vpgatherq, .movdir64b, .callFar: return nil
    case .xsave, .xrstor, .xsaveopt, .xsavec, .xsaves, .xrstors, .fxsave, .fxrstor: return nil
    default: break
    }
    let operands = [instruction.operand0, instruction.operand1, instruction.operand2, instruction.operand3]
    return operands.first { $0.kind == .memory && $0.size > 0 }?.size
  }

  /// Where the value is that an instruction pushes or pops, if it is one.
  private static func stackSlot(of emulator: InstructionEmulator) -> UInt64? {
    let size = UInt64(emulator.instruction.operandSize)
    switch emulator.instruction.mnemonic {
    case .push, .pushSegment, .pushf, .call: return emulator.stackAddress(.rsp, below: size)
    case .enter where emulator.instruction.immediate2 & 31 == 0:
      return emulator.stackAddress(.rsp, below: size)
    case .pop, .popSegment, .popf, .ret: return emulator.stackAddress(.rsp)
    case .leave: return emulator.stackAddress(.rbp)
    default: return nil
    }
  }
}

extension InstructionEmulator {
  /// The linear address on the stack that `register` points to, or one `size` bytes below.
  fileprivate func stackAddress(_ register: GeneralRegister, below size: UInt64 = 0) -> UInt64? {
    try? space.linear(.ss, (guest[register] &- size) & stackMask, size: 1, .read)
  }
}

extension VirtualCPU {
  /// Has the processor execute `instruction`, whose access of a device has just exited, on windows; false if it cannot be.
  mutating func beginDeviceStep(_ instruction: Instruction) -> Bool {
    guard !vmx.isInL2, deviceStep == nil,
      processor.capabilities.allows(PrimaryProcessorBasedControls.monitorTrapFlag)
    else { return false }
    let guest = guest
    deviceStep = DeviceStep(instruction: instruction, exceptionBitmap: guest[.exceptionBitmap])
    guard openDeviceWindow() else {
      deviceStep = nil
      return false
    }
    guest.vmcs.primaryProcessorBasedControls.insert(.monitorTrapFlag)
    guest[.exceptionBitmap] = 0xFFFF_FFFF
    return true
  }

  /// Handles an exit while an instruction is executed on windows; false if it is one like any other, which ends that.
  mutating func continueDeviceStep(_ reason: ExitReasonField) -> Bool {
    switch reason.basic {
    case .monitorTrapFlag:
      endDeviceStep(isComplete: true)
      return true
    case .eptViolation where meetsDevice && openDeviceWindow(): return true
    default:
      endDeviceStep(isComplete: false)
      return false
    }
  }

  /// Whether the EPT violation is of an access of the instruction's own.
  private var meetsDevice: Bool {
    let qualification = EPTViolationQualification(rawValue: guest[.exitQualification])
    return !qualification.contains(.fetch)
      && qualification.contains([.linearAddressValid, .finalTranslation])
      && !guest.vmcs.idtVectoringInformation.isValid
  }

  /// Puts a window in the place of the page that the EPT violation is on; false if that cannot be.
  private mutating func openDeviceWindow() -> Bool {
    guard let step = deviceStep else { return false }
    let guest = guest
    let isWritten = EPTViolationQualification(rawValue: guest[.exitQualification]).contains(.write)
    let place = PhysicalAddress<L1>(guest[.guestPhysicalAddress])
    if let number = step.windows.firstIndex(where: { $0.mapping.page == place.page }) {
      // It was read before, and now is written.
      guard isWritten, !step.windows[number].isWritten else { return false }
      deviceStep?.windows[number].isWritten = true
      EPT01Builder(pool: pool).makeWritable(step.windows[number].mapping)
      forgetAllMappings()
      return true
    }
    let linear = guest[.guestLinearAddress]
    guard step.windows.count < DeviceStep.windowLimit,
      let operand = AccessedOperand(InstructionEmulator(addressSpace, step.instruction), meeting: linear),
      let mapping = EPT01Builder(pool: pool).openWindow(at: place.page, under: ept01)
    else { return false }
    let parts = parts(of: operand, from: linear, at: place, isWritten ? .write : .read)
    let window = DeviceStep.Window(mapping: mapping, parts: parts, isWritten: isWritten)
    if isWritten { EPT01Builder(pool: pool).makeWritable(mapping) } else { fill(window) }
    deviceStep?.windows.append(window)
    return true
  }

  /// What of `operand`, of which the byte at `linear` is at `place`, is on the page of `place`.
  private func parts(
    of operand: AccessedOperand, from linear: UInt64, at place: PhysicalAddress<L1>, _ kind: AccessKind
  ) -> [DeviceStep.Part] {
    let before = min(linear &- operand.first, place.pageOffset)
    let first = PhysicalAddress<L1>(place.rawValue &- before)
    let left = operand.count &- (linear &- operand.first) &+ before
    let count = min(left, 4096 &- first.pageOffset)
    let part = DeviceStep.Part(first: first, count: count)
    guard count < left, let next = try? addressSpace.physical((linear | 0xFFF) &+ 1, kind), next == place.page
    else { return [part] }
    return [part, DeviceStep.Part(first: next, count: left &- count)]
  }

  private mutating func endDeviceStep(isComplete: Bool) {
    guard let step = deviceStep else { return }
    deviceStep = nil
    let guest = guest
    guest.vmcs.primaryProcessorBasedControls.remove(.monitorTrapFlag)
    guest[.exceptionBitmap] = step.exceptionBitmap
    for window in step.windows.reversed() {
      if isComplete, window.isWritten { drain(window) }
      EPT01Builder(pool: pool).closeWindow(window.mapping)
    }
    forgetAllMappings()
    devices.noteAccess()
  }

  // MARK: Windows and devices

  private var pool: PagePool { vmx.pages }
  private var ept01: PhysicalAddress<L0> { PhysicalAddress(vmx.vmcs01[.eptPointer] & 0x000F_FFFF_FFFF_F000) }

  /// Reads the device into the window.
  private func fill(_ window: DeviceStep.Window) {
    forEachPart(of: window) { address, bytes, size in
      let value = devices.board.read(address, size: size, by: number)
      for position in 0..<Int(size) {
        let byte = UInt8(truncatingIfNeeded: value >> (UInt64(position) * 8))
        bytes.storeBytes(of: byte, toByteOffset: position, as: UInt8.self)
      }
    }
  }

  /// Writes the window to the device.
  private func drain(_ window: DeviceStep.Window) {
    forEachPart(of: window) { address, bytes, size in
      var value: UInt64 = 0
      for position in 0..<Int(size) {
        value |= UInt64(bytes.load(fromByteOffset: position, as: UInt8.self)) << (UInt64(position) * 8)
      }
      devices.board.write(value, to: address, size: size, by: number)
    }
  }

  /// Splits the access into those of 8, 4, 2 and 1 bytes that devices know, from the lowest address up.
  private func forEachPart(
    of window: DeviceStep.Window, _ body: (UInt64, UnsafeMutableRawPointer, UInt8) -> Void
  ) {
    for part in window.parts {
      var done: UInt64 = 0
      while done < part.count {
        let rest = part.count &- done
        let size: UInt8 = rest >= 8 ? 8 : rest >= 4 ? 4 : rest >= 2 ? 2 : 1
        let place = part.first + done
        work.pointee.memoryAccesses &+= 1
        body(place.rawValue, window.mapping.shown.bytes + Int(truncatingIfNeeded: place.pageOffset), size)
        done &+= UInt64(size)
      }
    }
  }
}
