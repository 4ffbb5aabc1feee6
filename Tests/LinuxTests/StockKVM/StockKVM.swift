import Foundation
import Testing

/// A Linux whose KVM is unmodified, on a processor made of software: where the KVM processor is tried out on what other
/// people have.
enum StockKVM: String, CaseIterable, CustomTestStringConvertible {
  /// kvm_amd, in a machine of QEMU's TCG.
  case amd
  /// kvm_intel, in a machine of Testudo's own software processor.
  case intel

  var testDescription: String { rawValue }

  /// What one command wrote there.
  struct Answer {
    var status: Int
    var text: String
  }

  /// MByte of the machine: half of it is for the programs that the initial RAM disk holds.
  private static let memory = 1024
  private static let kernelOptions =
    "console=ttyS0 panic=-1 oops=panic quiet loglevel=1 no_timer_check modules=yes"
  private static let emulator = "qemu-system-x86_64"
  /// Seconds, for a busy machine.
  private static let limit = 900

  /// Why it cannot be had on this host, or nil.
  var obstacle: String? {
    if !LinuxParts.areThere { return LinuxParts.advice }
    guard self == .amd else { return nil }
    if LinuxParts.kernels.first?.hasKVMForAMD != true {
      return "the Linux kernel has no kvm-amd.ko: run Tests/LinuxTests/fetch"
    }
    return Tool.isThere(Self.emulator)
      ? nil
      : "there is no \(Self.emulator) on the PATH: install qemu-system-x86 to run KVM on an AMD processor"
  }

  /// Boots it, performs the named shell commands in their order, and gives what each of them wrote to standard output.
  func answers(
    to commands: [(name: String, command: String)], adding files: [(path: String, bytes: [UInt8])],
    kernelOptions: String = ""
  ) throws -> [String: Answer] {
    let script = commands.map { name, command in
      "echo 'begin \(name)'\n\(command)\necho 'end \(name) '$?"
    }
    let kernel = try LinuxParts.kernels.first.unwrapped(LinuxParts.advice)
    let serial = try serial(kernel, script.joined(separator: "\n"), files, kernelOptions)
    let answers = Self.answers(in: serial)
    for (name, _) in commands where answers[name] == nil {
      throw Failure("there is no answer to \(name) in:\n\(serial.suffix(4000))")
    }
    return answers
  }

  /// Everything that Linux and the commands wrote to the serial port.
  private func serial(
    _ kernel: LinuxKernel, _ commands: String, _ files: [(path: String, bytes: [UInt8])], _ options: String
  ) throws -> String {
    if self == .intel {
      let run = try LinuxRun(
        kernel, commands: commands, adding: files, "quiet loglevel=1 modules=yes \(options)",
        options: ["--memory", "\(Self.memory)M"])
      return try run.report.unwrapped(run.ending).serial
    }
    return try withTemporaryFolder { folder in
      let initrd = try InitialDisk.file(for: kernel, commands: commands, adding: files, in: folder)
      let log = folder.appendingPathComponent("serial")
      // What the emulator says of CPUID bits that it does not have goes with the rest to standard error.
      _ = try Tool.output(
        "timeout",
        ["\(Self.limit)", Self.emulator, "-accel", "tcg", "-cpu", "EPYC,+svm,+npt", "-m", "\(Self.memory)"]
          + ["-nodefaults", "-display", "none", "-no-reboot", "-serial", "file:\(log.path)"]
          + ["-kernel", kernel.image.path, "-initrd", initrd.path]
          + ["-append", Self.kernelOptions + " commands=yes \(options)"])
      return String(decoding: try Data(contentsOf: log), as: UTF8.self)
    }
  }

  /// What stands between the lines that say where a command begins and how it ended.
  private static func answers(in serial: String) -> [String: Answer] {
    var answers: [String: Answer] = [:]
    var open: (name: String, lines: [String])?
    for line in serial.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).map(String.init) {
      if let match = line.wholeMatch(of: /begin (.+)/) {
        open = (String(match.1), [])
      } else if let match = line.wholeMatch(of: /end (.+) (\d+)/), let command = open,
        command.name == match.1, let status = Int(match.2)
      {
        answers[command.name] = Answer(status: status, text: command.lines.joined(separator: "\n"))
        open = nil
      } else {
        open?.lines.append(line)
      }
    }
    return answers
  }
}
