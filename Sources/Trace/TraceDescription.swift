/// What a trace is of: the first part of its file, as lines of text that any tool can show.
public struct TraceDescription: Equatable, Sendable {
  /// One line: a key, and its value.
  public struct Entry: Equatable, Sendable {
    public var key: String
    public var value: String

    public init(_ key: String, _ value: String) {
      self.key = key
      self.value = value
    }
  }

  /// The keys that the analysis reads; the others are for people.
  public enum Key {
    /// Cycles per second of virtual time.
    public static let frequency = "frequency"
    /// The name of the cost table of the run.
    public static let costTable = "costTable"
    /// Before an item of the cost table: its price in that run.
    public static let pricePrefix = "price."
    /// How L1 reaches vmcs12.
    public static let vmcsAccess = "vmcsAccess"
    /// What was run.
    public static let guest = "guest"
    public static let workload = "workload"
    public static let iterations = "iterations"
  }

  public var entries: [Entry]

  public init(_ entries: [Entry] = []) { self.entries = entries }

  /// The value of the first line with `key`.
  public subscript(key: String) -> String? { entries.first { $0.key == key }?.value }

  /// Cycles per second of virtual time; 1 GHz if the trace does not say.
  public var frequency: UInt64 {
    self[Key.frequency].flatMap { UInt64($0) }.map { max(1, $0) } ?? 1_000_000_000
  }

  /// The header of the file.
  func encoded() -> [UInt8] {
    let lines = entries.map { "\(Self.escaped($0.key, alsoEquals: true))=\(Self.escaped($0.value))\n" }
      .joined()
    let text = Array(lines.utf8.prefix(TraceFormat.descriptionLimit))
    var bytes: [UInt8] = []
    TraceFormat.magic.withUTF8Buffer { bytes += $0 }
    bytes.append(littleEndian: TraceFormat.version)
    bytes.append(littleEndian: UInt32(text.count))
    bytes += text
    bytes.append(littleEndian: bytes.withUnsafeBytes { TraceFormat.checksum($0) })
    return bytes
  }

  /// The description whose text is `text`.
  init(text: some StringProtocol) {
    entries = text.split(separator: "\n").map { line in
      let parts = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      return Entry(Self.unescaped(parts[0]), parts.count > 1 ? Self.unescaped(parts[1]) : "")
    }
  }

  /// A line's end, and what would be taken for a separator, as percent signs and hexadecimal digits.
  private static func escaped(_ text: String, alsoEquals: Bool = false) -> String {
    var result = text.replacing("%", with: "%25").replacing("\n", with: "%0A")
    if alsoEquals { result = result.replacing("=", with: "%3D") }
    return result
  }

  private static func unescaped(_ text: some StringProtocol) -> String {
    String(text).replacing("%3D", with: "=").replacing("%0A", with: "\n").replacing("%25", with: "%")
  }
}

/// What a traced run came to.
public struct TraceSummary: Equatable, Sendable {
  /// The events in the file.
  public var events: UInt64
  /// The exits that were counted but are not in the file.
  public var droppedEvents: UInt64
  /// The instructions that the guests retired.
  public var instructions: UInt64
  /// The virtual time at the end.
  public var cycles: UInt64
  /// How the run ended.
  public var sentence: String
  /// The page walks of the run, for a writer; a reader gets them as a block of their own.
  public var pageWalks: PageWalks?

  public init(
    events: UInt64 = 0, droppedEvents: UInt64 = 0, instructions: UInt64 = 0, cycles: UInt64 = 0,
    sentence: String = "", pageWalks: PageWalks? = nil
  ) {
    self.events = events
    self.droppedEvents = droppedEvents
    self.instructions = instructions
    self.cycles = cycles
    self.sentence = sentence
    self.pageWalks = pageWalks
  }
}

extension [UInt8] {
  mutating func append(littleEndian value: some FixedWidthInteger) {
    Swift.withUnsafeBytes(of: value.littleEndian) { self += $0 }
  }
}
