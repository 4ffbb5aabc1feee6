import CInstructions

/// How a guest ends, as the debug-exit port reports it.
enum Outcome: UInt32 {
  case success = 0
  case failure = 1
}

/// Ends the run: the outcome goes to the debug-exit port, and where there is none the processor halts for good.
func finish(_ outcome: Outcome) -> Never {
  Serial.drain()
  out32(0xF4, outcome.rawValue)
  while true { hlt() }
}

/// Says what went wrong and ends the run.
func fail(_ reason: StaticString) -> Never {
  Serial.write("failed: ")
  Serial.writeLine(reason)
  finish(.failure)
}
