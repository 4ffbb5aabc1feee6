import Foundation
import Testing

/// What a user can get wrong: each mistake is one line on standard error, and an exit status that says what kind it is.
@Suite struct BadInputTests {
  struct Mistake: Sendable, CustomTestStringConvertible {
    var arguments: [String]
    var status: Int32
    /// What the line must name.
    var words: [String]

    var testDescription: String { arguments.joined(separator: " ") }

    init(_ arguments: [String], _ status: Int32, _ words: [String]) {
      self.arguments = arguments
      self.status = status
      self.words = words
    }
  }

  static let mistakes: [Mistake] = [
    Mistake(["run", "no-such-guest"], 66, ["no-such-guest", "minimal", "ELF64"]),
    Mistake(["run", "./no/such/file.elf"], 66, ["./no/such/file.elf", "No such file"]),
    Mistake(["run", "."], 66, [".: not a regular file"]),
    Mistake(["run", "/dev/zero"], 66, ["/dev/zero", "not a regular file"]),
    Mistake(["run", "/proc/self/mem"], 66, ["/proc/self/mem", "cannot be read", "permissions"]),
    Mistake(["run", "minimal", "--initrd", "no-such.img"], 66, ["no-such.img", "initial RAM disk"]),
    Mistake(["run", "minimal", "--initrd", "."], 66, [".: not a regular file", "initial RAM disk"]),
    Mistake(["run", "minimal", "--initrd", ""], 64, ["empty", "initial RAM disk"]),
    Mistake(["run", "minimal", "--module", "no-such.bin,quiet"], 66, ["no-such.bin:", "a module"]),
    Mistake(["run", "minimal", "--module", "/dev"], 66, ["/dev: not a regular file", "a module"]),
    Mistake(["run", "minimal", "--module", ",quiet"], 64, ["empty", "a module"]),
    Mistake(["run", "minimal", "--carriers", "9"], 64, ["--carriers", "9", "0 to 8"]),
    Mistake(["run", "minimal", "--carriers", "1", "--boot", "pvh"], 64, ["--boot", "--carriers"]),
    Mistake(["run", "minimal", "--carriers", "1", "--cpus", "2"], 64, ["--carriers", "one virtual CPU"]),
    Mistake(["run", "minimal", "--carriers", "1", "--disk", "no.img"], 64, ["--carriers", "disks"]),
    Mistake(
      ["run", "minimal", "--carriers", "1", "--memory-design", "shadow-on-ept"], 64,
      ["--carriers", "EPT", "shadow-on-ept"]),
    Mistake(["run", "minimal", "--workload", "juggle"], 64, ["juggle", "cpuid", "none"]),
    Mistake(["run", "minimal", "--memory", "0"], 64, ["memory", "0 bytes"]),
    Mistake(["run", "minimal", "--memory", "4097"], 64, ["memory", "4097", "4096"]),
    Mistake(["run", "minimal", "--memory", "lots"], 64, ["--memory", "lots", "256M"]),
    Mistake(["run", "minimal", "--memory", "99999999T"], 64, ["--memory", "99999999T"]),
    Mistake(["run", "minimal", "--memory", "8T"], 64, ["memory"]),
    Mistake(["run", "minimal", "--iterations", "many"], 64, ["--iterations", "many", "a whole number"]),
    Mistake(["run", "minimal", "--iterations", "-5"], 64, ["--iterations", "'-5'", "a whole number"]),
    Mistake(["run", "minimal", "--memory", "-1"], 64, ["--memory", "'-1'", "256M"]),
    Mistake(["run", "minimal", "--timeout", "-1"], 64, ["--timeout", "'-1'", "0.5"]),
    Mistake(["run", "minimal", "--cmdline", "workload=juggle"], 64, ["juggle", "cpuid", "none"]),
    Mistake(["run", ""], 64, ["''", "a built-in guest", "testudo run --help"]),
    Mistake(["run", "minimal", "--trace", ""], 64, ["--trace", "''"]),
    Mistake(["run", "minimal", "--timeout", "0"], 64, ["--timeout", "0.5"]),
    Mistake(["run", "minimal", "--timeout", "nan"], 64, ["--timeout", "nan"]),
    Mistake(["run", "minimal", "--limit-instructions", "x"], 64, ["--limit-instructions", "x"]),
    Mistake(
      ["run", "minimal", "--vmcs-access", "maybe"], 64, ["--vmcs-access", "maybe", "off", "hardware"]),
    Mistake(["run", "minimal", "--processor", "z80"], 64, ["--processor", "z80", "software"]),
    Mistake(
      ["run", "minimal", "--processor", "kvm", "--kvm-device", "/dev/no-such-kvm"], 69,
      ["there is no /dev/no-such-kvm", "modprobe", "--processor software"]),
    Mistake(
      ["run", "minimal", "--processor", "kvm", "--kvm-device", "/dev/null"], 69,
      ["KVM_GET_API_VERSION", "--processor software"]),
    Mistake(["run", "minimal", "--intercepts", "stepped"], 64, ["--intercepts", "--processor kvm"]),
    Mistake(["run", "minimal", "--lending", "all"], 64, ["--lending", "--processor kvm"]),
    Mistake(["run", "minimal", "--kvm-device", "/dev/kvm"], 64, ["--kvm-device", "--processor kvm"]),
    Mistake(
      ["run", "minimal", "--cmdline", String(repeating: "x", count: 5000)], 64, ["command line", "5"]),
    Mistake(
      ["run", "minimal", "--trace", "/no/such/folder/t.json"], 73, ["/no/such/folder/t.json", "trace"]),
    Mistake(["run", "minimal", "--trace", "."], 73, ["trace", "directory"]),
    Mistake(["run", "minimal", "--dump-vmcs", "/dev/null/dumps"], 73, ["/dev/null/dumps", "VMCS"]),
    Mistake(["run", "minimal", "--dump-vmcs", ""], 64, ["--dump-vmcs", "folder"]),
    Mistake(["run", "minimal", "--dump-at", "last"], 64, ["--dump-at", "--dump-vmcs"]),
    Mistake(["run", "minimal", "--dump-vmcs", "d", "--dump-at", "entry:0"], 64, ["--dump-at", "entry:0"]),
    Mistake(["run", "minimal", "--dump-vmcs", "d", "--dump-at", "noon"], 64, ["--dump-at", "noon"]),
    Mistake(["check", "no-such.json"], 66, ["no-such.json", "testudo.vmcs/1"]),
    Mistake(["check", "."], 66, [".: not a regular file"]),
    Mistake(["check"], 64, ["file.json", "testudo check --help"]),
    Mistake(["vmcs", "show", "no-such.json"], 66, ["no-such.json"]),
    Mistake(["vmcs", "merge", "no-such.json"], 64, ["vmcs12.json", "testudo vmcs merge --help"]),
    Mistake(["run", "minimal", "--frobnicate"], 64, ["--frobnicate", "--help"]),
    Mistake(["run"], 64, ["guest", "testudo run --help"]),
    Mistake(
      ["frobnicate"], 64, ["'frobnicate'", "run, stat, report, trace, check, vmcs, guests", "testudo --help"]),
    Mistake(["experiment", "frobnicate"], 64, ["'frobnicate'", "list, run", "testudo experiment --help"]),
    Mistake(["experiment", "run"], 64, ["experiment", "testudo experiment run --help"]),
    Mistake(["experiment", "run", "no-such"], 66, ["no-such", "experiment list"]),
    Mistake(["experiment", "list"], 66, ["Experiments"]),
    Mistake(["papers", "no-such"], 66, ["no-such"]),
    Mistake(["papers", "../README"], 66, ["README"]),
  ]

