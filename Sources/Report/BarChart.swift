/// A grouped bar chart as a self-contained SVG that follows the reader's light or dark theme.
public struct BarChart: Sendable {
  /// One bar in each group.
  public struct Series: Sendable {
    public var name: String
    /// One value per group, none negative.
    public var values: [Double]

    public init(name: String, values: [Double]) {
      self.name = name
      self.values = values
    }
  }

  public var title: String
  public var valueAxis: String
  public var groups: [String]
  public var series: [Series]

  public init(title: String, valueAxis: String, groups: [String], series: [Series]) {
    self.title = title
    self.valueAxis = valueAxis
    self.groups = groups
    self.series = series
  }

  private static let width = 760.0
  private static let height = 380.0
  private static let left = 64.0
  private static let right = 16.0
  private static let top = 72.0
  private static let bottom = 44.0

  /// The chart as SVG text; equal charts are equal bytes.
  public func svg() -> String {
    let ticks = Self.ticks(upTo: series.flatMap(\.values).max() ?? 0)
    var lines = opening()
    lines += legend()
    lines += ticks.flatMap { grid(at: $0, of: ticks.last ?? 1) }
    for (index, group) in groups.enumerated() {
      lines += bars(ofGroup: index, name: group, scale: ticks.last ?? 1)
    }
    lines.append("</svg>")
    return lines.map { $0 + "\n" }.joined()
  }

  /// Round values from 0 to at least `largest`, about five of them.
  static func ticks(upTo largest: Double) -> [Double] {
    guard largest > 0, largest.isFinite else { return [0, 1] }
    var step = 1.0
    while step * 5 < largest { step *= 10 }
    while step * 5 / 10 >= largest { step /= 10 }
    for divisor in [5.0, 2.0] where step / divisor * 5 >= largest {
      step /= divisor
      break
    }
    let count = Int((largest / step).rounded(.up))
    return (0...count).map { Double($0) * step }
  }

  private func opening() -> [String] {
    [
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 \(number(Self.width)) \(number(Self.height))\" "
        + "role=\"img\" font-family=\"system-ui, sans-serif\" font-size=\"12\">",
      "<title>\(escaped(title))</title>",
      "<style>",
      "  .paper { fill: #ffffff } .ink { fill: #1f2328 } .faint { fill: #59636e } .grid { stroke: #d1d9e0 }",
      "  .s0 { fill: #0969da } .s1 { fill: #bc4c00 } .s2 { fill: #1a7f37 } .s3 { fill: #8250df }",
      "  @media (prefers-color-scheme: dark) {",
      "    .paper { fill: #0d1117 } .ink { fill: #f0f6fc } .faint { fill: #9198a1 } .grid { stroke: #3d444d }",
      "    .s0 { fill: #4493f8 } .s1 { fill: #db6d28 } .s2 { fill: #3fb950 } .s3 { fill: #ab7df8 }",
      "  }",
      "</style>",
      "<rect class=\"paper\" width=\"100%\" height=\"100%\"/>",
      "<text class=\"ink\" x=\"16\" y=\"26\" font-size=\"16\" font-weight=\"600\">\(escaped(title))</text>",
      "<text class=\"faint\" x=\"16\" y=\"62\">\(escaped(valueAxis))</text>",
    ]
  }

  private func legend() -> [String] {
    series.indices.flatMap { index in
      let x = Self.width - Self.right - 150 * Double(series.count - index)
      return [
        "<rect class=\"s\(index % 4)\" x=\"\(number(x))\" y=\"52\" width=\"12\" height=\"12\" rx=\"2\"/>",
        "<text class=\"ink\" x=\"\(number(x + 18))\" y=\"62\">\(escaped(series[index].name))</text>",
      ]
    }
  }

  private func grid(at value: Double, of largest: Double) -> [String] {
    let y = vertical(value, scale: largest)
    return [
      "<line class=\"grid\" x1=\"\(number(Self.left))\" y1=\"\(number(y))\" "
        + "x2=\"\(number(Self.width - Self.right))\" y2=\"\(number(y))\"/>",
      "<text class=\"faint\" x=\"\(number(Self.left - 8))\" y=\"\(number(y + 4))\" text-anchor=\"end\">"
        + "\(label(value))</text>",
    ]
  }

  private func bars(ofGroup index: Int, name: String, scale: Double) -> [String] {
    let span = (Self.width - Self.left - Self.right) / Double(max(1, groups.count))
    let start = Self.left + span * Double(index)
    let bar = span * 0.7 / Double(max(1, series.count))
    var lines = [
      "<text class=\"ink\" x=\"\(number(start + span / 2))\" y=\"\(number(Self.height - Self.bottom + 20))\" "
        + "text-anchor=\"middle\">\(escaped(name))</text>"
    ]
    for (position, series) in series.enumerated() where index < series.values.count {
      let value = max(0, series.values[index])
      let x = start + span * 0.15 + bar * Double(position)
      let y = vertical(value, scale: scale)
      let height = Self.height - Self.bottom - y
      lines.append(
        "<rect class=\"s\(position % 4)\" x=\"\(number(x + 1))\" y=\"\(number(y))\" width=\"\(number(bar - 2))\" "
          + "height=\"\(number(height))\" rx=\"2\"/>")
      lines.append(
        "<text class=\"ink\" x=\"\(number(x + bar / 2))\" y=\"\(number(y - 4))\" text-anchor=\"middle\" "
          + "font-size=\"11\">\(label(value))</text>")
    }
    return lines
  }

  private func vertical(_ value: Double, scale: Double) -> Double {
    let range = Self.height - Self.bottom - Self.top - 16
    return Self.height - Self.bottom - range * (scale > 0 ? min(value / scale, 1) : 0)
  }

  private func label(_ value: Double) -> String {
    value >= 1000 ? grouped(UInt64(min(value.rounded(), 1e18))) : number(value)
  }

  private func number(_ value: Double) -> String {
    let text = decimal(value, places: 2)
    return text.hasSuffix(".00") ? String(text.dropLast(3)) : text
  }

  private func escaped(_ text: String) -> String {
    text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
      .replacing("\"", with: "&quot;")
  }
}
