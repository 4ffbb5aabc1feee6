import Foundation
import Testing

/// The page of a trace in a real browser.
@Suite struct BrowserTests {
  /// The browser on the PATH, if there is one.
  static let browser = ["chromium", "chromium-browser", "google-chrome"].lazy
    .compactMap { name in
      (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map { "\($0)/\(name)" }
        .first { FileManager.default.isExecutableFile(atPath: $0) }
    }.first

  /// Opens the page, goes through an exit by clicks and by keys, and writes what it sees into the document. The keys are
  /// events that a script makes, since a browser without a driver gets no others.
  private static let visit = #"""
    <script>
    const seen = [];
    const note = (name, value) => seen.push(`${name}=${value}`);
    const title = () => document.getElementById('facts-title').textContent;
    const key = name => document.activeElement.dispatchEvent(new KeyboardEvent('keydown', { key: name, bubbles: true, cancelable: true }));
    const all = query => [...document.querySelectorAll(query)];
    note('first', title());
    note('steps', all('#steps tbody tr').length);
    document.querySelector('#lanes .seg[data-step="3"]').dispatchEvent(new MouseEvent('click', { bubbles: true }));
    note('clicked', title());
    document.getElementById('lanes-svg').focus();
    key('ArrowRight');
    note('right', title());
    key('ArrowLeft');
    key('ArrowLeft');
    note('left', title());
    key('End');
    note('end', title());
    key('Home');
    document.querySelector('#steps tr[aria-selected=true]').focus();
    key('ArrowDown');
    note('down', title());
    note('focus', document.activeElement.dataset.step);
    all('#steps tbody tr')[0].click();
    note('changed', all('#vmcs td.changed').length > 0);
    document.querySelector('[data-moment="0"]').click();
    note('note', document.getElementById('vmcs-note').textContent.startsWith('The beginning'));
    document.getElementById('all-fields').click();
    note('fields', all('#vmcs tbody tr').length > 40);
    const filter = document.getElementById('filter');
    filter.value = 'guest_rip';
    filter.dispatchEvent(new Event('input'));
    note('filtered', all('#vmcs tbody tr:not(.area)').map(row => row.querySelector('code').textContent).join());
    document.getElementById('scale').click();
    note('equal', document.getElementById('scale').getAttribute('aria-pressed'));
    note('bars', all('#lanes .seg').every(bar => Number(bar.getAttribute('width')) > 0 && Number(bar.getAttribute('x')) + Number(bar.getAttribute('width')) <= 1168));
    for (const [index] of [...document.getElementById('tree').options].entries()) choose(index);
    const result = document.createElement('pre');
    result.id = 'seen';
    result.textContent = seen.join('\n');
    document.body.append(result);
    </script>
    """#

  @Test(.enabled(if: browser != nil, "no chromium is on the PATH: apt-get install chromium"))
  func anExitIsGoneThroughByClicksAndKeys() throws {
    try TemporaryFolder.with { folder in
      let run = try Command.run(
        ["run", "minimal", "--iterations", "20", "--trace", "a.trace"], in: folder)
      #expect(run.status == 0, "\(run.errors)")
      let report = try Command.run(["report", "a.trace", "--html", "a.html"], in: folder)
      #expect(report.status == 0, "\(report.errors)")
      let file = folder.appendingPathComponent("a.html")
      let page = try String(contentsOf: file, encoding: .utf8)
      try page.replacingOccurrences(of: "</body>", with: Self.visit + "</body>")
        .write(to: file, atomically: true, encoding: .utf8)
      let browser = try #require(Self.browser)
      let result = try Command.shell(
        "'\(browser)' --headless=new --no-sandbox --disable-gpu --user-data-dir=profile --enable-logging=stderr "
          + "--virtual-time-budget=5000 --dump-dom file://\(file.path)", in: folder)
      let console = result.errors.split(separator: "\n").filter { $0.contains("CONSOLE") }
      #expect(console.isEmpty, "\(console)")
      let seen = try #require(
        result.output.firstMatch(of: #/<pre id="seen">([^<]*)<\/pre>/#), "\(result.errors)"
      ).1
      #expect(
        seen.split(separator: "\n") == [
          "first=Exit 1 of 8: L2 CPUID", "steps=8", "clicked=Exit 4 of 8: L1 VMREAD",
          "right=Exit 5 of 8: L1 VMREAD",
          "left=Exit 3 of 8: L1 VMREAD", "end=Exit 8 of 8: L1 VMRESUME", "down=Exit 2 of 8: L1 VMREAD",
          "focus=1",
          "changed=true", "note=true", "fields=true", "filtered=GUEST_RIP", "equal=true", "bars=true",
        ])
    }
  }
}
