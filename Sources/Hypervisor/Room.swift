// Hypervisor: owns the machine and the run loop, and performs the decisions of NestedVMX.
