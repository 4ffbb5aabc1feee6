// The tests of InstructionDecoder.
