import VMX
import X86

extension EntryCheck {
  /// The checks on the guest's segment registers.
  ///
  /// Source: SDM volume 3, "Checks on Guest Segment Registers".
  public static let guestSegments: InlineArray<78, EntryCheck> = [
    EntryCheck(
      .guestSegments, .guestTRSelector, "TR selector is of the GDT",
      "bit 2 is 0"
    ) { vmcs, field in vmcs[field] & 4 != 0 },
    EntryCheck(
      .guestSegments, .guestLDTRSelector, "LDTR selector is of the GDT",
      "bit 2 is 0 if LDTR is usable"
    ) { vmcs, field in !vmcs.rights(.ldtr).isUnusable && vmcs[field] & 4 != 0 },
    EntryCheck(
      .guestSegments, .guestSSSelector, "SS and CS selectors have one RPL",
      "bits 1:0 are those of the CS selector"
    ) { vmcs, _ in
      !vmcs.isVirtual8086 && !vmcs.isUnrestrictedGuest && vmcs.selector(.ss).rpl != vmcs.selector(.cs).rpl
    },
    EntryCheck(
      .guestSegments, .guestCSBase, "CS base is that of virtual-8086 mode",
      "it is the selector shifted left by 4"
    ) { vmcs, field in
      vmcs.isVirtual8086 && vmcs[field] != UInt64(vmcs.selector(vmcs.segment(field)).rawValue) << 4
    },
    EntryCheck(
      .guestSegments, .guestSSBase, "SS base is that of virtual-8086 mode",
      "it is the selector shifted left by 4"
    ) { vmcs, field in
      vmcs.isVirtual8086 && vmcs[field] != UInt64(vmcs.selector(vmcs.segment(field)).rawValue) << 4
    },
    EntryCheck(
      .guestSegments, .guestDSBase, "DS base is that of virtual-8086 mode",
      "it is the selector shifted left by 4"
    ) { vmcs, field in
      vmcs.isVirtual8086 && vmcs[field] != UInt64(vmcs.selector(vmcs.segment(field)).rawValue) << 4
    },
    EntryCheck(
      .guestSegments, .guestESBase, "ES base is that of virtual-8086 mode",
      "it is the selector shifted left by 4"
    ) { vmcs, field in
      vmcs.isVirtual8086 && vmcs[field] != UInt64(vmcs.selector(vmcs.segment(field)).rawValue) << 4
    },
    EntryCheck(
      .guestSegments, .guestFSBase, "FS base is that of virtual-8086 mode",
      "it is the selector shifted left by 4"
    ) { vmcs, field in
      vmcs.isVirtual8086 && vmcs[field] != UInt64(vmcs.selector(vmcs.segment(field)).rawValue) << 4
    },
    EntryCheck(
      .guestSegments, .guestGSBase, "GS base is that of virtual-8086 mode",
      "it is the selector shifted left by 4"
    ) { vmcs, field in
      vmcs.isVirtual8086 && vmcs[field] != UInt64(vmcs.selector(vmcs.segment(field)).rawValue) << 4
    },
    EntryCheck(
      .guestSegments, .guestTRBase, "TR base is canonical",
      "it is a canonical address"
    ) { vmcs, field in vmcs.isNotCanonical(field) },
    EntryCheck(
      .guestSegments, .guestFSBase, "FS base is canonical",
      "it is a canonical address"
    ) { vmcs, field in vmcs.isNotCanonical(field) },
    EntryCheck(
      .guestSegments, .guestGSBase, "GS base is canonical",
      "it is a canonical address"
    ) { vmcs, field in vmcs.isNotCanonical(field) },
    EntryCheck(
      .guestSegments, .guestLDTRBase, "LDTR base is canonical",
      "it is a canonical address"
    ) { vmcs, field in !vmcs.rights(.ldtr).isUnusable && vmcs.isNotCanonical(field) },
    EntryCheck(
      .guestSegments, .guestCSBase, "CS base has 32 bits",
      "bits 63:32 are 0"
    ) { vmcs, field in vmcs[field] >> 32 != 0 },
    EntryCheck(
      .guestSegments, .guestSSBase, "SS base has 32 bits",
      "bits 63:32 are 0"
    ) { vmcs, field in !vmcs.rights(.ss).isUnusable && vmcs[field] >> 32 != 0 },
    EntryCheck(
      .guestSegments, .guestDSBase, "DS base has 32 bits",
      "bits 63:32 are 0"
    ) { vmcs, field in !vmcs.rights(.ds).isUnusable && vmcs[field] >> 32 != 0 },
    EntryCheck(
      .guestSegments, .guestESBase, "ES base has 32 bits",
      "bits 63:32 are 0"
    ) { vmcs, field in !vmcs.rights(.es).isUnusable && vmcs[field] >> 32 != 0 },
    EntryCheck(
      .guestSegments, .guestCSLimit, "CS limit is that of virtual-8086 mode",
      "it is 0xFFFF"
    ) { vmcs, field in vmcs.isVirtual8086 && vmcs[field] != 0xFFFF },
    EntryCheck(
      .guestSegments, .guestSSLimit, "SS limit is that of virtual-8086 mode",
      "it is 0xFFFF"
    ) { vmcs, field in vmcs.isVirtual8086 && vmcs[field] != 0xFFFF },
    EntryCheck(
      .guestSegments, .guestDSLimit, "DS limit is that of virtual-8086 mode",
      "it is 0xFFFF"
    ) { vmcs, field in vmcs.isVirtual8086 && vmcs[field] != 0xFFFF },
    EntryCheck(
      .guestSegments, .guestESLimit, "ES limit is that of virtual-8086 mode",
      "it is 0xFFFF"
    ) { vmcs, field in vmcs.isVirtual8086 && vmcs[field] != 0xFFFF },
    EntryCheck(
      .guestSegments, .guestFSLimit, "FS limit is that of virtual-8086 mode",
      "it is 0xFFFF"
    ) { vmcs, field in vmcs.isVirtual8086 && vmcs[field] != 0xFFFF },
    EntryCheck(
      .guestSegments, .guestGSLimit, "GS limit is that of virtual-8086 mode",
      "it is 0xFFFF"
    ) { vmcs, field in vmcs.isVirtual8086 && vmcs[field] != 0xFFFF },
    EntryCheck(
      .guestSegments, .guestCSAccessRights, "CS access rights are those of virtual-8086 mode",
      "they are 0xF3"
    ) { vmcs, field in vmcs.isVirtual8086 && vmcs[field] != 0xF3 },
    EntryCheck(
      .guestSegments, .guestSSAccessRights, "SS access rights are those of virtual-8086 mode",
      "they are 0xF3"
    ) { vmcs, field in vmcs.isVirtual8086 && vmcs[field] != 0xF3 },
    EntryCheck(
      .guestSegments, .guestDSAccessRights, "DS access rights are those of virtual-8086 mode",
      "they are 0xF3"
    ) { vmcs, field in vmcs.isVirtual8086 && vmcs[field] != 0xF3 },
    EntryCheck(
      .guestSegments, .guestESAccessRights, "ES access rights are those of virtual-8086 mode",
      "they are 0xF3"
    ) { vmcs, field in vmcs.isVirtual8086 && vmcs[field] != 0xF3 },
    EntryCheck(
      .guestSegments, .guestFSAccessRights, "FS access rights are those of virtual-8086 mode",
      "they are 0xF3"
    ) { vmcs, field in vmcs.isVirtual8086 && vmcs[field] != 0xF3 },
    EntryCheck(
      .guestSegments, .guestGSAccessRights, "GS access rights are those of virtual-8086 mode",
      "they are 0xF3"
    ) { vmcs, field in vmcs.isVirtual8086 && vmcs[field] != 0xF3 },
    EntryCheck(
      .guestSegments, .guestCSAccessRights, "CS type is accessed code",
      "the type is 9, 11, 13 or 15, or 3 with unrestricted guest"
    ) { vmcs, _ in !vmcs.isVirtual8086 && vmcs.isCSTypeInvalid },
    EntryCheck(
      .guestSegments, .guestSSAccessRights, "SS type is accessed writable data",
      "the type is 3 or 7"
    ) { vmcs, field in vmcs.isChecked(field) && vmcs.rights(.ss).type != 3 && vmcs.rights(.ss).type != 7 },
    EntryCheck(
      .guestSegments, .guestDSAccessRights, "DS type is accessed and readable",
      "bit 0 of the type is 1, and bit 1 too if bit 3 is"
    ) { vmcs, field in vmcs.isChecked(field) && vmcs.isDataSegmentTypeInvalid(field) },
    EntryCheck(
      .guestSegments, .guestESAccessRights, "ES type is accessed and readable",
      "bit 0 of the type is 1, and bit 1 too if bit 3 is"
    ) { vmcs, field in vmcs.isChecked(field) && vmcs.isDataSegmentTypeInvalid(field) },
    EntryCheck(
      .guestSegments, .guestFSAccessRights, "FS type is accessed and readable",
      "bit 0 of the type is 1, and bit 1 too if bit 3 is"
    ) { vmcs, field in vmcs.isChecked(field) && vmcs.isDataSegmentTypeInvalid(field) },
    EntryCheck(
      .guestSegments, .guestGSAccessRights, "GS type is accessed and readable",
      "bit 0 of the type is 1, and bit 1 too if bit 3 is"
    ) { vmcs, field in vmcs.isChecked(field) && vmcs.isDataSegmentTypeInvalid(field) },
    EntryCheck(
      .guestSegments, .guestCSAccessRights, "CS is a code or data segment",
      "bit 4, S, is 1"
    ) { vmcs, field in vmcs.isChecked(field) && !vmcs.rights(vmcs.segment(field)).isCodeOrData },
    EntryCheck(
      .guestSegments, .guestSSAccessRights, "SS is a code or data segment",
      "bit 4, S, is 1"
    ) { vmcs, field in vmcs.isChecked(field) && !vmcs.rights(vmcs.segment(field)).isCodeOrData },
    EntryCheck(
      .guestSegments, .guestDSAccessRights, "DS is a code or data segment",
      "bit 4, S, is 1"
    ) { vmcs, field in vmcs.isChecked(field) && !vmcs.rights(vmcs.segment(field)).isCodeOrData },
    EntryCheck(
      .guestSegments, .guestESAccessRights, "ES is a code or data segment",
      "bit 4, S, is 1"
    ) { vmcs, field in vmcs.isChecked(field) && !vmcs.rights(vmcs.segment(field)).isCodeOrData },
    EntryCheck(
      .guestSegments, .guestFSAccessRights, "FS is a code or data segment",
      "bit 4, S, is 1"
    ) { vmcs, field in vmcs.isChecked(field) && !vmcs.rights(vmcs.segment(field)).isCodeOrData },
    EntryCheck(
      .guestSegments, .guestGSAccessRights, "GS is a code or data segment",
      "bit 4, S, is 1"
    ) { vmcs, field in vmcs.isChecked(field) && !vmcs.rights(vmcs.segment(field)).isCodeOrData },
    EntryCheck(
      .guestSegments, .guestCSAccessRights, "CS DPL agrees with its type and SS",
      "DPL is 0 for type 3, that of SS for types 9 and 11, and at most that of SS for types 13 and 15"
    ) { vmcs, _ in !vmcs.isVirtual8086 && vmcs.isCSDPLInvalid },
    EntryCheck(
      .guestSegments, .guestSSAccessRights, "SS DPL is the RPL",
      "DPL is bits 1:0 of the selector"
    ) { vmcs, _ in
      !vmcs.isVirtual8086 && !vmcs.isUnrestrictedGuest && vmcs.rights(.ss).dpl != vmcs.selector(.ss).rpl
    },
    EntryCheck(
      .guestSegments, .guestSSAccessRights, "SS DPL is 0 outside protected mode",
      "DPL is 0 if the CS type is 3 or CR0.PE is 0"
    ) { vmcs, _ in
      !vmcs.isVirtual8086 && (vmcs.rights(.cs).type == 3 || !vmcs.guestCR0.contains(.pe))
        && vmcs.rights(.ss).dpl != 0
    },
    EntryCheck(
      .guestSegments, .guestDSAccessRights, "DS DPL is not below the RPL",
      "DPL is at least bits 1:0 of the selector for types 0 to 11"
    ) { vmcs, field in vmcs.isChecked(field) && vmcs.isDataSegmentDPLInvalid(field) },
    EntryCheck(
      .guestSegments, .guestESAccessRights, "ES DPL is not below the RPL",
      "DPL is at least bits 1:0 of the selector for types 0 to 11"
    ) { vmcs, field in vmcs.isChecked(field) && vmcs.isDataSegmentDPLInvalid(field) },
    EntryCheck(
      .guestSegments, .guestFSAccessRights, "FS DPL is not below the RPL",
      "DPL is at least bits 1:0 of the selector for types 0 to 11"
    ) { vmcs, field in vmcs.isChecked(field) && vmcs.isDataSegmentDPLInvalid(field) },
    EntryCheck(
      .guestSegments, .guestGSAccessRights, "GS DPL is not below the RPL",
      "DPL is at least bits 1:0 of the selector for types 0 to 11"
    ) { vmcs, field in vmcs.isChecked(field) && vmcs.isDataSegmentDPLInvalid(field) },
    EntryCheck(
      .guestSegments, .guestCSAccessRights, "CS is present",
      "bit 7, P, is 1"
    ) { vmcs, field in vmcs.isChecked(field) && !vmcs.rights(vmcs.segment(field)).isPresent },
    EntryCheck(
      .guestSegments, .guestSSAccessRights, "SS is present",
      "bit 7, P, is 1"
    ) { vmcs, field in vmcs.isChecked(field) && !vmcs.rights(vmcs.segment(field)).isPresent },
    EntryCheck(
      .guestSegments, .guestDSAccessRights, "DS is present",
      "bit 7, P, is 1"
    ) { vmcs, field in vmcs.isChecked(field) && !vmcs.rights(vmcs.segment(field)).isPresent },
    EntryCheck(
      .guestSegments, .guestESAccessRights, "ES is present",
      "bit 7, P, is 1"
    ) { vmcs, field in vmcs.isChecked(field) && !vmcs.rights(vmcs.segment(field)).isPresent },
    EntryCheck(
      .guestSegments, .guestFSAccessRights, "FS is present",
      "bit 7, P, is 1"
    ) { vmcs, field in vmcs.isChecked(field) && !vmcs.rights(vmcs.segment(field)).isPresent },
    EntryCheck(
      .guestSegments, .guestGSAccessRights, "GS is present",
      "bit 7, P, is 1"
    ) { vmcs, field in vmcs.isChecked(field) && !vmcs.rights(vmcs.segment(field)).isPresent },
    EntryCheck(
      .guestSegments, .guestCSAccessRights, "CS access rights have no reserved bits",
      "bits 11:8 and 31:17 are 0"
    ) { vmcs, field in vmcs.isChecked(field) && vmcs.hasReservedRights(field) },
    EntryCheck(
      .guestSegments, .guestSSAccessRights, "SS access rights have no reserved bits",
      "bits 11:8 and 31:17 are 0"
    ) { vmcs, field in vmcs.isChecked(field) && vmcs.hasReservedRights(field) },
    EntryCheck(
      .guestSegments, .guestDSAccessRights, "DS access rights have no reserved bits",
      "bits 11:8 and 31:17 are 0"
    ) { vmcs, field in vmcs.isChecked(field) && vmcs.hasReservedRights(field) },
    EntryCheck(
      .guestSegments, .guestESAccessRights, "ES access rights have no reserved bits",
      "bits 11:8 and 31:17 are 0"
    ) { vmcs, field in vmcs.isChecked(field) && vmcs.hasReservedRights(field) },
    EntryCheck(
      .guestSegments, .guestFSAccessRights, "FS access rights have no reserved bits",
      "bits 11:8 and 31:17 are 0"
    ) { vmcs, field in vmcs.isChecked(field) && vmcs.hasReservedRights(field) },
    EntryCheck(
      .guestSegments, .guestGSAccessRights, "GS access rights have no reserved bits",
      "bits 11:8 and 31:17 are 0"
    ) { vmcs, field in vmcs.isChecked(field) && vmcs.hasReservedRights(field) },
    EntryCheck(
      .guestSegments, .guestCSAccessRights, "CS of a 64-bit guest is not both 64-bit and 32-bit",
      "bit 14, D, is 0 if L is 1"
    ) { vmcs, _ in
      !vmcs.isVirtual8086 && vmcs.isIA32eModeGuest && vmcs.rights(.cs).isLong && vmcs.rights(.cs).isBig
    },
    EntryCheck(
      .guestSegments, .guestCSAccessRights, "CS granularity agrees with its limit",
      "bit 15, G, is 0 if a bit of limit 11:0 is 0, and 1 if a bit of limit 31:20 is 1"
    ) { vmcs, field in vmcs.isChecked(field) && vmcs.isGranularityWrong(field) },
    EntryCheck(
      .guestSegments, .guestSSAccessRights, "SS granularity agrees with its limit",
      "bit 15, G, is 0 if a bit of limit 11:0 is 0, and 1 if a bit of limit 31:20 is 1"
    ) { vmcs, field in vmcs.isChecked(field) && vmcs.isGranularityWrong(field) },
    EntryCheck(
      .guestSegments, .guestDSAccessRights, "DS granularity agrees with its limit",
      "bit 15, G, is 0 if a bit of limit 11:0 is 0, and 1 if a bit of limit 31:20 is 1"
    ) { vmcs, field in vmcs.isChecked(field) && vmcs.isGranularityWrong(field) },
    EntryCheck(
      .guestSegments, .guestESAccessRights, "ES granularity agrees with its limit",
      "bit 15, G, is 0 if a bit of limit 11:0 is 0, and 1 if a bit of limit 31:20 is 1"
    ) { vmcs, field in vmcs.isChecked(field) && vmcs.isGranularityWrong(field) },
    EntryCheck(
      .guestSegments, .guestFSAccessRights, "FS granularity agrees with its limit",
      "bit 15, G, is 0 if a bit of limit 11:0 is 0, and 1 if a bit of limit 31:20 is 1"
    ) { vmcs, field in vmcs.isChecked(field) && vmcs.isGranularityWrong(field) },
    EntryCheck(
      .guestSegments, .guestGSAccessRights, "GS granularity agrees with its limit",
      "bit 15, G, is 0 if a bit of limit 11:0 is 0, and 1 if a bit of limit 31:20 is 1"
    ) { vmcs, field in vmcs.isChecked(field) && vmcs.isGranularityWrong(field) },
    EntryCheck(
      .guestSegments, .guestTRAccessRights, "TR type is a busy TSS",
      "the type is 11, or 3 too outside IA-32e mode"
    ) { vmcs, _ in vmcs.rights(.tr).type != 11 && (vmcs.isIA32eModeGuest || vmcs.rights(.tr).type != 3) },
    EntryCheck(
      .guestSegments, .guestTRAccessRights, "TR is a system segment",
      "bit 4, S, is 0"
    ) { vmcs, _ in vmcs.rights(.tr).isCodeOrData },
    EntryCheck(
      .guestSegments, .guestTRAccessRights, "TR is present",
      "bit 7, P, is 1"
    ) { vmcs, _ in !vmcs.rights(.tr).isPresent },
    EntryCheck(
      .guestSegments, .guestTRAccessRights, "TR access rights have no reserved bits",
      "bits 11:8 and 31:17 are 0"
    ) { vmcs, field in vmcs.hasReservedRights(field) },
    EntryCheck(
      .guestSegments, .guestTRAccessRights, "TR granularity agrees with its limit",
      "bit 15, G, is 0 if a bit of limit 11:0 is 0, and 1 if a bit of limit 31:20 is 1"
    ) { vmcs, field in vmcs.isGranularityWrong(field) },
    EntryCheck(
      .guestSegments, .guestTRAccessRights, "TR is usable",
      "bit 16 is 0"
    ) { vmcs, _ in vmcs.rights(.tr).isUnusable },
    EntryCheck(
      .guestSegments, .guestLDTRAccessRights, "LDTR type is an LDT",
      "the type is 2"
    ) { vmcs, _ in !vmcs.rights(.ldtr).isUnusable && vmcs.rights(.ldtr).type != 2 },
    EntryCheck(
      .guestSegments, .guestLDTRAccessRights, "LDTR is a system segment",
      "bit 4, S, is 0"
    ) { vmcs, _ in !vmcs.rights(.ldtr).isUnusable && vmcs.rights(.ldtr).isCodeOrData },
    EntryCheck(
      .guestSegments, .guestLDTRAccessRights, "LDTR is present",
      "bit 7, P, is 1"
    ) { vmcs, _ in !vmcs.rights(.ldtr).isUnusable && !vmcs.rights(.ldtr).isPresent },
    EntryCheck(
      .guestSegments, .guestLDTRAccessRights, "LDTR access rights have no reserved bits",
      "bits 11:8 and 31:17 are 0"
    ) { vmcs, field in !vmcs.rights(.ldtr).isUnusable && vmcs.hasReservedRights(field) },
    EntryCheck(
      .guestSegments, .guestLDTRAccessRights, "LDTR granularity agrees with its limit",
      "bit 15, G, is 0 if a bit of limit 11:0 is 0, and 1 if a bit of limit 31:20 is 1"
    ) { vmcs, field in !vmcs.rights(.ldtr).isUnusable && vmcs.isGranularityWrong(field) },
  ]
}
