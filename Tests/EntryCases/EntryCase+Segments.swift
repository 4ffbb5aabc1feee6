import VMX
import X86

extension EntryCase {
  private static let six: [(name: String, segment: GuestSegment)] = [
    ("CS", .cs), ("SS", .ss), ("DS", .ds), ("ES", .es), ("FS", .fs), ("GS", .gs),
  ]

  static let guestSegments: [EntryCase] =
    [
      bits("TR selector is of the GDT", .guestTRSelector, 4),
      bits("LDTR selector is of the GDT", .guestLDTRSelector, 4),
      bits("SS and CS selectors have one RPL", .guestCSSelector, 3),
      bits("TR base is canonical", .guestTRBase, 1 << 47),
      bits("FS base is canonical", .guestFSBase, 1 << 47),
      bits("GS base is canonical", .guestGSBase, 1 << 47),
      bits("LDTR base is canonical", .guestLDTRBase, 1 << 47),
      EntryCase("CS type is accessed code") { $0.vmcs[.guestCSAccessRights] = 0xA091 },
      EntryCase("SS type is accessed writable data") { $0.vmcs[.guestSSAccessRights] = 0xC091 },
      bits("CS DPL agrees with its type and SS", .guestCSAccessRights, 0x20),
      EntryCase("SS DPL is the RPL", prepare: { $0.vmcs[.guestCSAccessRights] = 0xA09F }) {
        $0.vmcs[.guestSSAccessRights] = 0xC0B3
      },
      EntryCase(
        "SS DPL is 0 outside protected mode",
        prepare: {
          $0.enterRealMode()
          $0.vmcs[.guestCSAccessRights] = 0xC09F
        }, { $0.vmcs[.guestSSAccessRights] = 0xC0B3 }),
      bits("CS of a 64-bit guest is not both 64-bit and 32-bit", .guestCSAccessRights, 1 << 14),
      EntryCase("TR type is a busy TSS") { $0.vmcs[.guestTRAccessRights] = 0x83 },
      bits("TR is a system segment", .guestTRAccessRights, 0x10),
      EntryCase("TR is present") { $0.vmcs[.guestTRAccessRights] = 0x0B },
      bits("TR access rights have no reserved bits", .guestTRAccessRights, 0x100),
      bits("TR granularity agrees with its limit", .guestTRAccessRights, 0x8000),
      bits("TR is usable", .guestTRAccessRights, 0x1_0000),
      EntryCase("LDTR type is an LDT") { $0.vmcs[.guestLDTRAccessRights] = 0x83 },
      bits("LDTR is a system segment", .guestLDTRAccessRights, 0x10),
      EntryCase("LDTR is present") { $0.vmcs[.guestLDTRAccessRights] = 0x02 },
      bits("LDTR access rights have no reserved bits", .guestLDTRAccessRights, 0x800),
      bits("LDTR granularity agrees with its limit", .guestLDTRLimit, 0x10_0000),
    ]
    + six.prefix(4).map { bits("\($0.name) base has 32 bits", $0.segment.baseField, 1 << 32) }
    + six.flatMap { name, segment in
      [
        bits(
          "\(name) base is that of virtual-8086 mode", segment.baseField, 0x8,
          prepare: { $0.enterVirtual8086Mode() }),
        EntryCase("\(name) limit is that of virtual-8086 mode", prepare: { $0.enterVirtual8086Mode() }) {
          $0.vmcs[segment.limitField] = 0xFFFE
        },
        EntryCase(
          "\(name) access rights are those of virtual-8086 mode", prepare: { $0.enterVirtual8086Mode() }
        ) {
          $0.vmcs[segment.accessRightsField] = 0x93
        },
        EntryCase("\(name) is a code or data segment") { $0.vmcs[segment.accessRightsField] &= ~0x10 },
        EntryCase("\(name) is present") { $0.vmcs[segment.accessRightsField] &= ~0x80 },
        bits("\(name) access rights have no reserved bits", segment.accessRightsField, 1 << 17),
        EntryCase("\(name) granularity agrees with its limit") {
          $0.vmcs[segment.accessRightsField] &= ~0x8000
        },
      ]
    }
    + six.dropFirst(2).flatMap { name, segment in
      [
        EntryCase("\(name) type is accessed and readable") { $0.vmcs[segment.accessRightsField] &= ~1 },
        bits("\(name) DPL is not below the RPL", segment.selectorField, 3),
      ]
    }
}
