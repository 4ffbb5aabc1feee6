import VMX
import X86

/// What the value of a VMCS field means, in words.
public enum FieldDecoding {
  /// The words for `value` of `field`, one per line, empty if the number says it all. `reason` is the exit reason
  /// of the same VMCS, which decides what its exit qualification means.
  public static func lines(_ field: VMCSField, _ value: UInt64, reason: ExitReasonField? = nil) -> [String] {
    if let kind = ControlWordKind.allCases.first(where: { $0.field == field }) {
      return namedControls(kind, value)
    }
    let text = words(field, value, reason: reason)
    return text.isEmpty ? [] : [text]
  }

  /// The names of the controls that are 1 in a word, lowest bit first.
  public static func controls(_ kind: ControlWordKind, _ word: UInt64) -> [String] {
    (0..<UInt8(64)).filter { word >> UInt64($0) & 1 != 0 }.map { name(of: kind, bit: $0) }
  }

  /// The names of the controls that are 1 in a word; the reserved bits on one line.
  private static func namedControls(_ kind: ControlWordKind, _ word: UInt64) -> [String] {
    let named = (0..<UInt8(64)).filter { kind.name(ofBit: $0) != nil }
    let reserved = named.reduce(word) { $0 & ~(1 << UInt64($1)) }
    return controls(kind, word & ~reserved) + (reserved == 0 ? [] : ["reserved: bits \(bits(reserved))"])
  }

  /// The bits that are 1, such as `1, 4-6, 8`.
  static func bits(_ value: UInt64) -> String {
    var ranges: [ClosedRange<Int>] = []
    for bit in 0..<64 where value >> UInt64(bit) & 1 != 0 {
      if let last = ranges.last, last.upperBound == bit - 1 {
        ranges[ranges.count - 1] = last.lowerBound...bit
      } else {
        ranges.append(bit...bit)
      }
    }
    return ranges.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" }
      .joined(separator: ", ")
  }

  /// The SDM's name of a control, or that it is reserved.
  static func name(of kind: ControlWordKind, bit: UInt8) -> String {
    kind.name(ofBit: bit).map { "\($0)" } ?? "bit \(bit), reserved"
  }

  private static func words(_ field: VMCSField, _ value: UInt64, reason: ExitReasonField?) -> String {
    switch field {
    case .guestCR0, .hostCR0, .cr0GuestHostMask, .cr0ReadShadow: flags(cr0, value)
    case .guestCR4, .hostCR4, .cr4GuestHostMask, .cr4ReadShadow: flags(cr4, value)
    case .guestEFER, .hostEFER: flags(efer, value)
    case .guestRFLAGS: flags(rflags, value)
    case .guestInterruptibilityState: flags(interruptibility, value)
    case .guestActivityState: activity(value)
    case .exceptionBitmap: exceptions(value)
    case .eptPointer: value == 0 ? "" : eptPointer(EPTPointer(rawValue: value))
    case .entryInterruptionInformation, .exitInterruptionInformation, .idtVectoringInformation:
      event(InterruptionInformation(rawValue: UInt32(truncatingIfNeeded: value)))
    case .vmInstructionError: instructionError(value)
    case .exitReason: exitReason(ExitReasonField(rawValue: UInt32(truncatingIfNeeded: value)))
    case .exitQualification: reason.map { qualification(value, of: $0) } ?? ""
    case .vmcsLinkPointer: value == .max ? "no linked VMCS" : ""
    default: accessRightsWords(field, value)
    }
  }

  // MARK: Flags

  typealias Flag = (bit: UInt64, name: String)

