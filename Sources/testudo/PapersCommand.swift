import ArgumentParser
import Foundation
import Report

struct PapersCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "papers",
    abstract: "Lists the papers whose claims are tested here, or shows one.",
    discussion: "Papers are the files Papers/*.md of the checkout.")

  @Argument(help: "A paper to show, such as turtles-osdi10.")
  var paper: String?

  @Option(help: "The folder 'Papers', or one that contains it.")
  var directory = "."

  private var folder: String {
    let nested = directory + "/Papers"
    return FileManager.default.fileExists(atPath: nested) ? nested : directory
  }

  func run() throws {
    if let paper { try show(paper) } else { try list() }
  }

  private func list() throws {
    let names = ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [])
      .filter { $0.hasSuffix(".md") && $0 != "README.md" }.sorted()
    var table = TextTable(columns: [.init("paper"), .init("title")])
    for name in names {
      let text = (try? String(contentsOfFile: folder + "/" + name, encoding: .utf8)) ?? ""
      let title = text.split(separator: "\n").first { $0.hasPrefix("# ") }?.dropFirst(2) ?? ""
      table.append([String(name.dropLast(3)), String(title)])
    }
    guard !names.isEmpty else {
      throw CommandError(.missingInput, "\(folder): no papers here: expected Papers/*.md; see --directory")
    }
    try Output.write(table.rendered())
  }

  private func show(_ paper: String) throws {
    let path = "\(folder)/\(paper).md"
    guard !paper.contains("/"), let text = try? String(contentsOfFile: path, encoding: .utf8) else {
      throw CommandError(
        .missingInput, "\(path): no such paper: 'testudo papers' lists them; see --directory")
    }
    try Output.write(text)
  }
}
