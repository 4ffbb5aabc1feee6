import GuestMemory
import Hypervisor
import NestedVMX
import Processor
import VMX
import X86

/// A scripted L1 hypervisor in 64-bit mode, as its exits and its memory show it to L0.
///
/// Where things lie in L1-physical memory, which the boot page tables map to the same linear addresses.
enum NestedScript {
  static let vmxonRegion: UInt64 = 0x20_1000
  static let vmcs12: UInt64 = 0x20_2000
  static let msrList: UInt64 = 0x20_4000
  /// Where L1 keeps the pointers that VMXON and VMPTRLD take.
  static let vmxonPointer: UInt64 = 0x20_0000
  static let vmcs12Pointer: UInt64 = 0x20_0008
  static let hostRIP: UInt64 = 0x11_0000
  static let l2RIP: UInt64 = 0x12_0000

  /// A VMX instruction whose 64-bit memory operand is at linear `address`.
  static func operand(_ reason: ExitReason, at address: UInt64) -> ScriptedProcessor.Step {
    ScriptedProcessor.step(
      reason, length: 4, qualification: address,
      information: ExitInstructionInformation(addressSize: 8, segment: .ds))
  }

  /// L1 sets CR4.VMXE and CR0.NE, and enters VMX operation.
  static var enable: [ScriptedProcessor.Step] {
    [
      ScriptedProcessor.step(
        .controlRegisterAccess, length: 3,
        qualification: ControlRegisterQualification(.movToCR, number: 4, register: .rax).rawValue
      ) { $1.registers.pointee.rax = CR4([.pae, .vmxe]).rawValue },
      ScriptedProcessor.step(
        .controlRegisterAccess, length: 3,
        qualification: ControlRegisterQualification(.movToCR, number: 0, register: .rax).rawValue
      ) { $1.registers.pointee.rax = CR0([.pe, .ne, .et, .wp, .pg]).rawValue },
      operand(.vmxon, at: vmxonPointer),
    ]
  }

  /// ``enable``, and then L1 makes its VMCS current and launches L2. `change` spoils the VMCS in L1's memory before.
  static func launch(_ change: @escaping (VMCS) -> Void = { _ in }) -> [ScriptedProcessor.Step] {
    let fill: ScriptedProcessor.Step = { vmcs01, processor in
      write(into: processor, vmcs01, change)
      return ScriptedProcessor.exit(vmcs01, .cpuid)
    }
    return [fill] + enable
      + [operand(.vmptrld, at: vmcs12Pointer), ScriptedProcessor.step(.vmlaunch, length: 3)]
  }

  /// L1's RAM follows L0's pool; its image is at 1 MByte.
  static func ram(_ processor: ScriptedProcessor) -> UnsafeMutableRawPointer {
    processor.memory.base + Int(processor.memory.size - memorySize)
  }

  static let memorySize: UInt64 = 4 << 20

  /// Writes L1's pointers, its VMXON region and a VMCS whose host and guest are much like L1 itself.
  private static func write(
    into processor: ScriptedProcessor, _ vmcs01: VMCS, _ change: (VMCS) -> Void
  ) {
    let ram = ram(processor)
    ram.storeBytes(of: vmxonRegion, toByteOffset: Int(vmxonPointer), as: UInt64.self)
    ram.storeBytes(of: vmcs12, toByteOffset: Int(vmcs12Pointer), as: UInt64.self)
    ram.storeBytes(of: VirtualCapabilities.revision, toByteOffset: Int(vmxonRegion), as: UInt32.self)
    let vmcs = VMCS(region: ram + Int(vmcs12))
    vmcs.copy(from: vmcs01)
    vmcs.revision = VirtualCapabilities.revision
    vmcs.isLaunched = false
    let offered = VirtualCapabilities.offered(on: processor.capabilities)
    vmcs.pinBasedControls = offered.adjusted(PinBasedControls([]))
    vmcs.primaryProcessorBasedControls = offered.adjusted(
      PrimaryProcessorBasedControls([.hltExiting, .unconditionalIOExiting]))
    vmcs.secondaryProcessorBasedControls = []
    vmcs.exitControls = offered.adjusted(PrimaryExitControls([.hostAddressSpaceSize]))
    vmcs.entryControls = offered.adjusted(EntryControls([.ia32eModeGuest]))
    vmcs[.vpid] = 0
    vmcs[.eptPointer] = 0
    vmcs[.msrBitmap] = 0
    vmcs[.cr0GuestHostMask] = 0
    vmcs[.cr4GuestHostMask] = 0
    vmcs[.guestRIP] = l2RIP
    vmcs[.hostRIP] = hostRIP
    vmcs[.hostCR3] = vmcs01[.guestCR3]
    change(vmcs)
  }

  /// VMREAD of the field `field` into RAX.
  static func vmread(_ field: VMCSField) -> ScriptedProcessor.Step {
    ScriptedProcessor.step(
      .vmread, length: 3,
      information: ExitInstructionInformation(register: .rax).withSecondRegister(.rcx)
    ) { $1.registers.pointee.rcx = UInt64(field.rawValue) }
  }
}