  @Test(arguments: mistakes)
  func mistakeIsOneLine(_ mistake: Mistake) throws {
    let result = try Command.run(mistake.arguments)
    #expect(result.status == mistake.status, "\(result.errors)")
    expectOneLine(result, naming: mistake.words)
  }

  @Test(
    arguments: [
      ("empty.elf", 0, nil), ("text.elf", nil, "This is not a program.\n"), ("truncated-header.elf", 40, nil),
      ("truncated-table.elf", 100, nil), ("truncated-segment.elf", 4096, nil),
    ] as [(String, Int?, String?)])
  func malformedImageIsOneLine(_ name: String, _ length: Int?, _ text: String?) throws {
    let whole = try Data(
      contentsOf: Command.packageRoot.appendingPathComponent("Guests/Images/minimal.elf"))
    try TemporaryFolder.with { folder in
      let data = text.map { Data($0.utf8) } ?? whole.prefix(length ?? 0)
      try data.write(to: folder.appendingPathComponent(name))
      let result = try Command.run(["run", name], in: folder)
      #expect(result.status == 65, "\(result.errors)")
      expectOneLine(result, naming: [name])
      #expect(result.errors.contains("expected") || result.errors.contains("truncated"), "\(result.errors)")
    }
  }

  /// A file that is larger than the machine's memory, whichever option names it.
  @Test(arguments: ["--initrd", "--module"])
  func largeFileIsOneLine(_ option: String) throws {
    try TemporaryFolder.with { folder in
      try TinyImage.success.write(to: folder.appendingPathComponent("tiny.elf"))
      try Data(count: 8 << 20).write(to: folder.appendingPathComponent("large"))
      let result = try Command.run(["run", "tiny.elf", option, "large", "--memory", "4M"], in: folder)
      #expect(result.status == 65, "\(result.errors)")
      expectOneLine(result, naming: ["large: its 8388608 bytes do not fit", "--memory 64M"])
    }
  }

