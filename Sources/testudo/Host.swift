import Foundation
import KVMProcessor

/// What can be learned about this host without changing anything on it.
struct Host {
  /// The fields of the first processor in /proc/cpuinfo.
  var cpu: [String: String]
  var kvm: KVMHost
  /// What its KVM was found to do, or why it could not be found out.
  var calibration: Result<KVMCalibration, KVMError>
  /// Memory in bytes that programs can still get, or nil if the host does not say.
  var availableMemory: UInt64?
  /// What `swiftc --version` prints in its first line, or nil if there is no Swift on the PATH.
  var swift: String?

  /// The toolchain that the guest images are built with, byte for byte.
  static let pinnedSwift = "6.3.1"

  static func current() -> Host {
    Host(
      cpu: fields(of: text("/proc/cpuinfo").components(separatedBy: "\n\n").first ?? ""), kvm: .probe(),
      calibration: Result { () throws(KVMError) in try .measured() },
      availableMemory: memory(in: fields(of: text("/proc/meminfo"))), swift: swiftVersion())
  }

  var cpuFlags: Set<Substring> { Set((cpu["flags"] ?? "").split(separator: " ")) }

  /// The `key : value` lines of a file under /proc.
  static func fields(of text: String) -> [String: String] {
    var fields: [String: String] = [:]
    for line in text.split(separator: "\n") {
      guard let colon = line.firstIndex(of: ":") else { continue }
      let key = line[..<colon].trimmingCharacters(in: .whitespaces)
      fields[key] = line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
    }
    return fields
  }

  private static func memory(in fields: [String: String]) -> UInt64? {
    guard let words = fields["MemAvailable"]?.split(separator: " "),
      let kibibytes = words.first.flatMap({ UInt64($0) })
    else { return nil }
    return kibibytes << 10
  }

  private static func text(_ path: String) -> String {
    FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) } ?? ""
  }

  private static func swiftVersion() -> String? {
    let process = Process()
    let output = Pipe()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["swiftc", "--version"]
    process.standardOutput = output
    process.standardError = FileHandle.nullDevice
    guard (try? process.run()) != nil else { return nil }
    let data = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else { return nil }
    return String(decoding: data, as: UTF8.self).split(separator: "\n").first.map(String.init)
  }
}
