import X86

// MARK: - Contexts

extension Core {
  @inline(always)
  var translations: UnsafeMutablePointer<TranslationCache> { cpu.pointee.machine.translations }

  /// Selects the contexts of the current privilege and of the processor's own accesses.
  func selectContexts() {
    if !selectExistingContexts() {
      translations.pointee.reset()
      blocks.pointee.generation &+= 1
      _ = selectExistingContexts()
    }
    if checksAlignment || hasDataBreakpoints { cpu.pointee.contexts.data |= ContextTags.watched }
    stampJumps()
  }

  private func selectExistingContexts() -> Bool {
    var context = TranslationContext(
      eptPointer: cpu.pointee.machine.nonRoot.pointee.eptPointer, cr3: cpu.pointee.cr3,
      cr4: cpu.pointee.cr4 & 0x72_00B0, vpid: cpu.pointee.machine.nonRoot.pointee.vpid,
      apicAccessPage: cpu.pointee.machine.nonRoot.pointee.virtualAPIC.accessPage, isLive: true)
    if cpu.pointee.cr0 & 1 << 16 != 0 { context.flags |= 1 << 2 }
    if cpu.pointee.cr0 & 1 << 31 != 0 { context.flags |= 1 << 3 }
    if cpu.pointee.efer & 1 << 11 != 0 { context.flags |= 1 << 4 }
    if cpu.pointee.efer & 1 << 10 != 0 { context.flags |= 1 << 5 }
    if cpu.pointee.machine.nonRoot.pointee.secondary.contains(.modeBasedExecuteControlForEPT) {
      context.flags |= 1 << 6
    }
    guard let system = translations.pointee.contexts.tag(of: context) else { return false }
    cpu.pointee.contexts = ContextTags(data: system, system: system, fetch: system)
    if cpu.pointee.cpl == 3 {
      context.flags |= 1
      guard let user = translations.pointee.contexts.tag(of: context) else { return false }
      cpu.pointee.contexts.data = user
      cpu.pointee.contexts.fetch = user
    } else if cpu.pointee.cr4 & 1 << 21 != 0, cpu.pointee.rflagsSystem & 1 << 18 != 0 {
      context.flags |= 2
      guard let override = translations.pointee.contexts.tag(of: context) else { return false }
      cpu.pointee.contexts.data = override
    }
    return true
  }
}

// MARK: - Invalidation

extension Core {
  /// Forgets every translation.
  func forgetTranslations() {
    translations.pointee.retireAll()
    blocks.pointee.generation &+= 1
    selectContexts()
  }

  /// Forgets every translation of the contexts with this EPTP, VPID and PCID; nil stands for any.
  ///
  /// With CR4.PCIDE clear a context's PCID is 0.
  func forgetTranslations(eptPointer: UInt64? = nil, vpid: UInt16? = nil, pcid: UInt16? = nil) {
    translations.pointee.contexts.retire { context in
      let contextPCID = context.cr4 & 1 << 17 != 0 ? UInt16(truncatingIfNeeded: context.cr3 & 0xFFF) : 0
      // INVEPT names a context by bits 51:12 of the EPTP.
      let otherTable = ((eptPointer ?? context.eptPointer) ^ context.eptPointer) & 0xF_FFFF_FFFF_F000
      return otherTable == 0
        && (vpid ?? context.vpid) == context.vpid
        && (pcid ?? contextPCID) == contextPCID
    }
    blocks.pointee.generation &+= 1
    selectContexts()
  }

  /// Forgets the translations of the page of `linear`, in every context.
  func forgetTranslation(of linear: UInt64) {
    let cache = translations
    if linear >= cache.pointee.lowestLarge, linear <= cache.pointee.highestLarge {
      return forgetTranslations()
    }
    let index = TranslationCache.index(linear)
    cache.pointee.reads[index].tag = 0
    cache.pointee.writes[index].tag = 0
    cache.pointee.fetches[index].tag = 0
    forgetJumps()
  }
}

extension Core {
  /// Forgets the translations of the page of `linear` in the contexts with this VPID.
  ///
  /// Source: SDM volume 3, "INVVPID—Invalidate Translations Based on VPID".
  func forgetTranslation(of linear: UInt64, vpid: UInt16) {
    let cache = translations
    if linear >= cache.pointee.lowestLarge, linear <= cache.pointee.highestLarge {
      return forgetTranslations(vpid: vpid)
    }
    let index = TranslationCache.index(linear)
    for table in [cache.pointee.reads, cache.pointee.writes, cache.pointee.fetches]
    where cache.pointee.contexts.vpid(ofTag: table[index].tag) == vpid
      && (table[index].tag ^ linear) >> 12 == 0
    {
      table[index].tag = 0
    }
    forgetJumps()
  }
}