  /// An image that names absurd sizes and offsets is refused or, where nobody reads them, run; it costs no memory.
  @Test func absurdHeadersDoNoHarm() throws {
    try TemporaryFolder.with { folder in
      for (offset, width) in [
        (24, 8), (32, 8), (54, 2), (56, 2), (72, 8), (80, 8), (88, 8), (96, 8), (104, 8),
      ] {
        var data = TinyImage.success
        data.replaceSubrange(offset..<offset + width, with: [UInt8](repeating: 0xFF, count: width))
        try data.write(to: folder.appendingPathComponent("hostile.elf"))
        let result = try Command.run(["run", "hostile.elf", "--limit-instructions", "100000"], in: folder)
        #expect([0, 1, 65, 124].contains(result.status), "offset \(offset): \(result.errors)")
        #expect(result.errorLines.count == (result.status == 0 ? 0 : 1), "offset \(offset): \(result.errors)")
      }
    }
  }

  /// A mistyped option must not cost an earlier trace.
  @Test func refusedRunLeavesAnOldTraceAlone() throws {
    try TemporaryFolder.with { folder in
      let trace = folder.appendingPathComponent("old.json")
      try "precious".write(to: trace, atomically: true, encoding: .utf8)
      let result = try Command.run(["run", "minimal", "--memory", "0", "--trace", "old.json"], in: folder)
      #expect(result.status == 64)
      #expect(try String(contentsOf: trace, encoding: .utf8) == "precious")
    }
  }

  @Test(
    arguments: [
      ("schema: testudo.experiment/1\nname: odd\nspeed: 9\n", ["manifest.yaml:3", "speed", "workloads"]),
      ("\u{FF}", ["manifest.yaml:1", "UTF-8"]),
    ])
  func malformedManifestIsOneLine(_ manifest: String, _ words: [String]) throws {
    try TemporaryFolder.with { folder in
      let experiment = folder.appendingPathComponent("Experiments/odd")
      try FileManager.default.createDirectory(at: experiment, withIntermediateDirectories: true)
      try #require(manifest.data(using: .isoLatin1)).write(
        to: experiment.appendingPathComponent("manifest.yaml"))
      let result = try Command.run(["experiment", "run", "odd"], in: folder)
      #expect(result.status == 65)
      expectOneLine(result, naming: words)
    }
  }

  /// What a shell does with `> /dev/full` and `>&-`.
  @Test(
    arguments: ["run minimal --iterations 1", "run minimal --iterations 1 --json", "guests", "--help"],
    [">/dev/full", ">&-"])
  func lostStandardOutputIsAnError(_ command: String, _ redirection: String) throws {
    let result = try Command.shell("\"$0\" \(command) \(redirection)")
    #expect(result.status == 74, "\(result.errors)")
    #expect(
      result.errorLines.last?.hasPrefix("testudo: standard output is incomplete: ") == true,
      "\(result.errors)")
  }

  /// A trace must not be taken for the standard output that the caller closed.
  @Test func closedStandardOutputSparesTheTrace() throws {
    try TemporaryFolder.with { folder in
      let result = try Command.shell("\"$0\" run minimal --iterations 1 --trace t.json >&-", in: folder)
      #expect(result.status == 74, "\(result.errors)")
      let trace = try Data(contentsOf: folder.appendingPathComponent("t.json"))
      #expect(try JSONSerialization.jsonObject(with: trace) is [String: Any])
    }
  }

  private func expectOneLine(_ result: CommandResult, naming words: [String]) {
    #expect(result.output.isEmpty)
    #expect(result.errorLines.count == 1, "\(result.errors)")
    #expect(result.errors.hasPrefix("testudo: "))
    for word in words { #expect(result.errors.contains(word), "\(result.errors)") }
  }
}
