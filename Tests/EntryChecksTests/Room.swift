// The tests of EntryChecks.
