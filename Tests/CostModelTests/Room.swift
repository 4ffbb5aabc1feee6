// The tests of CostModel.
