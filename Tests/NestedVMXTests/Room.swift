// The tests of NestedVMX.
