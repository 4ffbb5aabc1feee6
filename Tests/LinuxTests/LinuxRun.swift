import Foundation

/// A run of `testudo run` with a Linux kernel as L1.
struct LinuxRun: Sendable {
  /// The keys of the JSON object that the tests read.
  struct Report: Decodable, Sendable {
    struct Outcome: Decodable, Sendable {
      var kind: String
      var success: Bool
      var sentence: String
    }

    struct Exit: Decodable, Sendable {
      var from: String
      var reason: String
      var routedTo: String
      var count: Int
    }

    struct Multiplication: Decodable, Sendable {
      var l2Exits: Int
      var hardwareExits: Int
      var perL2Exit: Double?
    }

    struct Processor: Decodable, Sendable {
      var exits: Int
      var instructions: Int
    }

    var outcome: Outcome
    var instructions: Int
    var processors: [Processor]
    var exits: [Exit]
    var multiplication: Multiplication
    var failedEntries: Int
    var serial: String
  }

  var status: Int32
  var errors: String
  /// Standard output without the line of the real time, the only one that may differ between equal runs.
  var repeatable: String
  /// Nil if the run was refused.
  var report: Report?

  /// The lines that the guest's first process and the KVM programs wrote.
  var lines: [String] {
    (report?.serial ?? "").split(whereSeparator: \.isNewline).map(String.init).filter { line in
      ["init", "l2", "exits", "multiboot"].contains { line.hasPrefix($0 + ": ") }
    }
  }

  /// The number of exits of a kind.
  func exits(from: String, _ reason: String, to level: String) -> Int {
    (report?.exits ?? []).filter { $0.from == from && $0.reason == reason && $0.routedTo == level }
      .reduce(0) { $0 + $1.count }
  }

  /// How it ended, for failed expectations.
  var ending: String {
    "status \(status), \(report?.outcome.sentence ?? errors)\n"
      + (report?.serial ?? "").split(whereSeparator: \.isNewline).suffix(20).joined(separator: "\n")
  }
}

extension LinuxRun {
  /// Any failure ends the run: the kernel resets the machine when it panics.
  private static let kernelOptions = "console=ttyS0 panic=-1 oops=panic"
  /// Bounds that no boot comes near: guest instructions, and seconds for a busy machine.
  private static let limits = ["--limit-instructions", "40000000000", "--timeout", "900"]

  /// Boots `kernel`, or the `image` made of it, with `words` added to its command line and `options` to `testudo run`.
  init(
    _ kernel: LinuxKernel, image: URL? = nil, _ words: String = "", options: [String] = []
  ) throws {
    self = try LinuxRun(
      kernel, image: image, initrd: InitialDisk.file(for: kernel), words, options: options)
  }

  /// The same with an initial RAM disk to which more was added, whose script `commands` Linux's first process runs.
  init(
    _ kernel: LinuxKernel, commands: String, adding files: [(path: String, bytes: [UInt8])] = [],
    _ words: String = "", options: [String] = []
  ) throws {
    self = try withTemporaryFolder { folder in
      let initrd = try InitialDisk.file(for: kernel, commands: commands, adding: files, in: folder)
      return try LinuxRun(kernel, initrd: initrd, words + " commands=yes", options: options)
    }
  }

  private init(
    _ kernel: LinuxKernel, image: URL? = nil, initrd: URL, _ words: String, options: [String]
  ) throws {
    self = try withTemporaryFolder { folder in
      try LinuxRun(
        arguments: ["run", (image ?? kernel.image).path, "--initrd", initrd.path]
          + ["--cmdline", Self.kernelOptions + " " + words, "--json"] + Self.limits + options, in: folder)
    }
  }

  private init(arguments: [String], in folder: URL) throws {
    let process = Process()
    process.executableURL = TestudoProgram.file
    process.arguments = arguments
    process.standardInput = FileHandle.nullDevice
    let files = ["output", "errors"].map { folder.appendingPathComponent($0) }
    for file in files { try Data().write(to: file) }
    process.standardOutput = try FileHandle(forWritingTo: files[0])
    process.standardError = try FileHandle(forWritingTo: files[1])
    try process.run()
    process.waitUntilExit()
    let output = try Data(contentsOf: files[0])
    status = process.terminationStatus
    errors = String(decoding: try Data(contentsOf: files[1]), as: UTF8.self)
    repeatable = String(decoding: output, as: UTF8.self).split(separator: "\n")
      .filter { !$0.contains("\"hostSeconds\"") }.joined(separator: "\n")
    report = output.isEmpty ? nil : try JSONDecoder().decode(Report.self, from: output)
  }
}
