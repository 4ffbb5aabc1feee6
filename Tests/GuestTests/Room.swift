// The tests of Guest.