  private static let cr0: [Flag] = [
    (CR0.pe.rawValue, "PE"), (CR0.mp.rawValue, "MP"), (CR0.em.rawValue, "EM"), (CR0.ts.rawValue, "TS"),
    (CR0.et.rawValue, "ET"), (CR0.ne.rawValue, "NE"), (CR0.wp.rawValue, "WP"), (CR0.am.rawValue, "AM"),
    (CR0.nw.rawValue, "NW"), (CR0.cd.rawValue, "CD"), (CR0.pg.rawValue, "PG"),
  ]
  private static let cr4: [Flag] = [
    (CR4.vme.rawValue, "VME"), (CR4.pvi.rawValue, "PVI"), (CR4.tsd.rawValue, "TSD"), (CR4.de.rawValue, "DE"),
    (CR4.pse.rawValue, "PSE"), (CR4.pae.rawValue, "PAE"), (CR4.mce.rawValue, "MCE"),
    (CR4.pge.rawValue, "PGE"),
    (CR4.pce.rawValue, "PCE"), (CR4.osfxsr.rawValue, "OSFXSR"), (CR4.osxmmexcpt.rawValue, "OSXMMEXCPT"),
    (CR4.umip.rawValue, "UMIP"), (CR4.la57.rawValue, "LA57"), (CR4.vmxe.rawValue, "VMXE"),
    (CR4.smxe.rawValue, "SMXE"), (CR4.fsgsbase.rawValue, "FSGSBASE"), (CR4.pcide.rawValue, "PCIDE"),
    (CR4.osxsave.rawValue, "OSXSAVE"), (CR4.kl.rawValue, "KL"), (CR4.smep.rawValue, "SMEP"),
    (CR4.smap.rawValue, "SMAP"), (CR4.pke.rawValue, "PKE"), (CR4.cet.rawValue, "CET"),
    (CR4.pks.rawValue, "PKS"), (CR4.uintr.rawValue, "UINTR"), (CR4.lass.rawValue, "LASS"),
    (CR4.lamSup.rawValue, "LAM_SUP"), (CR4.fred.rawValue, "FRED"),
  ]
  private static let efer: [Flag] = [
    (EFER.sce.rawValue, "SCE"), (EFER.lme.rawValue, "LME"), (EFER.lma.rawValue, "LMA"),
    (EFER.nxe.rawValue, "NXE"),
  ]
  private static let rflags: [Flag] = [
    (RFLAGS.cf.rawValue, "CF"), (RFLAGS.pf.rawValue, "PF"), (RFLAGS.af.rawValue, "AF"),
    (RFLAGS.zf.rawValue, "ZF"), (RFLAGS.sf.rawValue, "SF"), (RFLAGS.tf.rawValue, "TF"),
    (RFLAGS.if.rawValue, "IF"), (RFLAGS.df.rawValue, "DF"), (RFLAGS.of.rawValue, "OF"),
    (RFLAGS.nt.rawValue, "NT"), (RFLAGS.rf.rawValue, "RF"), (RFLAGS.vm.rawValue, "VM"),
    (RFLAGS.ac.rawValue, "AC"), (RFLAGS.vif.rawValue, "VIF"), (RFLAGS.vip.rawValue, "VIP"),
    (RFLAGS.id.rawValue, "ID"),
  ]
  private static let interruptibility: [Flag] = [
    (UInt64(InterruptibilityState.blockingBySTI.rawValue), "blocking by STI"),
    (UInt64(InterruptibilityState.blockingByMOVSS.rawValue), "blocking by MOV SS"),
    (UInt64(InterruptibilityState.blockingBySMI.rawValue), "blocking by SMI"),
    (UInt64(InterruptibilityState.blockingByNMI.rawValue), "blocking by NMI"),
    (UInt64(InterruptibilityState.enclaveInterruption.rawValue), "enclave interruption"),
  ]
  private static let eptViolation: [Flag] = [
    (EPTViolationQualification.read.rawValue, "data read"),
    (EPTViolationQualification.write.rawValue, "data write"),
    (EPTViolationQualification.fetch.rawValue, "instruction fetch"),
    (EPTViolationQualification.readable.rawValue, "page readable"),
    (EPTViolationQualification.writable.rawValue, "page writable"),
    (EPTViolationQualification.executable.rawValue, "page executable"),
    (EPTViolationQualification.linearAddressValid.rawValue, "linear address valid"),
    (EPTViolationQualification.finalTranslation.rawValue, "final translation"),
    (EPTViolationQualification.nmiUnblocking.rawValue, "NMI unblocking"),
  ]

  private static func flags(_ table: [Flag], _ value: UInt64) -> String {
    table.filter { value & $0.bit != 0 }.map(\.name).joined(separator: " | ")
  }

  // MARK: Fields of their own

  private static func activity(_ value: UInt64) -> String {
    switch UInt32(exactly: value).flatMap(ActivityState.init) {
    case .active: "active"
    case .hlt: "HLT"
    case .shutdown: "shutdown"
    case .waitForSIPI: "wait-for-SIPI"
    case nil: "reserved"
    }
  }

  private static func exceptions(_ value: UInt64) -> String {
    value == 0 ? "" : "vectors \(bits(value))"
  }

  private static func eptPointer(_ pointer: EPTPointer) -> String {
    let type =
      switch pointer.memoryType {
      case .uncacheable: "uncacheable"
      case .writeBack: "write-back"
      default: "memory type reserved"
      }
    let flags = pointer.enablesAccessedAndDirty ? ", accessed and dirty flags" : ""
    return "\(pointer.walkLength) levels, \(type)\(flags)"
  }

  private static func event(_ event: InterruptionInformation) -> String {
    guard event.isValid else { return "" }
    let kind =
      switch event.kind {
      case .externalInterrupt: "external interrupt"
      case .reserved: "reserved type"
      case .nmi: "NMI"
      case .hardwareException: "hardware exception"
      case .softwareInterrupt: "software interrupt"
      case .privilegedSoftwareException: "privileged software exception"
      case .softwareException: "software exception"
      case .otherEvent: "other event"
      }
    return "\(kind), vector \(event.vector)" + (event.hasErrorCode ? ", with error code" : "")
  }

