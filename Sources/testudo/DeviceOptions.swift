import ArgumentParser
import Foundation
import Hypervisor

extension ProcessorModel: ExpressibleByArgument {
  public init?(argument: String) {
    guard let model = ProcessorModel.named(argument) else { return nil }
    self = model
  }

  public var defaultValueDescription: String { name }
  public static var allValueStrings: [String] { all.map(\.name) }

  /// The model that `text` names, or an error that says what it may be.
  fileprivate static func parse(_ text: String) throws -> ProcessorModel {
    guard let model = named(text) else {
      let models = all.map(\.name).joined(separator: ", ")
      let features = removable.map(\.name).joined(separator: ", ")
      throw ValidationError(
        "expected a model (\(models)), and behind it features that it is to lack, such as haswell,-x2apic "
          + "(\(features))")
    }
    return model
  }
}

/// Where a guest's console is, beside its serial port.
enum ConsoleChoice: String, CaseIterable, ExpressibleByArgument {
  case serial
  case virtio
}

/// What the machine is made of beside its image and memory.
struct DeviceOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The processor that CPUID describes, as far as the processor to run on has its features; ',-feature' behind it "
        + "takes a feature away, as in haswell,-x2apic.", valueName: "model[,-feature]"),
    transform: ProcessorModel.parse)
  var cpu = ProcessorModel.standard

  @Option(
    name: .customLong("disk"), parsing: .unconditionalSingleValue,
    help: ArgumentHelp(
      "A raw disk image or block device, as a virtio disk; ',readonly' after the path protects it. Can be given "
        + "several times.", valueName: "file[,readonly]"))
  var disks: [String] = []

  @Option(
    help: "The console: the serial port alone, or a virtio console as well, which then gets what is typed.")
  var console = ConsoleChoice.serial

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "What the real-time clock says at the start: a UTC time such as 2026-01-01T12:30:00, or 'host' (default: "
        + "2026-01-01, so that runs repeat).", valueName: "time"),
    transform: DeviceOptions.clockStart)
  var rtc: Int64 = MachineConfiguration.defaultClockStart

  /// The disks, opened. They belong to the machine as long as it runs.
  func openDisks() throws(CommandError) -> [DiskFile] {
    guard disks.count <= MachineConfiguration.maximumDiskCount else {
      throw CommandError(
        .usage,
        "\(disks.count) disks are not possible: expected at most \(MachineConfiguration.maximumDiskCount)")
    }
    var opened: [DiskFile] = []
    for text in disks { opened.append(try Self.open(text)) }
    return opened
  }

  private static func open(_ text: String) throws(CommandError) -> DiskFile {
    let suffix = ",readonly"
    let isReadOnly = text.hasSuffix(suffix)
    let path = isReadOnly ? String(text.dropLast(suffix.count)) : text
    guard !path.isEmpty else {
      throw CommandError(.usage, "the value of --disk is '\(text)': expected the path of a disk image")
    }
    do throws(DiskError) {
      return try DiskFile(path: path, isReadOnly: isReadOnly)
    } catch {
      throw CommandError(.missingInput, error.description)
    }
  }

  /// Puts the options into `configuration`; what the guest writes to a virtio console goes to `output`.
  func apply(
    to configuration: inout MachineConfiguration, disks: [DiskFile],
    output: @escaping @Sendable (UInt8) -> Void
  ) {
    configuration.model = cpu
    configuration.clockStart = rtc
    configuration.disks = disks
    if console == .virtio { configuration.consoleOutput = output }
  }

  private static func clockStart(_ text: String) throws -> Int64 {
    if text == "host" { return Int64(Date().timeIntervalSince1970) }
    guard let seconds = ClockTime.seconds(of: text) else {
      throw ValidationError(
        "expected a UTC time from 1970 to 2099 such as 2026-01-01T12:30:00 or 2026-01-01, or 'host'")
    }
    return seconds
  }
}
