import CCarrier
import CInstructions
import NestedVMX
import VMX
import X86

/// Where Boot.S leads.
@c(guest_main)
func guestMain(commandLine: UnsafePointer<UInt8>?, startInfo: UInt64, multiboot: UInt64) -> Never {
  Serial.initialise()
  Exceptions.install()
  Serial.writeLine("carrier: a guest hypervisor that gives VMX to its guest")
  let options = Options(BootCommandLine(text: commandLine))
  let machine = LoaderInformation(startInfo: startInfo, multiboot: multiboot)
  let memory = CarriedMemory(machine)
  let start = GuestStart(machine, in: memory)
  Serial.write("its guest has ")
  Serial.write(memory.size >> 20)
  Serial.writeLine(" MByte")

  let pool = PagePool()
  enableExtendedStates()
  let capabilities = VMXOperation.enter(region: pool.take().address.rawValue).withTheRest()
  let carrier = UnsafeMutablePointer<Carrier>.allocate(capacity: 1)
  carrier.initialize(to: Carrier(capabilities, memory, start, pool, options))
  carrier.pointee.run()
}

/// Makes XSETBV executable, which the carrier executes for its guest.
private func enableExtendedStates() {
  guard CPUIDFeaturesECX(rawValue: cpuid(CPUIDLeaf.features, 0).ecx).contains(.xsave) else { return }
  write_cr4(read_cr4() | CR4.osxsave.rawValue)
}

extension VMXCapabilities {
  /// These capabilities, and what the nested core has to know beside them.
  fileprivate func withTheRest() -> Self {
    var it = self
    it.miscellaneous = VMXMiscellaneousData(rawValue: rdmsr(ModelSpecificRegister.vmxMiscellaneous.rawValue))
    it.vmcsEnumeration = rdmsr(ModelSpecificRegister.vmxVMCSEnumeration.rawValue)
    if it.allows(SecondaryProcessorBasedControls.enableVMFunctions) {
      it.vmFunction = rdmsr(ModelSpecificRegister.vmxFunctions.rawValue)
    }
    return it
  }
}
