import ExitAnalysis
import Trace

/// The list of tree shapes, and the frame that the script fills with the tree chosen.
struct StoryboardSection {
  private let study: RunStudy
  private let trees: [(shape: Int?, example: TreeExample)]

  init(_ study: RunStudy, _ trees: [(shape: Int?, example: TreeExample)]) {
    self.study = study
    self.trees = trees
  }

  func html() -> String { shapeList + frame }

  // MARK: Shapes

  private var shapeList: String {
    var html = """
      <p>Every exit of L2 that L1 handles is the root of a tree: all exits until L2 runs again. These are the trees' \
      shapes; choose one to see it below.</p>
      <div class="scroll"><table id="shapes">
      <thead><tr><th scope="col">root</th><th scope="col" class="n">trees</th><th scope="col" class="n">exits</th>\
      <th scope="col" class="n">cycles</th><th scope="col" class="n">L0's part</th>\
      <th scope="col">exits in order</th><th scope="col">look at</th></tr></thead>
      <tbody>

      """
    let shapes = study.catalogue.shapes
    let order = shapes.indices.sorted { (shapes[$1].count, $0) < (shapes[$0].count, $1) }
    for index in order { html += row(shapes[index], index) }
    html += "</tbody></table></div>\n"
    if study.catalogue.others > 0 {
      html +=
        "<p class=\"faint\">\(grouped(study.catalogue.others)) trees of further shapes are not listed.</p>\n"
    }
    return html
  }

  private func row(_ shape: CataloguedShape, _ index: Int) -> String {
    let buttons = trees.enumerated().filter { $0.element.shape == index }.enumerated().map { place, tree in
      let name = place == 0 ? "typical" : "slowest"
      return "<button type=\"button\" data-tree=\"\(tree.offset)\" aria-label=\"\(name) tree of L2 "
        + "\(ExitSubject.name(shape.reason)), shape \(index + 1)\">\(name)</button>"
    }
    return "<tr><td>\(ExitSubject.name(shape.reason))</td><td class=\"n\">\(grouped(shape.count))</td>"
      + "<td class=\"n\">\(grouped(shape.size))</td><td class=\"n\">\(whole(shape.span.mean))</td>"
      + "<td class=\"n\">\(percent(shape.host.total, shape.span.total))</td>"
      + "<td>\(HTML.text(body(shape)))</td><td>\(buttons.joined(separator: " "))</td></tr>\n"
  }

  /// The exits of L1 without the root, which has a column.
  private func body(_ shape: CataloguedShape) -> String {
    guard let arrow = shape.text.firstRange(of: "→ ") else { return shape.text }
    return String(shape.text[arrow.upperBound...])
  }

  // MARK: Frame

  private var frame: String {
    let others: [Phase] = study.statistics.phases.processors.count > 1 ? [.others] : []
    let options = trees.enumerated().map { index, tree in
      let root = tree.example.root
      let recorded = study.snapshots[root.tree] == nil ? "" : ", with VMCSs"
      return
        "<option value=\"\(index)\">L2 \(ExitSubject.name(root.reason)), \(grouped(tree.example.size)) exits, "
        + "\(grouped(root.span)) cycles (L2 exit \(grouped(root.tree))\(recorded))</option>\n"
    }
    return """
      <noscript><p class="warning">The picture of a tree needs JavaScript, which is off; everything else is here.</p></noscript>
      <div id="board" hidden>
      <div class="bar"><label for="tree">Tree</label><select id="tree">
      \(options.joined())</select>
      <button type="button" id="previous">← previous exit</button>
      <button type="button" id="next">next exit →</button>
      <button type="button" id="scale" aria-pressed="false">equal steps</button></div>
      <p id="about-tree"></p>
      \(HTML.key(of: [.l2, .switchL2, .handlerL0, .transform, .switchL1, .handlerL1, .idle] + others))
      <div id="lanes"></div>
      <p class="faint">Choose a bar or a row, or use the arrow keys, Home and End.</p>
      <div class="columns"><div id="steps"></div><div id="facts" aria-live="polite"></div></div>
      <h3>The three VMCSs</h3>
      <div class="bar" id="vmcs-bar">
      <button type="button" data-moment="0">at the exit, before L0 does anything</button>
      <button type="button" data-moment="1">when L0 has handled it</button>
      <button type="button" id="all-fields" aria-pressed="false">all fields that are not 0</button>
      <label for="filter">Fields named</label><input type="search" id="filter" placeholder="GUEST_RIP"></div>
      <p id="vmcs-note" aria-live="polite"></p>
      <div id="vmcs" class="scroll"></div>
      </div>

      """
  }
}
