import InstructionDecoder
import Translation
import X86

// Branches from page to page that the virtual CPU makes itself (`InterceptMode.native`).
extension KVMCPU {
  /// A page that a branch leads to, and the linear address at which the guest had it then.
  struct LinkedPage: Hashable {
    var linear: UInt64
    var page: Int
  }

  /// How many pages are decoded ahead of a run; what lies farther is decoded when the guest has come nearer.
  private static var greatestReach: Int { 64 }

  /// Follows the branches out of `code` and out of what they lead to. A branch whose targets are all decoded and mapped is
  /// no site any more.
  func follow(_ code: CodePage) throws(KVMError) {
    try checkLinks()
    var waiting: [(CodePage, PageExit)] = code.takeExits().map { (code, $0) }
    var reached = 0
    while let (from, exit) = waiting.popLast() {
      guard reached < Self.greatestReach, let targets = try decode(exit.targets, from.mode) else { continue }
      for target in targets {
        reached += 1
        waiting += target.takeExits().map { (target, $0) }
      }
      // Decoding a target may have dropped the page itself.
      if codePages[from.page] === from { from.link(exit.offset) }
    }
  }

  /// Decodes the code at each of `targets`, and maps it for the guest; nil if one of them cannot be reached.
  private func decode(_ targets: [UInt64], _ mode: DecodeMode) throws(KVMError) -> [CodePage]? {
    var pages: [CodePage] = []
    for target in targets {
      guard let guest = software.probe(target, .execute).guestPhysical,
        let page = software.probePhysical(guest), isExecutable(page),
        memory.contains(PhysicalAddress(page.physical), count: 1)
      else { return nil }
      let known = codePages[Int(page.physical >> 12)]
      if let known, known.mode != mode || known.linear != target & ~0xFFF { return nil }
      guard let code = try codePage(page.physical, at: target, mode) else { return nil }
      _ = code.isSite(Int(page.physical & 0xFFF))
      try mapCopy(of: code, at: guest)
      linked.insert(LinkedPage(linear: target & ~0xFFF, page: code.page))
      pages.append(code)
    }
    return pages
  }

  /// Makes all branches between pages sites again.
  func unlinkAll() {
    guard intercepts == .native else { return }
    linked = []
    for code in codePages.values { code.unlink() }
  }

  /// Looks whether what branches lead to is still where it was, when something has invalidated translations, and in another
  /// address space. What the guest cannot reach there is missed when it branches to it.
  private func checkLinks() throws(KVMError) {
    let generation = software.translationGeneration
    guard let space,
      generation != linkedGeneration || software.hostedCR3 != linkedCR3 || space !== linkedSpace
    else { return }
    linkedGeneration = generation
    (linkedCR3, linkedSpace) = (software.hostedCR3, space)
    for link in linked {
      guard let guest = software.probe(link.linear, .execute).guestPhysical,
        let page = software.probePhysical(guest)
      else { continue }
      guard page.physical >> 12 == UInt64(link.page), let code = codePages[link.page] else {
        return unlinkAll()
      }
      if space.isMapped(guest >> 12) { try mapCopy(of: code, at: guest) }
    }
  }
}
