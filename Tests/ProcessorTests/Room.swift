// The tests of Processor.
