// The tests of Translation.
