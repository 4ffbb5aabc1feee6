import CKVM
import InstructionDecoder
import GuestMemory
import Translation
import VMX
import X86

// Which pages of RAM the guest's virtual CPU reaches, and how.
extension KVMCPU {
  private static var pageMask: UInt64 { 0xFFF }

  /// Maps what EPT maps at `guest`, or as much of it as fits; false if EPT lets nobody read there, if an access is to set
  /// flags of EPT first, or if it is mapped.
  ///
  /// A page that EPT lets nobody write is mapped read-only where the host reports a store to it before it is done; else it
  /// is left out, so that each access to it is seen.
  func map(_ guest: UInt64) throws(KVMError) -> Bool {
    guard let space, !space.isMapped(guest >> 12), space.idtHole?.guest != guest & ~Self.pageMask,
      let page = software.probePhysical(guest), page.permissions.contains(.read), page.isAccessed,
      page.isDirty,
      memory.contains(PhysicalAddress(page.physical & ~Self.pageMask), count: 4096)
    else { return false }
    let isWritable = page.permissions.contains(.write)
    guard isWritable || !calibration.storesComplete else { return false }
    count { $0.mappings &+= 1 }
    let large: UInt64 = 2 << 20
    let start = page.physical & ~(large - 1)
    // A chunk of a large page, if all of it is RAM, and none of it is mapped otherwise or hidden.
    guard page.size != .page4K, isWritable, memory.contains(PhysicalAddress(start), count: large),
      guest & (large - 1) == page.physical & (large - 1), try isFree(guest & ~(large - 1), large, in: space),
      space.hiddenPage.map({ $0 & ~(large - 1) != start }) ?? true
    else {
      try mapPage(guest & ~Self.pageMask, page: Int(page.physical >> 12), isWritable: isWritable, in: space)
      return true
    }
    let first = Int(start >> 12)
    try space.map(
      (guest & ~(large - 1)) >> 12, count: large >> 12, page: first, memoryFile, offset: start >> 12,
      .readWrite)
    for position in 0..<Int(large >> 12) where memory.copies.watches(first + position) {
      try mapPage(
        guest & ~(large - 1) + UInt64(position) << 12, page: first + position, isWritable: false, in: space)
    }
    return true
  }

  private func isFree(_ guest: UInt64, _ size: UInt64, in space: GuestSpace) throws(KVMError) -> Bool {
    if let hole = space.idtHole, hole.guest & ~(size - 1) == guest { return false }
    for page in (guest >> 12)..<((guest + size) >> 12) where space.isMapped(page) { return false }
    return true
  }

  /// Maps one page; a page that is watched, read-only.
  private func mapPage(_ guest: UInt64, page: Int, isWritable: Bool, in space: GuestSpace) throws(KVMError) {
    // A branch may lead there.
    if intercepts == .native, let code = codePages[page] { return try mapCopy(of: code, at: guest) }
    let isWatched = memory.copies.watches(page)
    try space.map(
      guest >> 12, count: 1, page: page, memoryFile, offset: UInt64(page),
      isWritable && !isWatched ? .readWrite : .read)
  }

  // MARK: Code

  /// Has every store to RAM page number `page` be seen, whoever makes it.
  private func watch(_ page: Int) throws(KVMError) {
    guard memory.copies[page] == 0 else { return }
    memory.copies[page] = PageCopies.current
    watched.insert(page)
    software.watchCode(page: page)
    for space in spaces.values {
      for guest in space.places(of: page) {
        try space.map(guest, count: 1, page: page, memoryFile, offset: UInt64(page), .read)
      }
    }
  }

  /// Has the pages watched in which the software processor has decoded code.
  func watchDecodedCode() throws(KVMError) {
    guard software.hasFreshCode else { return }
    try software.takeFreshCode { page throws(KVMError) in try watch(page) }
  }

  /// The code page that `address` in RAM is in, where the guest has it at `linear`, decoded in `mode`; nil if there is no
  /// room for its copy.
  func codePage(_ address: UInt64, at linear: UInt64, _ mode: DecodeMode) throws(KVMError) -> CodePage? {
    let linear = intercepts == .native ? linear & ~Self.pageMask : nil
    if memory.copies.writeCount != seenWrites { try refreshCopies() }
    let page = Int(address >> 12)
    if let known = codePages[page] {
      if known.mode == mode, known.linear == linear { return known }
      try drop(known)
    }
    guard let bytes = memory.pointer(PhysicalAddress(address & ~Self.pageMask), count: 4096),
      let (copy, offset) = copies.take()
    else { return nil }
    try watch(page)
    let made = CodePage(
      page: page, mode: mode, linear: linear, bytes: bytes, copy: copy, copyOffset: offset >> 12)
    codePages[page] = made
    return made
  }

  /// Forgets the instructions of a page; the page stays watched.
  private func drop(_ code: CodePage) throws(KVMError) {
    codePages[code.page] = nil
    // Others may lead into it.
    unlinkAll()
    copies.give(back: code.copyOffset << 12)
    for space in spaces.values { try space.forget(page: code.page) }
  }

  /// Lets a page be written freely again.
  private func unwatch(_ page: Int) throws(KVMError) {
    software.forgetCode(page: page)
    memory.copies[page] = 0
    watched.remove(page)
    for space in spaces.values { try space.forget(page: page) }
  }

  /// Takes note of the stores to watched pages. One that nobody executes, or that is written again and again beside its
  /// code, is not watched any more until it is executed again.
  private func refreshCopies() throws(KVMError) {
    seenWrites = memory.copies.writeCount
    for page in watched where memory.copies[page] == PageCopies.stale {
      memory.copies[page] = PageCopies.current
      guard let code = codePages[page],
        let bytes = memory.pointer(PhysicalAddress(UInt64(page) << 12), count: 4096)
      else {
        try unwatch(page)
        continue
      }
      code.stores += 1
      let isUnchanged = code.update(from: bytes)
      if !isUnchanged || code.stores > CodePage.greatestStoreCount { try drop(code) }
      if code.stores > CodePage.greatestStoreCount { try unwatch(page) }
    }
  }

  /// Maps `code`'s copy at guest-physical address `guest`, and at no other, for where control leaves the page KVM is left:
  /// what the guest reads of its code elsewhere is so shown to it without HLTs.
  func showCopy(of code: CodePage, at guest: UInt64) throws(KVMError) {
    guard let space, !space.isCopied(guest >> 12) else { return }
    count { $0.mappings &+= 1 }
    try space.hideCopies(but: guest >> 12)
    try space.map(
      guest >> 12, count: 1, page: code.page, copies.descriptor, offset: code.copyOffset, .read, isCopy: true)
  }

  /// Maps `code`'s copy at guest-physical address `guest`, and so wherever the page is mapped.
  func mapCopy(of code: CodePage, at guest: UInt64) throws(KVMError) {
    guard let space, !space.isCopied(guest >> 12) else { return }
    count { $0.mappings &+= 1 }
    let places = Set(space.places(of: code.page)).union([guest >> 12])
    for place in places {
      try space.map(
        place, count: 1, page: code.page, copies.descriptor, offset: code.copyOffset, .read, isCopy: true)
    }
  }
}
