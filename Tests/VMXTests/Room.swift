// The tests of VMX.
