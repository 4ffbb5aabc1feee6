/// The keys by which the user of a terminal talks to this program and not to the guest: Ctrl-A and another one.
struct ConsoleKeys {
  enum Command {
    case leave
    case help
  }

  static let help = """
    Ctrl-A X       end the run, with its counts
    Ctrl-A Ctrl-A  send Ctrl-A to the guest
    Ctrl-A H       this help
    """

  private static let prefix: UInt8 = 1
  private var hasPrefix = false

  /// What of `bytes` is for the guest; `command` is told the rest.
  mutating func filter(_ bytes: some Sequence<UInt8>, _ command: (Command) -> Void) -> [UInt8] {
    var kept: [UInt8] = []
    for byte in bytes {
      guard hasPrefix else {
        if byte == Self.prefix { hasPrefix = true } else { kept.append(byte) }
        continue
      }
      hasPrefix = false
      switch byte {
      case Self.prefix: kept.append(byte)
      case UInt8(ascii: "x"), UInt8(ascii: "X"): command(.leave)
      case UInt8(ascii: "h"), UInt8(ascii: "H"), UInt8(ascii: "?"): command(.help)
      default: break
      }
    }
    return kept
  }
}
