import ExitAnalysis

/// Pieces of HTML as text. What comes from a trace goes through ``text(_:)``.
enum HTML {
  /// `text` with what HTML would take for markup escaped, for contents and for attributes in quotation marks.
  static func text(_ text: String) -> String {
    text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
      .replacing("\"", with: "&quot;")
  }

  /// The table with its columns aligned and its header fixed; it scrolls by itself if it is too wide.
  static func table(_ table: TextTable, caption: String? = nil) -> String {
    func cell(_ name: String, _ column: Int, _ content: String, _ attributes: String = "") -> String {
      let isNumber = table.columns[column].alignment == .right
      return "<\(name)\(isNumber ? " class=\"n\"" : "")\(attributes)>\(text(content))</\(name)>"
    }
    func row(_ cells: [String], _ name: String, _ attributes: String = "") -> String {
      "<tr>" + cells.enumerated().map { cell(name, $0.offset, $0.element, attributes) }.joined() + "</tr>\n"
    }
    var html = "<div class=\"scroll\"><table>\n"
    if let caption { html += "<caption>\(text(caption))</caption>\n" }
    html += "<thead>\(row(table.columns.map(\.title), "th", " scope=\"col\""))</thead>\n<tbody>\n"
    for cells in table.rows { html += row(cells, "td") }
    html += "</tbody>\n"
    if let totals = table.totals { html += "<tfoot>\(row(totals, "td"))</tfoot>\n" }
    return html + "</table></div>\n"
  }

  /// A section with a heading that the navigation leads to.
  static func section(_ id: String, _ title: String, _ body: String) -> String {
    "<section id=\"\(id)\" aria-labelledby=\"\(id)-title\">\n<h2 id=\"\(id)-title\">\(text(title))</h2>\n\(body)</section>\n"
  }

  static func tile(_ value: String, _ words: String) -> String {
    "<div class=\"tile\"><b>\(text(value))</b>\(text(words))</div>\n"
  }

  static func facts(_ rows: [(String, String)]) -> String {
    "<dl class=\"facts\">\n" + rows.map { "<dt>\(text($0.0))</dt><dd>\(text($0.1))</dd>\n" }.joined()
      + "</dl>\n"
  }

  /// What the colours of the phases mean.
  static func key(of phases: [Phase]) -> String {
    key(phases.map { ("p-\($0.key)", "\($0.name)") })
  }

  static func key(_ entries: [(style: String, name: String)]) -> String {
    "<ul class=\"key\">" + entries.map { "<li><i class=\"\($0.style)\"></i>\(text($0.name))</li>" }.joined()
      + "</ul>\n"
  }

  /// JSON as the contents of a script element, which nothing in it can end.
  static func embedded(_ value: JSONValue) -> String { value.text().replacing("<", with: "\\u003c") }
}

/// A whole page: one file that needs nothing else.
struct HTMLPage {
  var title: String
  var lead: String
  var sections: [(id: String, title: String, body: String)] = []
  /// What the script works on, and the script.
  var data: JSONValue?
  var script = ""

  /// The page as text; equal pages are equal bytes.
  func html() -> String {
    var page = """
      <!DOCTYPE html>
      <html lang="en">
      <head>
      <meta charset="utf-8">
      <meta name="viewport" content="width=device-width, initial-scale=1">
      <meta name="generator" content="testudo">
      <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; \
      script-src 'unsafe-inline'">
      <title>\(HTML.text(title))</title>
      <style>
      \(PageStyle.css)
      </style>
      </head>
      <body>
      <a class="skip" href="#main">Skip to the contents</a>
      <header><h1>\(HTML.text(title))</h1>
      \(lead)</header>
      <nav aria-label="Sections"><ul>

      """
    for section in sections {
      page += "<li><a href=\"#\(section.id)\">\(HTML.text(section.title))</a></li>\n"
    }
    page += "</ul></nav>\n<main id=\"main\">\n"
    for section in sections { page += HTML.section(section.id, section.title, section.body) }
    page +=
      "</main>\n<footer><p class=\"faint\">Made by testudo. Times are virtual: retired instructions and the "
    page += "prices of the cost table.</p></footer>\n"
    if let data {
      page += "<script type=\"application/json\" id=\"data\">\(HTML.embedded(data))</script>\n"
      page += "<script>\n\(script)\n</script>\n"
    }
    return page + "</body>\n</html>\n"
  }
}
