import Experiments
import Foundation
import Hypervisor

/// Where a guest image comes from: the name of a built-in guest, or a path.
enum GuestSource {
  case builtIn(Guest)
  case file(GuestImage)

  /// The largest image file that is read.
  static let largestFile: UInt64 = 1 << 30

  var image: GuestImage {
    switch self {
    case .builtIn(let guest): guest.image
    case .file(let image): image
    }
  }

  /// What `argument` means: a built-in guest of that name, or else a path.
  init(_ argument: String) throws(CommandError) {
    if let guest = GuestCatalog.guest(argument) {
      self = .builtIn(guest)
    } else {
      self = .file(GuestImage(name: argument, bytes: try Self.read(argument)))
    }
  }

  private static func read(_ path: String) throws(CommandError) -> [UInt8] {
    var status = stat()
    guard stat(path, &status) == 0 else {
      let known = GuestCatalog.guests.map(\.name).joined(separator: ", ")
      throw CommandError(
        .missingInput,
        "\(path): \(Output.reason(errno)): expected a built-in guest (\(known)) or the path of an ELF64 image"
      )
    }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw CommandError(.missingInput, "\(path): not a regular file: expected the path of an ELF64 image")
    }
    guard UInt64(status.st_size) <= largestFile else {
      throw CommandError(
        .malformedInput, "\(path): \(status.st_size) bytes: expected an image of at most 1 GByte")
    }
    guard let data = FileManager.default.contents(atPath: path) else {
      throw CommandError(.missingInput, "\(path): cannot be read: check its permissions")
    }
    return [UInt8](data)
  }
}
