/// Just enough of Swift's lexical structure to look at code without its comments and strings.
enum SwiftText {
  /// The text with comments blanked; line numbers are kept.
  static func withoutComments(_ text: String) -> String { blanked(text, strings: false) }

  /// The text with comments and the contents of string literals blanked; line numbers are kept.
  static func code(_ text: String) -> String { blanked(text, strings: true) }

  private enum State: Equatable {
    case code
    case lineComment
    case blockComment(depth: Int)
    case string(delimiter: [Character])
  }

  private static func blanked(_ text: String, strings: Bool) -> String {
    let characters = Array(text)
    var output: [Character] = []
    var state = State.code
    var index = 0
    while index < characters.count {
      let (next, count) = step(characters, at: index, in: state)
      let hidden: Bool
      switch (state, next) {
      case (.code, .code): hidden = false
      case (.string, .string), (.string, .code), (.code, .string): hidden = strings
      default: hidden = true
      }
      for character in characters[index..<index + count] {
        output.append(hidden && !character.isNewline ? " " : character)
      }
      state = next
      index += count
    }
    return String(output)
  }

  private static let marks = Set("/\"\\*\n".utf8)

  /// The state after the lexical element at `index`, and how many characters it has.
  private static func step(_ text: [Character], at index: Int, in state: State) -> (State, Int) {
    // Most characters change nothing.
    guard let ascii = text[index].asciiValue, marks.contains(ascii) else { return (state, 1) }
    func starts(_ token: String) -> Bool { text[index...].starts(with: token) }
    switch state {
    case .code:
      if starts("//") { return (.lineComment, 2) }
      if starts("/*") { return (.blockComment(depth: 1), 2) }
      for delimiter in ["\"\"\"", "\""] where starts(delimiter) {
        return (.string(delimiter: Array(delimiter)), delimiter.count)
      }
      return (.code, 1)
    case .lineComment:
      return text[index].isNewline ? (.code, 1) : (.lineComment, 1)
    case .blockComment(let depth):
      if starts("/*") { return (.blockComment(depth: depth + 1), 2) }
      if starts("*/") { return (depth == 1 ? .code : .blockComment(depth: depth - 1), 2) }
      return (state, 1)
    case .string(let delimiter):
      if starts("\\") { return (state, min(2, text.count - index)) }
      if text[index...].starts(with: delimiter) { return (.code, delimiter.count) }
      return (state, 1)
    }
  }

  /// The modules that `code` imports, with their line numbers.
  static func imports(in code: String) -> [(module: String, line: Int)] {
    let pattern =
      /^\s*(?:@\w+(?:\([^)]*\))?\s+)*(?:(?:public|package|internal|fileprivate|private)\s+)?import\s+(?:(?:struct|class|enum|protocol|typealias|func|var|let)\s+)?(\w+)/
    return lines(of: code).compactMap { line in
      line.text.firstMatch(of: pattern).map { (String($0.1), line.number) }
    }
  }

  static func lines(of text: String) -> [(number: Int, text: Substring)] {
    text.split(separator: "\n", omittingEmptySubsequences: false).enumerated().map {
      ($0.offset + 1, $0.element)
    }
  }
}
