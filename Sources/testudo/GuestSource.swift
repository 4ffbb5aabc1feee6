import Experiments
import Hypervisor

/// Where a guest image comes from: the name of a built-in guest, or a path.
enum GuestSource {
  case builtIn(Guest)
  case file(GuestImage)

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
      let known = GuestCatalog.guests.map(\.name).joined(separator: ", ")
      self = .file(
        try InputFile.image(
          argument, expecting: "a built-in guest (\(known)) or the path of an ELF64 image or bzImage"))
    }
  }
}
