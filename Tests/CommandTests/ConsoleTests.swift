import Foundation
import Testing

/// A pair of pseudo-terminal ends: what a person has, and what a program has.
private final class TestTerminal {
  let person: Int32
  let program: FileHandle

  init() throws {
    person = open("/dev/ptmx", O_RDWR | O_NOCTTY)
    try #require(person >= 0)
    var number: CInt = 0
    var isLocked: CInt = 0
    try #require(
      ioctl(person, Self.unlock, &isLocked) == 0 && ioctl(person, Self.numberOfProgram, &number) == 0)
    let file = open("/dev/pts/\(number)", O_RDWR | O_NOCTTY)
    try #require(file >= 0)
    program = FileHandle(fileDescriptor: file, closeOnDealloc: true)
  }

  // TIOCSPTLCK and TIOCGPTN, macros that Swift does not see.
  private static let unlock: UInt = 0x4004_5431
  private static let numberOfProgram: UInt = 0x8004_5430

  deinit { close(person) }

  func type(_ text: String) { _ = text.withCString { write(person, $0, strlen($0)) } }

  /// The modes, as one value to compare.
  var modes: [UInt32] {
    var modes = termios()
    guard tcgetattr(program.fileDescriptor, &modes) == 0 else { return [] }
    return [modes.c_iflag, modes.c_oflag, modes.c_cflag, modes.c_lflag]
  }

  var isRaw: Bool { modes.last.map { $0 & UInt32(ICANON | ISIG | ECHO) == 0 } ?? false }

  /// Waits until the program has made it raw.
  func waitUntilRaw() throws {
    let end = Date() + 120
    while !isRaw, Date() < end { usleep(10_000) }
    try #require(isRaw)
  }
}

/// Standard input as the guest's console.
@Suite struct ConsoleTests {
  private func withGuest<Result>(_ image: Data, _ body: (URL) throws -> Result) throws -> Result {
    try TemporaryFolder.with { folder in
      try image.write(to: folder.appendingPathComponent("guest.elf"))
      return try body(folder)
    }
  }

  // MARK: Pipes and files

  @Test(
    arguments: [
      "printf 'one\\ntwo!' | \"$0\" run guest.elf --json",
      "printf 'one\\ntwo!' >input; \"$0\" run guest.elf --json <input",
    ])
  func inputIsTypedAndRunsRepeat(_ line: String) throws {
    try withGuest(TinyImage.echo) { folder in
      let runs = try (0..<2).map { _ in try Command.shell(line, in: folder).json() }
      #expect(runs[0]["serial"] as? String == "one\ntwo!")
      let input = try #require(runs[0]["consoleInput"] as? [String: Any])
      #expect(input["bytes"] as? Int == 8)
      #expect(input["live"] as? Bool == false)
      #expect(runs[0]["virtualCycles"] as? Int == runs[1]["virtualCycles"] as? Int)
      #expect(runs[0]["instructions"] as? Int == runs[1]["instructions"] as? Int)
    }
  }

  /// Somebody who answers what the guest says types late, and the guest gets that too.
  @Test func aSlowPipeIsTypedAsItComes() throws {
    try withGuest(TinyImage.echo) { folder in
      let result = try Command.shell(
        "(printf a; sleep 4; printf '!') | \"$0\" run guest.elf --json", in: folder)
      #expect(result.status == 0, "\(result.errors)")
      let json = try result.json()
      #expect(json["serial"] as? String == "a!")
      #expect((json["consoleInput"] as? [String: Any])?["live"] as? Bool == true)
    }
  }

  @Test(arguments: ["</dev/null", "<&-"])
  func atTheEndOfTheInputTheRunGoesOn(_ input: String) throws {
    try withGuest(TinyImage.echo) { folder in
      let result = try Command.shell("\"$0\" run guest.elf --limit-instructions 100000 \(input)", in: folder)
      #expect(result.status == 124, "\(result.errors)")
    }
  }

  /// What reads the same file after it finds it as it was.
  @Test func aGuestThatDoesNotListenTakesNothing() throws {
    try withGuest(TinyImage.success) { folder in
      let result = try Command.shell(
        "printf 'x\\ny\\n' | { \"$0\" run guest.elf >/dev/null; cat; }", in: folder)
      #expect(result.output == "x\ny\n")
    }
  }

  // MARK: Terminals

  @Test func keysGoToTheGuestOfATerminal() throws {
    try withGuest(TinyImage.echo) { folder in
      let terminal = try TestTerminal()
      let before = terminal.modes
      let result = try Command.run(["run", "guest.elf", "--json"], in: folder, input: terminal.program) { _ in
        try terminal.waitUntilRaw()
        // Ctrl-C is the guest's; Ctrl-A Ctrl-A is one Ctrl-A; Ctrl-A Q is nothing.
        terminal.type("a\u{3}\u{1}\u{1}\u{1}q\r!")
      }
      #expect(result.status == 0, "\(result.errors)")
      #expect(try result.json()["serial"] as? String == "a\u{3}\u{1}\r!")
      #expect(terminal.modes == before)
    }
  }

  /// However a run ends, the terminal is what it was: by the key for it, by a signal that ends the run, or by one that
  /// ends the process at once, for which SIGPIPE stands here, as threads of Foundation block the others.
  @Test(
    arguments: [
      (0, 130), (SIGINT, 130), (SIGTERM, 143), (SIGHUP, 129), (SIGPIPE, SIGPIPE),
    ] as [(Int32, Int32)])
  func theTerminalIsRestored(_ signal: Int32, _ status: Int32) throws {
    try withGuest(TinyImage.echo) { folder in
      let terminal = try TestTerminal()
      let before = terminal.modes
      let result = try Command.run(["run", "guest.elf"], in: folder, input: terminal.program) { process in
        try terminal.waitUntilRaw()
        if signal == 0 { terminal.type("\u{1}x") } else { kill(process.processIdentifier, signal) }
      }
      #expect(result.status == status, "\(result.errors)")
      #expect(terminal.modes == before)
    }
  }

  @Test func theTimeLimitRestoresTheTerminal() throws {
    try withGuest(TinyImage.echo) { folder in
      let terminal = try TestTerminal()
      let before = terminal.modes
      let result = try Command.run(
        ["run", "guest.elf", "--timeout", "2"], in: folder, input: terminal.program
      ) { _ in try terminal.waitUntilRaw() }
      #expect(result.status == 124)
      #expect(terminal.modes == before)
    }
  }

  /// As long as the guest does not listen, Ctrl-C is a signal.
  @Test func theTerminalOfAGuestThatDoesNotListenIsLeftAlone() throws {
    try withGuest(TinyImage.spin) { folder in
      let terminal = try TestTerminal()
      let before = terminal.modes
      let result = try Command.run(
        ["run", "guest.elf", "--timeout", "1"], in: folder, input: terminal.program
      ) { process in
        while process.isRunning {
          try #require(terminal.modes == before)
          usleep(20_000)
        }
      }
      #expect(result.status == 124)
    }
  }
}
