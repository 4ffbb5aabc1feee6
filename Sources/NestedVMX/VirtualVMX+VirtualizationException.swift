import Translation
import VMX
import X86

/// The virtualization-exception information area, at its offsets.
///
/// Source: SDM volume 3, "Virtualization-Exception Information".
enum VirtualizationExceptionArea {
  static var reason: Int { 0 }
  /// All ones once an exception has been saved; software clears it for the next one.
  static var guard32: Int { 4 }
  static var qualification: Int { 8 }
  static var guestLinearAddress: Int { 16 }
  static var guestPhysicalAddress: Int { 24 }
  static var eptpIndex: Int { 32 }
  static var size: UInt64 { 34 }
}

/// Virtualization exceptions of L2, which L0 delivers as it walks ept12.
extension VirtualVMX {
  /// Turns an EPT violation of ept12 by L2 at `guest`, of an access to `linear`, into a #VE, if L1 wants that: the information is saved, and the
  /// exception will be delivered at the next VM entry. False if the violation is a VM exit.
  ///
  /// Source: SDM volume 3, "Convertible EPT Violations" and "Virtualization Exceptions".
  mutating func convertsToException(
    _ guest: PhysicalAddress<L2>, linear: UInt64, qualification: UInt64
  ) -> Bool {
    guard vmcs12Region.effectiveSecondaryControls.contains(.eptViolationVE),
      CR0(rawValue: vmcs02[.guestCR0]).contains(.pe), !vmcs02.idtVectoringInformation.isValid,
      isConvertible(guest), saveException(guest, linear: linear, qualification: qualification)
    else { return false }
    vmcs02.entryInterruptionInformation = InterruptionInformation(.virtualization, hasErrorCode: false)
    work.vmcsReads &+= 2
    work.vmcsWrites &+= 1
    return true
  }

  private func isConvertible(_ guest: PhysicalAddress<L2>) -> Bool {
    do throws(ExtendedFault) {
      return try !paging12.suppressesVE(guest, in: EPT12Structures(memory: memory, log: nil))
    } catch {
      return false
    }
  }

  /// Fills the information area; false if L1 has no memory there, or software has not yet dealt with the last one.
  private mutating func saveException(
    _ guest: PhysicalAddress<L2>, linear: UInt64, qualification: UInt64
  ) -> Bool {
    typealias Area = VirtualizationExceptionArea
    let address = PhysicalAddress<L1>(vmcs12Region[.virtualizationExceptionInformationAddress])
    guard let area = memory.pointer(to: address, count: Area.size),
      area.loadUnaligned(fromByteOffset: Area.guard32, as: UInt32.self) == 0
    else { return false }
    area.storeBytes(
      of: UInt32(ExitReason.eptViolation.rawValue), toByteOffset: Area.reason, as: UInt32.self)
    area.storeBytes(of: .max, toByteOffset: Area.guard32, as: UInt32.self)
    area.storeBytes(of: qualification, toByteOffset: Area.qualification, as: UInt64.self)
    area.storeBytes(of: linear, toByteOffset: Area.guestLinearAddress, as: UInt64.self)
    area.storeBytes(of: guest.rawValue, toByteOffset: Area.guestPhysicalAddress, as: UInt64.self)
    area.storeBytes(
      of: UInt16(truncatingIfNeeded: vmcs12Region[.eptpIndex]), toByteOffset: Area.eptpIndex, as: UInt16.self)
    memory.noteWrite(address, count: Area.size)
    work.memoryReads &+= 2
    work.memoryWrites &+= 6
    return true
  }
}
