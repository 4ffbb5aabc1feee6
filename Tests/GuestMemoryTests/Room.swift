// The tests of GuestMemory.
