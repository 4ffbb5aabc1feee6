import GuestMemory
import Processor
import VMX

extension Core {
  /// A processor at power-on over `memory`, which its owner keeps alive for as long; nil if the host has no memory for
  /// the tables. To be freed by ``deallocate()``.
  static func allocate(memory: PhysicalMemory) -> Core? {
    guard let blocks = BlockCache.allocate(ramSize: memory.size) else { return nil }
    let machine = MachinePointers(
      ram: memory.base, ramSize: memory.size, codePages: memory.codePages, copies: memory.copies,
      clock: allocated(VirtualClock()),
      nonRoot: allocated(NonRootState(vmcs: .allocate())),
      translations: allocated(TranslationCache.allocate()),
      guestPhysical: allocated(GuestPhysicalCache.allocate()),
      blocks: allocated(blocks))
    let core = Core(allocated(CPUState(machine: machine)))
    core.updateMode()
    return core
  }

  func deallocate() {
    let machine = cpu.pointee.machine
    machine.blocks.pointee.deallocate()
    machine.translations.pointee.deallocate()
    machine.blocks.deallocate()
    machine.translations.deallocate()
    machine.guestPhysical.pointee.deallocate()
    machine.guestPhysical.deallocate()
    machine.nonRoot.pointee.idle.deallocate()
    machine.nonRoot.deallocate()
    machine.clock.deallocate()
    cpu.deallocate()
  }

  private static func allocated<T>(_ value: T) -> UnsafeMutablePointer<T> {
    let pointer = UnsafeMutablePointer<T>.allocate(capacity: 1)
    pointer.initialize(to: value)
    return pointer
  }

  /// Drops the code of `memory`'s pages that something else has written since the last call.
  func forgetStaleCode(_ memory: PhysicalMemory) {
    guard !memory.staleCodePages.isEmpty else { return }
    for page in memory.takeStaleCodePages() { forgetCode(page: page) }
  }
}