// MARK: - Lookup

extension Core {
  /// The L0-physical address of `linear` for `access`; it may be a hole.
  ///
  /// `canonicalFault` is what a non-canonical address raises: #SS for stack references, else #GP. `count` is the number
  /// of bytes accessed, as far as it matters to the APIC-access page: no register there has so many as it is by
  /// default.
  func locate(
    _ linear: UInt64, for access: MemoryAccess, privilege: Privilege,
    canonicalFault: ExceptionVector = .generalProtection, count: Int = 64
  ) throws(Interruption) -> UInt64 {
    let tags = cpu.pointee.contexts
    let context =
      access == .execute ? tags.fetch : privilege == .implicitSupervisor ? tags.system : tags.entries
    let index = TranslationCache.index(linear)
    let cache = translations
    let table =
      switch access {
      case .read: cache.pointee.reads
      case .write: cache.pointee.writes
      case .execute: cache.pointee.fetches
      }
    let tag = linear & ~0xFFF | context
    if table[index].tag & ~TranslationCache.holdsCode == tag {
      let physical = physicalAddress(linear, addend: table[index].addend)
      // The page may hold no decoded code any more.
      if cpu.pointee.machine.codePages[Int(truncatingIfNeeded: physical &>> 12)] == 0 {
        table[index].tag = tag
      }
      return physical
    }
    guard isCanonical(linear) else { throw raise(canonicalFault) }
    let found = try walk(linear, for: access, privilege: privilege, tag: tag)
    if found.physical & ~0xFFF == cpu.pointee.machine.nonRoot.pointee.virtualAPIC.accessPage {
      return try accessAPICPage(linear & 0xFFF, access, count: count)
    }
    guard found.physical < cpu.pointee.machine.ramSize else { return found.physical }
    if found.large {
      cache.pointee.lowestLarge = min(cache.pointee.lowestLarge, linear & ~0x3FFF_FFFF)
      cache.pointee.highestLarge = max(cache.pointee.highestLarge, linear | 0x3FFF_FFFF)
    }
    let host = Int(bitPattern: cpu.pointee.machine.ram) &+ Int(truncatingIfNeeded: found.physical)
    let entry = TranslationEntry(tag: tag, addend: host &- Int(truncatingIfNeeded: linear))
    if access == .execute {
      cache.pointee.fetches[index] = entry
      return found.physical
    }
    cache.pointee.reads[index] = entry
    if access == .write, found.writable {
      let holdsCode = cpu.pointee.machine.codePages[Int(truncatingIfNeeded: found.physical &>> 12)] != 0
      cache.pointee.writes[index] = entry
      cache.pointee.writes[index].tag |= holdsCode ? TranslationCache.holdsCode : 0
    }
    return found.physical
  }

  /// Translates `linear`, and counts a page walk unless one of the three tables has the page already: a processor's
  /// TLB is not divided by kinds of access, as these tables are.
  private func walk(
    _ linear: UInt64, for access: MemoryAccess, privilege: Privilege, tag: UInt64
  ) throws(Interruption) -> TranslatedAddress {
    let cache = translations
    let index = TranslationCache.index(linear)
    let isKnown =
      cache.pointee.reads[index].tag == tag || cache.pointee.fetches[index].tag == tag
      || cache.pointee.writes[index].tag & ~TranslationCache.holdsCode == tag
    let before = cache.pointee.references
    do throws(Interruption) {
      let found = try translate(linear, access: access, privilege: privilege)
      if !isKnown { countWalk(since: before) }
      return found
    } catch {
      if !isKnown { countWalk(since: before) }
      throw error
    }
  }

  /// Counts the page walk that has made the references since `before`, and lets the time pass that they take.
  private func countWalk(since before: (guest: UInt64, ept: UInt64)) {
    let now = translations.pointee.references
    let guest = now.guest &- before.guest
    let ept = now.ept &- before.ept
    guard guest | ept != 0 else { return }
    let clock = cpu.pointee.machine.clock
    clock.pointee.cycles &+= (guest &+ ept) &* clock.pointee.walkReferenceCycles
    clock.pointee.pageWalks?.pointee.add(guest: guest, ept: ept)
  }

  /// Whether `linear` is canonical, which every address is outside IA-32e mode.
  @inline(always)
  func isCanonical(_ linear: UInt64) -> Bool {
    Int64(bitPattern: linear &<< 16) &>> 16 == Int64(bitPattern: linear) || cpu.pointee.efer & 1 << 10 == 0
  }

  @inline(always)
  func physicalAddress(_ linear: UInt64, addend: Int) -> UInt64 {
    let host = Int(truncatingIfNeeded: linear) &+ addend
    return UInt64(truncatingIfNeeded: host &- Int(bitPattern: cpu.pointee.machine.ram))
  }
}
