// The tests of SoftwareProcessor.
