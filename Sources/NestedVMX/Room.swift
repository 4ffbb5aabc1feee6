// NestedVMX: virtual VMX for L1. It returns decisions as values and never touches a processor.
