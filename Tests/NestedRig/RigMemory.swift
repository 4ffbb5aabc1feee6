import GuestMemory
import NestedVMX
import VMX
import X86

/// The memory of the rig's L1, by L1-physical address. It lies at the end of L0's.
package final class RigMemory {
  /// What cases may fill, and find as ``initialize()`` has left it.
  private static let restored = 0x20_0000..<0x27_0000

  private let memory: PhysicalMemory
  private var initial: [UInt8] = []
  private var l1Own: [UInt64] = []
  private var start: UInt64 { memory.size - RigPlace.memorySize }

  init(_ memory: PhysicalMemory) { self.memory = memory }

  private func place(_ address: UInt64) -> UnsafeMutableRawPointer { memory.base + Int(start + address) }

  /// The eight bytes at `address`.
  package subscript(address: UInt64) -> UInt64 {
    get { place(address).loadUnaligned(as: UInt64.self) }
    set {
      withUnsafeBytes(of: newValue) { _ = memory.write($0, at: PhysicalAddress(start + address)) }
    }
  }

  /// The eight bytes at `address`, or nil where L1 has no memory, as the checks on VM entry read them.
  package func word(at address: UInt64) -> UInt64? {
    address <= RigPlace.memorySize - 8 ? self[address] : nil
  }

  package func store(_ bytes: [UInt8], at address: UInt64) {
    bytes.withUnsafeBytes { _ = memory.write($0, at: PhysicalAddress(start + address)) }
  }

  /// Sets `count` bytes from `address` on to `value`.
  package func fill(_ address: UInt64, count: Int = 4096, with value: UInt8 = 0) {
    store(Array(repeating: value, count: count), at: address)
  }

  /// The region that L1 will make current. It is not current while the next VMCS is laid out.
  package var vmcs12: VMCS { VMCS(region: place(RigPlace.vmcs12)) }

  /// What is in L1's memory before it runs: what its first instructions want.
  func initialize() {
    self[RigPlace.vmxonPointer] = RigPlace.vmxonRegion
    self[RigPlace.vmcsPointer] = RigPlace.vmcs12
    self[RigPlace.vmxonRegion] = UInt64(VirtualCapabilities.revision)
    // The whole of 4 GByte, in pages of 4 MByte.
    for index: UInt64 in 0..<512 {
      let low = (index * 2) << 22 | 0x83
      let high = (index * 2 + 1) << 22 | 0x83
      self[RigPlace.pageDirectory + index * 8] = low | high << 32
    }
    writeEPT()
    // VMCALL, which always exits.
    store([0x0F, 0x01, 0xC1], at: RigPlace.l2Code)
    initial = Array(
      UnsafeRawBufferPointer(start: place(UInt64(Self.restored.lowerBound)), count: Self.restored.count))
  }

  /// Whether what L1 needs for itself is as it was when this was first asked: its paging structures but for accessed and
  /// dirty flags, its code, and its operands. An L2 without EPT, or an MSR list, may have written anywhere.
  func isL1Intact() -> Bool {
    let parts = [0x4000..<0xB000, 0x10_0000..<0x10_1000, 0x20_0000..<0x20_0010]
    let words = parts.flatMap { part in
      UnsafeRawBufferPointer(start: place(UInt64(part.lowerBound)), count: part.count)
        .bindMemory(to: UInt64.self)
    }
    if l1Own.isEmpty { l1Own = words }
    return zip(words, l1Own).allSatisfy { ($0 ^ $1) & ~0x60 == 0 }
  }

  /// Makes memory what it was before L1 ran.
  package func restore() { store(initial, at: UInt64(Self.restored.lowerBound)) }

  /// Maps L2's memory to the same addresses of L1, but for ``RigPlace/hole``, and the rest of the first GByte.
  package func writeEPT() {
    fill(RigPlace.ept, count: 4 * 4096)
    self[RigPlace.ept] = (RigPlace.ept + 0x1000) | 7
    self[RigPlace.ept + 0x1000] = (RigPlace.ept + 0x2000) | 7
    for index: UInt64 in 0..<512 { self[RigPlace.ept + 0x2000 + index * 8] = index << 21 | 0xB7 }
    // The page that has the hole, in pages of 4 KByte.
    self[RigPlace.ept + 0x2008] = (RigPlace.ept + 0x3000) | 7
    for index: UInt64 in 0..<512 { self[ept(of: 0x20_0000 + index << 12)] = (0x20_0000 + index << 12) | 0x37 }
    self[ept(of: RigPlace.hole)] = 0
  }

  /// Where the EPT entry that maps the 4-KByte page at `address`, in the second 2 MByte, lies.
  package func ept(of address: UInt64) -> UInt64 { RigPlace.ept + 0x3000 + (address >> 12 & 0x1FF) * 8 }

  /// Has L1 write `fields` of `vmcs` by VMWRITE; outside 64-bit mode the two halves of wide ones.
  package func writeTable(_ fields: [VMCSField], of vmcs: VMCS, is64Bit: Bool) {
    var place = RigPlace.tableEntries
    func put(_ encoding: UInt32, _ value: UInt64) {
      self[place] = UInt64(encoding)
      self[place + 8] = value
      place += 16
    }
    for field in fields {
      put(field.rawValue, vmcs[field])
      if !is64Bit, field.width == .w64 { put(field.rawValue + 1, vmcs[field] >> 32) }
    }
    self[RigPlace.table] = (place - RigPlace.tableEntries) / 16
  }
}
