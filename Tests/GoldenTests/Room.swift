// The tests of Golden.
