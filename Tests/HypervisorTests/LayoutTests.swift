import Hypervisor
import Testing
import Translation
import VMX
import X86

/// L0-physical memory as the processor's EPT walk reads it.
private struct L0Structures: PagingStructures {
  typealias Level = L0
  typealias Failure = ExtendedFault

  let processor: ScriptedProcessor

  func load(_ address: PhysicalAddress<L0>) throws(ExtendedFault) -> UInt64 {
    guard let word = processor.memory.load(address, as: UInt64.self) else { throw .misconfiguration }
    return word
  }

  func setFlags(_ flags: UInt16, at address: PhysicalAddress<L0>) {}
}

@Suite struct LayoutTests {
  /// ept01, walked as the processor walks it: all of L1's RAM is there, at distinct places above L0's own pages, and
  /// nothing else is.
  @Test(arguments: [2 << 20, (4 << 20) + 4096, 3 << 30, (5 << 30) + 8192] as [UInt64])
  func ept01MapsL1sMemoryAndNothingElse(_ size: UInt64) throws {
    let holeStart: UInt64 = 0xC000_0000
    let lowSize = min(size, holeStart)
    let highSize = size - lowSize
    var inside: [UInt64] = [0, 0xFFF, lowSize / 2, lowSize - 1]
    var outside: [UInt64] = [lowSize, 0xFEE0_0000, 0xFFFF_FFFF, 1 << 40, (1 << 46) - 1, 1 << 47]
    if highSize > 0 {
      inside += [1 << 32, (1 << 32) + highSize - 1]
      outside += [(1 << 32) + highSize]
    } else {
      outside += [1 << 32]
    }
    var mapped: [UInt64] = []
    let machine = try scriptedMachine([
      { vmcs01, processor in
        let paging = ExtendedPaging(eptp: vmcs01[.eptPointer], physicalAddressWidth: 46)
        let structures = L0Structures(processor: processor)
        for address in inside {
          let mapping = try? paging.translate(
            PhysicalAddress<L1>(address), for: ExtendedAccess(.write), in: structures)
          if let mapping { mapped.append(mapping.address.rawValue) }
        }
        for address in outside {
          #expect(throws: ExtendedFault.self, "\(address)") {
            try paging.translate(PhysicalAddress<L1>(address), for: ExtendedAccess(.read), in: structures)
          }
        }
        return ScriptedProcessor.debugExit(0)(vmcs01, processor)
      }
    ]) { $0.memorySize = size }
    #expect(machine.run().outcome.isSuccess)
    #expect(mapped.count == inside.count)
    let total = machine.processor.memory.size
    // L1's RAM is the end of L0-physical memory, its two ranges side by side.
    let expected = inside.map { total - size + ($0 < holeStart ? $0 : $0 - (1 << 32) + lowSize) }
    #expect(mapped == expected)
  }
}
