/// Something that a cost table puts a price on, in virtual cycles.
public enum CostItem: String, CaseIterable, Sendable {
  /// A VM exit: from the guest's last instruction to the host's first.
  case vmExit
  /// A VM entry: VMLAUNCH or VMRESUME in the host, up to the guest's first instruction.
  case vmEntry
  /// One VMREAD executed by L0.
  case vmread
  /// One VMWRITE executed by L0.
  case vmwrite
  /// One VMPTRLD executed by L0, as when it changes between vmcs01 and vmcs02.
  case vmptrld
  /// One INVEPT executed by L0.
  case invept
  /// One INVVPID executed by L0.
  case invvpid
  /// One memory reference of a page walk.
  case pageWalkReference
  /// One read or write of memory by an L0 handler.
  case memoryAccess
  /// What every L0 handler spends on saving registers, dispatch and restoring them.
  case handlerBase
}

/// How sure a figure is.
public enum FigureCertainty: String, CaseIterable, Sendable {
  /// Printed in the source.
  case published
  /// Derived from a printed figure and an assumption, which `source` names.
  case derived
  /// An estimate of ours, without a printed source.
  case assumed
  /// Fitted to a measurement, which `source` names; never to be tested against that same measurement.
  case fitted
}

/// One row of a cost table.
public struct CostFigure: Equatable, Sendable {
  public var item: CostItem
  /// The price in virtual cycles.
  public var cycles: UInt64
  /// Where the figure is from.
  public var source: String
  public var certainty: FigureCertainty

  public init(_ item: CostItem, cycles: UInt64, source: String, certainty: FigureCertainty) {
    self.item = item
    self.cycles = cycles
    self.source = source
    self.certainty = certainty
  }
}
