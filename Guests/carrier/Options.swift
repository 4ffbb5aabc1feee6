import NestedVMX

/// What the command line asks for.
struct Options {
  /// How the guest's VMREADs and VMWRITEs reach its VMCS, if the processor lets the carrier choose.
  var vmcsAccess = VMCSAccessModel.hardware

  /// Reads the options, or ends the run with a line about the one that makes no sense.
  init(_ commandLine: BootCommandLine) {
    var access = VMCSAccessModel.hardware
    commandLine.forEachOption { key, value in
      guard key == "vmcs-access" else { Self.refuse("unknown option", key) }
      if value == "off" {
        access = .off
      } else if value == "hardware" {
        access = .hardware
      } else {
        Self.refuse("vmcs-access is off or hardware, and not", value)
      }
    }
    vmcsAccess = access
  }

  private static func refuse(_ reason: StaticString, _ word: BootCommandLine.Piece) -> Never {
    Serial.write("failed: ")
    Serial.write(reason)
    Serial.write(": ")
    Serial.write(word)
    Serial.endLine()
    finish(.failure)
  }
}
