extension CostPrices {
  /// The prices that `cycles` gives for each item; 0 where it gives none.
  public init(_ cycles: (CostItem) -> UInt64?) {
    self.init(
      CostItem.allCases.map { CostFigure($0, cycles: cycles($0) ?? 0, source: "", certainty: .assumed) })
  }

  /// The price of `item` in cycles.
  public func cycles(_ item: CostItem) -> UInt64 {
    switch item {
    case .vmExit: vmExit
    case .vmEntry: vmEntry
    case .vmread: vmread
    case .vmwrite: vmwrite
    case .vmptrld: vmptrld
    case .invept: invept
    case .invvpid: invvpid
    case .pageWalkReference: pageWalkReference
    case .memoryAccess: memoryAccess
    case .handlerBase: handlerBase
    }
  }
}
