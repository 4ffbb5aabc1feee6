import Translation
import VMX
import X86

/// How much one VM entry composes ahead at the most: L1 decides how large ept12 is, and L0 how long it works on it.
struct CompositionBudget {
  /// The EPT paging structures of L1 still to be read.
  var tables = 64
  /// The 4-KByte pages still to be mapped.
  var pages = 2048
}

/// ept02 filled before L2 can violate it.
extension VirtualVMX {
  /// Composes what the VM entry in preparation can foresee, if the policy says so.
  ///
  /// With accessed and dirty flags in ept12 nothing is foreseen: a flag must not be set for an access that L2 does not
  /// make (SDM volume 3, "Accessed and Dirty Flags for EPT").
  mutating func composeAhead() {
    let violated = reflectedViolation
    reflectedViolation = nil
    guard policy.eptComposition == .ahead, usesEPT12 else { return }
    let paging = paging12
    guard !paging.hasAccessedAndDirtyFlags else { return }
    if composed.isCurrentEmpty {
      var budget = CompositionBudget()
      composeTable(PhysicalAddress(paging.root), level: 4, from: 0, &budget)
      composed.isCurrentEmpty = false
    } else if let violated {
      _ = composePageAhead(violated)
    }
  }

  /// Composes what the EPT paging structure at `table` maps, `guest` being the first L2-physical address that it
  /// translates. The recursion is at most 3 deep.
  mutating func composeTable(
    _ table: PhysicalAddress<L1>, level: UInt64, from guest: UInt64, _ budget: inout CompositionBudget
  ) {
    guard budget.tables > 0 else { return }
    budget.tables &-= 1
    work.memoryReads &+= 512
    for index: UInt64 in 0..<512 {
      guard budget.pages > 0 else { return }
      guard let word = memory.word(at: table + index &<< 3) else { return }
      let entry = EPTEntry(rawValue: word)
      guard entry.isPresent() else { continue }
      let first = guest | index &<< (12 &+ 9 &* (level &- 1))
      if entry.mapsPage(atLevel: Int(level)) {
        composePage(PhysicalAddress(first), size: 1 &<< (12 &+ 9 &* (level &- 1)), &budget)
      } else if level > 1 {
        composeTable(PhysicalAddress(entry.address), level: level &- 1, from: first, &budget)
      }
    }
  }

  /// Composes a page of ept12 of any size, in pages of 4 KByte, as far as the budget and the pool go.
  mutating func composePage(_ first: PhysicalAddress<L2>, size: UInt64, _ budget: inout CompositionBudget) {
    var offset: UInt64 = 0
    while offset < size, budget.pages > 0 {
      budget.pages &-= 1
      if !composePageAhead(first + offset) { return }
      offset &+= 4096
    }
  }

  /// Composes one 4-KByte page if both EPTs allow any access to it; false if that cannot be.
  mutating func composePageAhead(_ guest: PhysicalAddress<L2>) -> Bool {
    do throws(ExtendedFault) {
      let mapping = try walkEPT12(guest, ExtendedAccess(.read))
      work.memoryReads &+= UInt64(mapping.references)
      guard let product = product(of: mapping) else { return false }
      return fill(guest, product.page, product.permissions)
    } catch {
      return false
    }
  }
}
