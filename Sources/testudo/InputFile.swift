import Foundation
import Hypervisor

/// A file that the user named and that is read whole.
enum InputFile {
  /// The largest file that is read.
  static let largestFile: UInt64 = 1 << 30

  /// The contents of the regular file at `path`; `expected` completes "expected …" in an error.
  static func image(_ path: String, expecting expected: String) throws(CommandError) -> GuestImage {
    guard !path.isEmpty else { throw CommandError(.usage, "a path is empty: expected \(expected)") }
    var status = stat()
    guard stat(path, &status) == 0 else {
      throw CommandError(.missingInput, "\(path): \(Output.reason(errno)): expected \(expected)")
    }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw CommandError(.missingInput, "\(path): not a regular file: expected \(expected)")
    }
    guard UInt64(status.st_size) <= largestFile else {
      throw CommandError(
        .malformedInput, "\(path): \(status.st_size) bytes: expected a file of at most 1 GByte")
    }
    guard let data = FileManager.default.contents(atPath: path) else {
      throw CommandError(.missingInput, "\(path): cannot be read: check its permissions")
    }
    return GuestImage(name: path, bytes: [UInt8](data))
  }
}

/// The value of `--module`: the path of a file, and after the first comma its arguments.
enum ModuleOption {
  /// The module; its text is the file's name and the arguments, as a boot loader passes them.
  static func module(_ text: String) throws(CommandError) -> BootModule {
    let parts = text.split(separator: ",", maxSplits: 1, omittingEmptySubsequences: false)
    let path = String(parts.first ?? "")
    let image = try InputFile.image(path, expecting: "the path of a module")
    return BootModule(image, text: parts.count > 1 ? "\(path) \(parts[1])" : path)
  }
}
