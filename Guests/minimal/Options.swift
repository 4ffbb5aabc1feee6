/// What the command line asks for.
struct Options {
  var workload = Workload.cpuid
  var iterations: UInt64 = 1000
  var mistake = Mistake.builtIn

  /// Reads the options, or ends the run with a line about the one that makes no sense.
  init(_ commandLine: BootCommandLine) {
    var options = (workload: Workload.cpuid, iterations: UInt64(1000), mistake: Mistake.builtIn)
    commandLine.forEachOption { key, value in
      if key == "workload" {
        guard let workload = Workload.allCases.first(where: { value == $0.name }) else {
          Self.refuse("unknown workload", value)
        }
        options.workload = workload
      } else if key == "iterations" {
        guard let iterations = value.decimal else { Self.refuse("not a number of iterations", value) }
        options.iterations = iterations
      } else if key == "broken" {
        guard let mistake = Mistake.allCases.first(where: { value == $0.name }) else {
          Self.refuse("unknown mistake", value)
        }
        options.mistake = mistake
      } else {
        Self.refuse("unknown option", key)
      }
    }
    (workload, iterations, mistake) = options
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
