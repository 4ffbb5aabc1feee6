// The tests of Hypervisor.
