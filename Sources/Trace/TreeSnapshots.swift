import VMX

/// The values of every field of one VMCS at a moment of a run.
public struct VMCSValues: Equatable, Sendable {
  /// By ``VMCSField/rowIndex``.
  private var words: [UInt64]

  /// A VMCS whose fields are 0.
  public init() { words = Array(repeating: 0, count: VMCSField.count) }

  /// What `vmcs` holds; zeros if there is none.
  public init(_ vmcs: VMCS?) {
    self.init()
    guard let vmcs else { return }
    for index in words.indices { words[index] = vmcs[VMCSField.rows[index].field] }
  }

  public subscript(field: VMCSField) -> UInt64 {
    get { words[field.rowIndex] }
    set { words[field.rowIndex] = newValue & field.width.mask }
  }

  /// The fields whose values differ from those of `other`, in the order of the encodings.
  public func fields(differingFrom other: VMCSValues) -> [VMCSField] {
    words.indices.filter { words[$0] != other.words[$0] }.map { VMCSField.rows[$0].field }
  }
}

/// The three VMCSs at one moment of an exit tree.
public struct VMCSSnapshot: Equatable, Sendable {
  /// Which side of L0's handler.
  public enum Moment: UInt8, CaseIterable, Sendable {
    /// The guest has exited, and L0 has done nothing yet: what changed since the moment before is the processor's.
    case exit
    /// L0 has handled the exit and is about to enter a guest: what changed is L0's.
    case handled
  }

  /// The exit of the tree that this is about: 0 the root, then the exits of L1 in order.
  public var step: UInt32
  public var moment: Moment
  public var vmcs01: VMCSValues
  public var vmcs12: VMCSValues
  public var vmcs02: VMCSValues

  public init(
    step: UInt32, moment: Moment, vmcs01: VMCSValues, vmcs12: VMCSValues, vmcs02: VMCSValues
  ) {
    self.step = step
    self.moment = moment
    self.vmcs01 = vmcs01
    self.vmcs12 = vmcs12
    self.vmcs02 = vmcs02
  }
}

/// The VMCSs at every step of one exit tree, as far as its first steps.
public struct TreeSnapshots: Equatable, Sendable {
  /// The steps of one tree that are recorded at the most; a longer tree is recorded up to there.
  public static let stepLimit = 256

  /// The ordinal of the tree, as in ``ExitEvent/tree``.
  public var tree: UInt64
  /// In the order of time.
  public var snapshots: [VMCSSnapshot]

  public init(tree: UInt64, snapshots: [VMCSSnapshot] = []) {
    self.tree = tree
    self.snapshots = snapshots
  }
}
