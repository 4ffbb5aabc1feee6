extension CostTable {
  /// The cost table used when none is chosen.
  ///
  /// Only the sum of one exit and one entry has a published source; the rest is assumed until measured, and says so.
  /// The same figures are in `Experiments/CostTables/reference.yaml`.
  public static let reference = CostTable(
    checkedName: "reference",
    summary: "a 2009 server core: exit and entry together as published for the Xeon X5570, the rest assumed",
    frequency: 1_000_000_000,
    figures: [
      CostFigure(
        .vmExit, cycles: 1_300,
        source:
          "Landau et al., SplitX, WIOV 2011: one exit costs about 2,000 cycles directly (Xeon X5570, KVM); "
          + "how it divides into exit and entry is assumed",
        certainty: .derived),
      CostFigure(
        .vmEntry, cycles: 700,
        source:
          "Landau et al., SplitX, WIOV 2011: the rest of the 2,000 cycles of an exit; the division is assumed",
        certainty: .derived),
      CostFigure(
        .vmread, cycles: 40, source: "no printed source: some tens of cycles since Westmere",
        certainty: .assumed),
      CostFigure(
        .vmwrite, cycles: 40, source: "no printed source: taken equal to VMREAD", certainty: .assumed),
      CostFigure(
        .vmptrld, cycles: 150, source: "no printed source: a few VMREADs and a memory access",
        certainty: .assumed),
      CostFigure(
        .invept, cycles: 500, source: "no printed source: of the order of a VM entry", certainty: .assumed),
      CostFigure(
        .invvpid, cycles: 500, source: "no printed source: taken equal to INVEPT", certainty: .assumed),
      CostFigure(
        .pageWalkReference, cycles: 20, source: "no printed source: between an L2 and an L3 cache hit",
        certainty: .assumed),
      CostFigure(
        .memoryAccess, cycles: 4, source: "no printed source: an L1 cache hit", certainty: .assumed),
      CostFigure(
        .handlerBase, cycles: 200, source: "no printed source: registers saved, restored, and a dispatch",
        certainty: .assumed),
    ])
}
