import GuestMemory
import Processor
import SoftwareProcessor
import VMX
import X86

/// The software processor, but with a hand in L1's pocket: now and then, what L1 is about to write into its VMCS is
/// changed. So L1 becomes a hypervisor that sets up anything at all, while everything else about it stays sane.
final class MeddlingProcessor: VMXProcessor {
  private let inner: SoftwareCPU
  private var random: SplitMix64
  /// One VMWRITE in this many is meddled with.
  private let rarity: UInt64
  private(set) var meddlings = 0

  init(_ inner: SoftwareCPU, seed: UInt64, rarity: UInt64) {
    self.inner = inner
    self.rarity = rarity
    random = SplitMix64(state: seed)
  }

  var name: StaticString { "meddling" }
  var capabilities: VMXCapabilities { inner.capabilities }
  var features: ProcessorFeatures { inner.features }
  var memory: PhysicalMemory { inner.memory }
  var registers: UnsafeMutablePointer<RegisterFile> { inner.registers }
  var clock: UnsafeMutablePointer<VirtualClock> { inner.clock }

  var externalInterrupt: UInt8? {
    get { inner.externalInterrupt }
    set { inner.externalInterrupt = newValue }
  }
  var isNMIPending: Bool {
    get { inner.isNMIPending }
    set { inner.isNMIPending = newValue }
  }

  func enter(_ vmcs: VMCS) -> EntryOutcome {
    let outcome = inner.enter(vmcs)
    if case .exit(let reason) = outcome, reason.basic == .vmwrite, random.next() % rarity == 0 {
      meddle(vmcs)
    }
    return outcome
  }

  /// Changes the value or the field of the VMWRITE that exited.
  private func meddle(_ vmcs: VMCS) {
    let information = ExitInstructionInformation(
      rawValue: UInt32(truncatingIfNeeded: vmcs[.exitInstructionInformation]))
    meddlings += 1
    guard random.next() % 8 != 0 else {
      let row = VMCSField.rows[Int(random.next() % UInt64(VMCSField.count))]
      registers[information.secondRegister] = UInt64(row.field.rawValue)
      return
    }
    guard information.isRegister else { return }
    let old = registers[information.register]
    let values = [
      random.next(), 0, .max, old ^ 1 << (random.next() & 63), old ^ 1 << (random.next() & 31), old &+ 4096,
      random.next() & 0xFFFF, random.next() & 0x0FFF_F000,
    ]
    registers[information.register] = values[Int(random.next() % UInt64(values.count))]
  }

  func readMSR(_ index: UInt32) -> UInt64? { inner.readMSR(index) }
  func writeMSR(_ index: UInt32, _ value: UInt64) -> Bool { inner.writeMSR(index, value) }
  var xcr0: UInt64 { inner.xcr0 }
  func writeXCR0(_ value: UInt64) -> Bool { inner.writeXCR0(value) }
  var contextSize: Int { inner.contextSize }
  func saveContext(to place: UnsafeMutableRawPointer) { inner.saveContext(to: place) }
  func restoreContext(from place: UnsafeRawPointer) { inner.restoreContext(from: place) }
  func invalidateEPT(_ scope: EPTInvalidation) { inner.invalidateEPT(scope) }
  func invalidateVPID(_ scope: VPIDInvalidation) { inner.invalidateVPID(scope) }
  func requestStop() { inner.requestStop() }
}
