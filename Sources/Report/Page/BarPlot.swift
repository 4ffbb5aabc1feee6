/// A plot of horizontal bars, each of coloured parts, as SVG within a page whose style sheet has the colours.
struct BarPlot {
  /// A part of a bar; `style` is a class of the style sheet.
  struct Part {
    var style: String
    var value: Double
    /// What a reader sees who points at it.
    var title: String
  }

  struct Bar {
    var label: String
    var parts: [Part]
    /// At the end of the bar.
    var value: String
  }

  var title: String
  var bars: [Bar]
  /// Whether each bar is as long as the plot, so that the parts show shares.
  var isShares = false

  private static let width = 860.0
  private static let right = 130.0
  private static let pitch = 26.0

  func svg() -> String {
    let left = min(330, 20 + 7.2 * Double(bars.map(\.label.count).max() ?? 0))
    let height = Self.pitch * Double(bars.count) + 8
    let largest = bars.map { $0.parts.reduce(0) { $0 + $1.value } }.max() ?? 0
    var svg =
      "<svg viewBox=\"0 0 \(Int(Self.width)) \(Int(height))\" width=\"\(Int(Self.width))\" role=\"img\" "
      + "aria-label=\"\(HTML.text(title))\">\n<title>\(HTML.text(title))</title>\n"
    for (index, bar) in bars.enumerated() {
      let y = Self.pitch * Double(index) + 4
      let sum = bar.parts.reduce(0) { $0 + $1.value }
      let scale = isShares ? sum : largest
      svg +=
        "<text x=\"\(number(left - 8))\" y=\"\(number(y + 14))\" text-anchor=\"end\">\(HTML.text(bar.label))</text>\n"
      var x = left
      for part in bar.parts where part.value > 0 && scale > 0 {
        let length = (Self.width - left - Self.right) * part.value / scale
        svg += "<rect class=\"\(part.style)\" x=\"\(number(x))\" y=\"\(number(y))\" "
        svg +=
          "width=\"\(number(max(length, 0.75)))\" height=\"18\"><title>\(HTML.text(part.title))</title></rect>\n"
        x += length
      }
      svg += "<text x=\"\(number(x + 6))\" y=\"\(number(y + 14))\">\(HTML.text(bar.value))</text>\n"
    }
    return svg + "</svg>\n"
  }

  private func number(_ value: Double) -> String { decimal(value, places: 2) }
}

/// A distribution as upright bars without gaps, as SVG within a page.
struct HistogramPlot {
  struct Class {
    /// Under the bar; empty if there is no room for it.
    var label: String
    var count: UInt64
    var title: String
  }

  var title: String
  /// What the classes are of.
  var axis: String
  var classes: [Class]

  private static let width = 420.0
  private static let height = 190.0
  private static let left = 12.0
  private static let bottom = 42.0

  func svg() -> String {
    let largest = classes.map(\.count).max() ?? 0
    let pitch = (Self.width - 2 * Self.left) / Double(max(6, classes.count))
    let spacing = max(1, Int((46 / pitch).rounded(.up)))
    var svg =
      "<svg viewBox=\"0 0 \(Int(Self.width)) \(Int(Self.height))\" width=\"\(Int(Self.width))\" role=\"img\" "
      + "aria-label=\"\(HTML.text(title))\">\n<title>\(HTML.text(title))</title>\n"
    let floor = Self.height - Self.bottom
    svg += "<line class=\"grid\" x1=\"\(number(Self.left))\" x2=\"\(number(Self.width - Self.left))\" "
    svg += "y1=\"\(number(floor))\" y2=\"\(number(floor))\"/>\n"
    for (index, row) in classes.enumerated() {
      let x = Self.left + pitch * Double(index)
      if row.count > 0 {
        let height = max(1.5, (floor - 22) * Double(row.count) / Double(max(1, largest)))
        svg += "<rect class=\"p-handlerL1\" x=\"\(number(x + 0.5))\" y=\"\(number(floor - height))\" "
        svg += "width=\"\(number(max(1, pitch - 1)))\" height=\"\(number(height))\">"
        svg += "<title>\(HTML.text(row.title))</title></rect>\n"
        if row.count == largest {
          svg +=
            "<text x=\"\(number(x + pitch / 2))\" y=\"\(number(floor - height - 5))\" text-anchor=\"middle\">"
          svg += "\(grouped(row.count))</text>\n"
        }
      }
      if index % spacing == 0 {
        svg += "<text class=\"faint\" x=\"\(number(x + pitch / 2))\" y=\"\(number(floor + 16))\" "
        svg += "text-anchor=\"middle\">\(HTML.text(row.label))</text>\n"
      }
    }
    svg += "<text class=\"faint\" x=\"\(number(Self.width / 2))\" y=\"\(number(Self.height - 6))\" "
    return svg + "text-anchor=\"middle\">\(HTML.text(axis))</text>\n</svg>\n"
  }

  private func number(_ value: Double) -> String { decimal(value, places: 2) }
}