  private static func instructionError(_ value: UInt64) -> String {
    guard value != 0 else { return "" }
    return UInt32(exactly: value).flatMap(VMInstructionError.init).map { "\($0.description)" } ?? "reserved"
  }

  private static func exitReason(_ reason: ExitReasonField) -> String {
    guard let basic = reason.basic else { return "reserved" }
    return "\(basic.name)" + (reason.isEntryFailure ? ", VM-entry failure" : "")
  }

  /// An exit qualification, as far as its exit reason gives its bits a meaning that is told here.
  static func qualification(_ value: UInt64, of reason: ExitReasonField) -> String {
    switch reason.basic {
    case .eptViolation: flags(eptViolation, value)
    case .controlRegisterAccess: controlRegister(ControlRegisterQualification(rawValue: value))
    case .ioInstruction: io(IOQualification(rawValue: value))
    case .movDR: debugRegister(DebugRegisterQualification(rawValue: value))
    case .entryFailureInvalidGuestState: entryFailure(value)
    case .entryFailureMSRLoading: "entry \(value) of the MSR-load list"
    default: ""
    }
  }

  private static func controlRegister(_ access: ControlRegisterQualification) -> String {
    switch access.access {
    case .movToCR: "MOV to CR\(access.number) from \(name(access.register))"
    case .movFromCR: "MOV from CR\(access.number) to \(name(access.register))"
    case .clts: "CLTS"
    case .lmsw: "LMSW of \(hexadecimal(UInt64(access.lmswSource)))"
    }
  }

  private static func debugRegister(_ access: DebugRegisterQualification) -> String {
    "MOV \(access.isRead ? "from" : "to") DR\(access.number), \(name(access.register))"
  }

  private static func name(_ register: GeneralRegister) -> String { "\(register)".uppercased() }

  private static func io(_ access: IOQualification) -> String {
    let instruction = (access.isIn ? "IN" : "OUT") + (access.isString ? "S" : "")
    return "\(access.isREP ? "REP " : "")\(instruction), port \(hexadecimal(UInt64(access.port))), "
      + "\(access.size) byte\(access.size == 1 ? "" : "s")"
  }

  /// What the qualification of a VM entry that failed by its guest state says.
  static func entryFailure(_ value: UInt64) -> String {
    guard let qualification = EntryFailureQualification(rawValue: value) else { return "reserved" }
    return switch qualification {
    case .none: "no particular cause"
    case .pdpteLoading: "loading the PDPTEs"
    case .nmiInjectionBlocked: "NMI injected while events are blocked by STI"
    case .invalidLinkPointer: "VMCS link pointer"
    }
  }

  // MARK: Segments

  private static func accessRightsWords(_ field: VMCSField, _ value: UInt64) -> String {
    guard let segment = GuestSegment(field: field), segment.accessRightsField == field else { return "" }
    return accessRights(SegmentAccessRights(rawValue: UInt32(truncatingIfNeeded: value)))
  }

  /// Access rights in words, such as `code, readable, accessed, DPL 0, 64-bit, 4-KByte units`.
  public static func accessRights(_ rights: SegmentAccessRights) -> String {
    guard !rights.isUnusable else { return "unusable" }
    var words = [type(rights), "DPL \(rights.dpl)"]
    if !rights.isPresent { words.append("not present") }
    if rights.isCode { words.append(rights.isLong ? "64-bit" : rights.isBig ? "32-bit" : "16-bit") }
    if rights.isData, rights.isBig { words.append("32-bit") }
    if rights.isGranular { words.append("4-KByte units") }
    if rights.rawValue & SegmentAccessRights.reservedBits != 0 { words.append("reserved bits") }
    return words.joined(separator: ", ")
  }

  private static func type(_ rights: SegmentAccessRights) -> String {
    guard rights.isCodeOrData else { return systemType(rights.type) }
    let accessed = rights.isAccessed ? ", accessed" : ""
    guard rights.isCode else {
      return "data" + (rights.isExpandDown ? ", expand-down" : "") + (rights.isWritable ? ", writable" : "")
        + accessed
    }
    return "code" + (rights.isConforming ? ", conforming" : "") + (rights.isReadable ? ", readable" : "")
      + accessed
  }

  private static func systemType(_ type: UInt8) -> String {
    switch SystemSegmentType(rawValue: type) {
    case .tss16Available: "16-bit TSS, available"
    case .ldt: "LDT"
    case .tss16Busy: "16-bit TSS, busy"
    case .tss32Available: "TSS, available"
    case .tss32Busy: "TSS, busy"
    default: "system type \(type)"
    }
  }
}
