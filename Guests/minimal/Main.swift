import CInstructions
import VMX

/// Where Boot.S leads.
@c(guest_main)
func guestMain(commandLine: UnsafePointer<UInt8>?) -> Never {
  Serial.initialise()
  Exceptions.install()
  Serial.writeLine("minimal: a guest hypervisor in Embedded Swift")
  let options = Options(BootCommandLine(text: commandLine))
  Serial.write("workload ")
  Serial.write(options.workload.name)
  Serial.write(", iterations ")
  Serial.write(options.iterations)
  Serial.endLine()
  if options.mistake != .none {
    Serial.write("broken on purpose: ")
    Serial.writeLine(options.mistake.name)
  }

  var pages = L1Pages()
  let capabilities = VMXOperation.enter(region: pages.take())
  var hypervisor = GuestHypervisor(options, capabilities, &pages)
  let checksum = hypervisor.run()
  VMXOperation.leave()
  judge(hypervisor, checksum, options)
}

/// Compares what L2 reports with what L1 knows, and ends the run.
func judge(_ hypervisor: GuestHypervisor, _ checksum: UInt64, _ options: Options) -> Never {
  Serial.write("exits handled ")
  Serial.write(hypervisor.handledExits)
  Serial.endLine()
  let computes = options.workload == .none
  let expectedExits = computes ? 0 : options.iterations
  guard hypervisor.handledExits == expectedExits else { fail("not one exit an iteration") }
  let expected = computes ? options.iterations &* Computation.resultOfRound : hypervisor.given.value
  guard checksum == expected else { fail("L2 did not get what L1 gave, or computed wrongly") }
  guard options.mistake == .none else { fail("nobody noticed the mistake") }
  Serial.writeLine("done")
  finish(.success)
}
