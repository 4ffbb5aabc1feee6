import CostModel
import Experiments
import Foundation
import Hypervisor
import Testing

@Suite struct CostTableCatalogTests {
  @Test(arguments: CostTableCatalog.names) func everyTableIsWhole(_ name: String) throws {
    let table = try CostTableCatalog.table(name)
    #expect(table.name == name)
    #expect(table.figures.map(\.item) == CostItem.allCases)
    for figure in table.figures {
      #expect(!figure.source.isEmpty)
      #expect(
        (figure.certainty == .assumed) == figure.source.hasPrefix("no printed source"),
        "\(name), \(figure.item): the certainty and the source contradict each other")
    }
  }

  @Test func theDefaultIsTheBuiltInReference() throws {
    #expect(try CostTableCatalog.table("reference") == .reference)
  }

  /// No file of the folder is left out of the program.
  @Test func everyFileIsBuiltIn() throws {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appendingPathComponent("Experiments/CostTables")
    let files = try FileManager.default.contentsOfDirectory(atPath: folder.path)
    #expect(
      Set(files.filter { $0.hasSuffix(".yaml") }.map { String($0.dropLast(5)) })
        == Set(CostTableCatalog.names))
  }

  @Test(arguments: [
    ("cycles: 1300", "cycles: -1", "t.yaml:7: cycles: expected a whole number from 0, found -1"),
    ("item: vmExit", "item: vmexit", "t.yaml:6: item: expected one of vmExit"),
    ("item: vmExit", "item: vmEntry", "t.yaml:6: figures: the cost table has no figure for vmExit"),
    ("cycles: 1300", "cycles: 99999999999", "t.yaml:6: figures: the cost of vmExit"),
    ("frequency: 1000000000", "frequency: 0", "t.yaml:4: frequency: expected a whole number from 1"),
    ("certainty: derived", "certainty: sure", "t.yaml:8: certainty: expected one of published"),
  ])
  func mistakeIsNamed(_ original: String, _ replacement: String, _ message: String) throws {
    let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appendingPathComponent("Experiments/CostTables/reference.yaml").path
    let text = try String(contentsOfFile: path, encoding: .utf8)
    let range = try #require(text.range(of: original))
    let changed = text.replacingCharacters(in: range, with: replacement)
    let error = #expect(throws: ManifestError.self) { try CostTable(yaml: changed, file: "t.yaml") }
    let description = error.map(\.description) ?? ""
    #expect(description.hasPrefix(message), "\(description)")
  }

  @Test func anUnknownTableIsNamed() {
    let error = #expect(throws: ManifestError.self) { try CostTableCatalog.table("none-such") }
    #expect(error?.description.contains("reference, paxville") == true)
  }
}

@Suite struct VMCSAccessTests {
  @Test func fieldListsAreRead() throws {
    let text = "# learnt\nGUEST_RIP\n EXIT_REASON read # why\n\n"
    let fields = try ShadowedFieldList.fields(of: text, file: "f")
    var expected = ShadowedFieldSet()
    expected.insert(.guestRIP, writable: true)
    expected.insert(.exitReason)
    #expect(fields == expected)
    let written = ShadowedFieldList.text([(.guestRIP, true), (.exitReason, false)], comment: "c")
    #expect(try ShadowedFieldList.fields(of: written, file: "f") == expected)
  }

  @Test(arguments: [("GUEST_RIP\nGUEST_RUP\n", 2), ("GUEST_RIP write\n", 1), ("GUEST_RIP read read\n", 1)])
  func mistakesAreNamed(_ text: String, _ line: Int) {
    let error = #expect(throws: ShadowedFieldListError.self) {
      try ShadowedFieldList.fields(of: text, file: "f")
    }
    #expect(error?.line == line)
  }

  @Test func modelsAreNamed() throws {
    for model in VMCSAccessModel.allCases { #expect(try VMCSAccess(model.rawValue)?.model == model) }
    #expect(try VMCSAccess("on") == nil)
    #expect(try VMCSAccess("hardware:") == nil)
    #expect(throws: ShadowedFieldListError.self) { try VMCSAccess("hardware:/no/such/file") }
  }
}
