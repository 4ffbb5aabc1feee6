// The tests of ExitAnalysis.
