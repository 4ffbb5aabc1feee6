import Logging

/// What is being done, for those who ask with `--verbose`; always on standard error.
enum Log {
  static func logger(verbose: Bool) -> Logger {
    var logger = Logger(label: "testudo", factory: { StreamLogHandler.standardError(label: $0) })
    logger.logLevel = verbose ? .debug : .warning
    return logger
  }
}
