import Glibc

/// Standard output and standard error, unbuffered.
enum Output {
  /// Keeps files that are opened later from taking the place of a standard file that the caller closed. The place is
  /// filled the wrong way round, so that a use of it fails.
  static func reserveStandardFiles() {
    for file in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO] where fcntl(file, F_GETFD) < 0 {
      _ = open("/dev/null", file == STDIN_FILENO ? O_WRONLY : O_RDONLY)
    }
  }

  /// Writes to standard output. Throws if that does not take all of it.
  static func write(_ text: String) throws(CommandError) {
    guard write(Array(text.utf8), to: STDOUT_FILENO) else { throw incomplete(errno) }
  }

  /// The error of a standard output that did not take everything.
  static func incomplete(_ error: Int32) -> CommandError {
    CommandError(
      .outputIncomplete,
      "standard output is incomplete: \(reason(error)): send it to a file or terminal that takes it")
  }

  /// Writes one line to standard error under this program's name.
  static func complain(_ message: String) {
    let line = message.split(whereSeparator: \.isNewline).joined(separator: " ")
    write(Array("testudo: \(line)\n".utf8), to: STDERR_FILENO)
  }

  /// Writes a line of progress to standard error if that is a terminal.
  static func progress(_ message: String) {
    guard isatty(STDERR_FILENO) == 1 else { return }
    write(Array("\(message)\n".utf8), to: STDERR_FILENO)
  }

  /// Writes all of `bytes`; false if the file does not take them.
  @discardableResult
  static func write(_ bytes: [UInt8], to file: Int32) -> Bool {
    bytes.withUnsafeBytes { write($0, to: file) }
  }

  /// Writes all of `bytes`; false if the file does not take them.
  static func write(_ bytes: UnsafeRawBufferPointer, to file: Int32) -> Bool {
    var written = 0
    while written < bytes.count {
      let count = Glibc.write(file, bytes.baseAddress.map { $0 + written }, bytes.count - written)
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { return false }
      written += count
    }
    return true
  }

  /// The host's words for its error number.
  static func reason(_ error: Int32) -> String { String(cString: strerror(error)) }
}
