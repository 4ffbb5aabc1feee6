/// Why an image cannot be booted: which bytes, what they should be, and what to do.
public struct ImageError: Error, Equatable, CustomStringConvertible {
  /// The image's name: its path.
  public var image: String
  /// One line: what is wrong at which offset, what was expected, and what to do.
  public var problem: String

  public init(image: String, problem: String) {
    self.image = image
    self.problem = problem
  }

  public var description: String { "\(image): \(problem)" }
}
