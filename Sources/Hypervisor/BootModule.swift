import X86

/// A file handed to L1 beside its image: an initial RAM disk, a Multiboot module, or the text of an environment.
public struct BootModule: Sendable {
  /// The file's bytes and the name that errors call it by.
  public var image: GuestImage
  /// The text that goes with it where the boot protocol has one, such as a module's command line.
  public var text: String

  public init(_ image: GuestImage, text: String = "") {
    self.image = image
    self.text = text
  }

  /// The module that kvm-unit-tests read their environment from: one line for each of `variables`, NAME=VALUE.
  public static func environment(_ variables: [String]) -> BootModule {
    let lines = variables.map { $0 + "\n" }.joined()
    return BootModule(GuestImage(name: "environment", bytes: Array(lines.utf8)), text: "environment")
  }
}

/// A module in L1's memory.
struct PlacedModule: Equatable {
  var address: UInt64
  var size: UInt64
  var text: String

  var end: UInt64 { address + size }
}

/// The part of L1's low memory that modules are put into, from its top downward or from its bottom upward.
struct ModuleSpace {
  private static let pageMask: UInt64 = 0xFFF

  private(set) var start: UInt64
  private(set) var end: UInt64
  let isUpward: Bool

  /// The whole pages of `range`.
  init(_ range: Range<UInt64>, isUpward: Bool) {
    start = (range.lowerBound &+ Self.pageMask) & ~Self.pageMask
    end = max(start, range.upperBound & ~Self.pageMask)
    self.isUpward = isUpward
  }

  /// Takes whole pages for `size` bytes; their first address, or nil if the space is too small.
  mutating func take(_ size: UInt64) -> UInt64? {
    let pages = (size + Self.pageMask) & ~Self.pageMask
    guard pages <= end - start else { return nil }
    if isUpward {
      defer { start += pages }
      return start
    }
    end -= pages
    return end
  }
}
