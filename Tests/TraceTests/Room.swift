// The tests of Trace.
