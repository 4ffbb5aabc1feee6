import X86

/// The paging mode (SDM volume 3, "Paging Modes and Control Bits").
public enum PagingMode: UInt8, Sendable {
  case none
  case bits32
  case pae
  case fourLevel

  /// The mode that CR0.PG, CR4.PAE and IA32_EFER.LMA select.
  @inlinable
  public init(paging: Bool, pae: Bool, longModeActive: Bool) {
    if !paging {
      self = .none
    } else if !pae {
      self = .bits32
    } else {
      self = longModeActive ? .fourLevel : .pae
    }
  }
}

/// The registers that linear-address translation depends on.
public struct LinearPaging: Sendable {
  public var mode: PagingMode
  public var cr3: UInt64
  /// The four PDPTE registers of PAE paging.
  public var pdptes: (UInt64, UInt64, UInt64, UInt64)
  /// The number of physical-address bits; entry bits from here to 51 are reserved.
  public var physicalAddressWidth: UInt8
  public var controls: Controls

  /// The control bits that modify translation: CR0.WP, CR4.PSE, CR4.SMEP, CR4.SMAP and IA32_EFER.NXE;
  /// and the lack of a feature.
  public struct Controls: OptionSet, Sendable {
    public var rawValue: UInt8

    @inlinable
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    @inlinable public static var writeProtect: Controls { Controls(rawValue: 1 << 0) }
    @inlinable public static var pageSizeExtensions: Controls { Controls(rawValue: 1 << 1) }
    @inlinable public static var supervisorExecutionPrevention: Controls { Controls(rawValue: 1 << 2) }
    @inlinable public static var supervisorAccessPrevention: Controls { Controls(rawValue: 1 << 3) }
    @inlinable public static var executeDisable: Controls { Controls(rawValue: 1 << 4) }
    /// The processor has no 1-GByte pages: PS is reserved in a PDPTE (CPUID.80000001H:EDX[26]).
    @inlinable public static var withoutPagesOf1GByte: Controls { Controls(rawValue: 1 << 5) }
  }

  @inlinable
  public init(
    mode: PagingMode, cr3: UInt64, controls: Controls, physicalAddressWidth: UInt8,
    pdptes: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
  ) {
    self.mode = mode
    self.cr3 = cr3
    self.controls = controls
    self.physicalAddressWidth = physicalAddressWidth
    self.pdptes = pdptes
  }
}

/// An access to a linear address, as far as the rights to it go (SDM volume 3, "Access Rights").
public struct LinearAccess: Sendable {
  public var kind: AccessKind
  /// A user-mode access; else a supervisor-mode access, explicit or implicit.
  public var isUser: Bool
  /// Whether SMAP, if enabled, applies: not for explicit supervisor-mode accesses with EFLAGS.AC set.
  public var obeysSMAP: Bool

  @inlinable
  public init(_ kind: AccessKind, isUser: Bool, obeysSMAP: Bool = true) {
    self.kind = kind
    self.isUser = isUser
    self.obeysSMAP = obeysSMAP
  }
}

/// What a linear address maps to.
public struct LinearMapping<Level: NestingLevel>: Sendable {
  /// The physical address of the byte.
  public var address: PhysicalAddress<Level>
  public var size: MappingSize
  /// R/W is set in every entry used.
  public var isWritable: Bool
  /// U/S is set in every entry used.
  public var isUser: Bool
  /// XD is clear in every entry used (or IA32_EFER.NXE is).
  public var isExecutable: Bool
  /// The leaf entry's dirty flag, after the access.
  public var isDirty: Bool
  /// The leaf entry's global flag.
  public var isGlobal: Bool
  /// How many paging-structure entries were read.
  public var references: UInt8

  @inlinable
  public init(
    address: PhysicalAddress<Level>, size: MappingSize, isWritable: Bool, isUser: Bool, isExecutable: Bool,
    isDirty: Bool, isGlobal: Bool, references: UInt8
  ) {
    self.address = address
    self.size = size
    self.isWritable = isWritable
    self.isUser = isUser
    self.isExecutable = isExecutable
    self.isDirty = isDirty
    self.isGlobal = isGlobal
    self.references = references
  }
}

/// Why a linear address was not translated.
public enum LinearFault<Failure: Error>: Error {
  /// A page fault.
  case pageFault(PageFaultErrorCode)
  /// A paging-structure entry could not be reached.
  case structures(Failure)
}
