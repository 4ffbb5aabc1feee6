// ExitAnalysis: trace → exit trees, multiplication, breakdowns.
