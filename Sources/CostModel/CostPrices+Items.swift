extension CostPrices {
  /// The prices that `cycles` gives for each item; 0 where it gives none.
  public init(_ cycles: (CostItem) -> UInt64?) {
    self.init(
      CostItem.allCases.map { CostFigure($0, cycles: cycles($0) ?? 0, source: "", certainty: .assumed) })
  }
}
