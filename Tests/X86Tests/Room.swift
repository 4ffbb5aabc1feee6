// The tests of X86.
