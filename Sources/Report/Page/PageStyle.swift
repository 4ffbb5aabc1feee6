/// The style sheet of the reports: light and dark by the reader's preference, and for paper.
enum PageStyle {
  static let css = #"""
    :root {
      color-scheme: light dark;
      --paper: #ffffff; --panel: #f6f8fa; --ink: #1f2328; --faint: #59636e; --line: #d1d9e0; --accent: #0969da;
      --mark: #fff3c4; --plus: #1a7f37; --minus: #cf222e;
      --l2: #1a7f37; --switchL2: #8250df; --transform: #bf3989; --handlerL0: #bc4c00; --switchL1: #6e7781;
      --handlerL1: #0969da; --l1: #54aeff; --idle: #d0d7de; --others: #eaeef2; --before: #0969da; --after: #bc4c00;
    }
    @media (prefers-color-scheme: dark) {
      :root {
        --paper: #0d1117; --panel: #161b22; --ink: #f0f6fc; --faint: #9198a1; --line: #3d444d; --accent: #4493f8;
        --mark: #4d3b00; --plus: #3fb950; --minus: #ff7b72;
        --l2: #3fb950; --switchL2: #ab7df8; --transform: #f778ba; --handlerL0: #db6d28; --switchL1: #9198a1;
        --handlerL1: #4493f8; --l1: #79c0ff; --idle: #3d444d; --others: #21262d; --before: #4493f8; --after: #db6d28;
      }
    }
    * { box-sizing: border-box; }
    html { scroll-padding-top: 3.5rem; }
    body {
      margin: 0; background: var(--paper); color: var(--ink);
      font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif;
    }
    header, main, footer { max-width: 84rem; margin: 0 auto; padding: 0 1.5rem; }
    header { padding-top: 1.5rem; }
    h1 { font-size: 1.6rem; margin: 0 0 0.25rem; }
    h2 { font-size: 1.25rem; margin: 2.5rem 0 0.5rem; padding-top: 0.5rem; border-top: 1px solid var(--line); }
    h3 { font-size: 1rem; margin: 1.25rem 0 0.5rem; }
    p { max-width: 60rem; margin: 0.5rem 0; }
    .faint { color: var(--faint); }
    .warning { border-left: 4px solid var(--after); padding: 0.4rem 0.8rem; background: var(--panel); }
    a { color: var(--accent); }
    nav {
      position: sticky; top: 0; z-index: 2; background: var(--paper); border-bottom: 1px solid var(--line);
      margin-top: 0.75rem;
    }
    nav ul {
      display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem; list-style: none; max-width: 84rem; margin: 0 auto;
      padding: 0.5rem 1.5rem;
    }
    nav a { text-decoration: none; }
    nav a:hover { text-decoration: underline; }
    :focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
    .skip { position: absolute; left: -99rem; }
    .skip:focus { left: 1rem; top: 0.5rem; background: var(--paper); padding: 0.5rem; z-index: 3; }
    .tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(11.5rem, 1fr)); gap: 0.75rem; margin: 1rem 0; }
    .tile { background: var(--panel); border: 1px solid var(--line); border-radius: 8px; padding: 0.6rem 0.9rem; }
    .tile b { display: block; font-size: 1.4rem; font-variant-numeric: tabular-nums; line-height: 1.3; }
    .scroll { overflow-x: auto; }
    table { border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; margin: 0.5rem 0 1rem; }
    caption { text-align: left; color: var(--faint); padding-bottom: 0.25rem; }
    th, td { padding: 0.2rem 0.7rem; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
    th { font-weight: 600; }
    thead th { border-bottom: 2px solid var(--line); }
    .n { text-align: right; white-space: nowrap; }
    tfoot td, tfoot th { font-weight: 600; border-top: 2px solid var(--line); }
    code, .hex { font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; font-size: 0.88em; }
    .hex { white-space: nowrap; }
    dl.facts { display: grid; grid-template-columns: max-content 1fr; gap: 0.15rem 1rem; margin: 0.5rem 0; font-size: 0.9rem; }
    dl.facts dt { color: var(--faint); }
    dl.facts dd { margin: 0; overflow-wrap: anywhere; }
    details { margin: 0.5rem 0; }
    summary { cursor: pointer; }
    button, select, input[type=search] {
      font: inherit; color: inherit; background: var(--panel); border: 1px solid var(--line); border-radius: 6px;
      padding: 0.2rem 0.7rem;
    }
    button { cursor: pointer; }
    button:hover { border-color: var(--accent); }
    button[aria-pressed=true], button[aria-current=true] { border-color: var(--accent); box-shadow: inset 0 0 0 1px var(--accent); }
    svg { display: block; max-width: 100%; height: auto; }
    svg text { fill: var(--ink); font: 12px system-ui, "DejaVu Sans", sans-serif; }
    svg text.faint { fill: var(--faint); }
    svg .grid { stroke: var(--line); }
    .key { display: flex; flex-wrap: wrap; gap: 0.2rem 1.1rem; font-size: 0.85rem; margin: 0.4rem 0; padding: 0; list-style: none; }
    .key i { display: inline-block; width: 0.8rem; height: 0.8rem; border-radius: 2px; margin-right: 0.35rem; vertical-align: -0.05rem; }
    .p-l2 { fill: var(--l2); background: var(--l2); } .p-switchL2 { fill: var(--switchL2); background: var(--switchL2); }
    .p-transform { fill: var(--transform); background: var(--transform); }
    .p-handlerL0 { fill: var(--handlerL0); background: var(--handlerL0); }
    .p-switchL1 { fill: var(--switchL1); background: var(--switchL1); }
    .p-handlerL1 { fill: var(--handlerL1); background: var(--handlerL1); }
    .p-l1 { fill: var(--l1); background: var(--l1); } .p-idle { fill: var(--idle); background: var(--idle); }
    .p-others { fill: var(--others); background: var(--others); }
    .p-before { fill: var(--before); background: var(--before); } .p-after { fill: var(--after); background: var(--after); }
    .plus { color: var(--after); } .minus { color: var(--plus); }
    """# + storyboard + print

  private static let storyboard = #"""

    .bar { display: flex; flex-wrap: wrap; align-items: center; gap: 0.5rem; margin: 0.5rem 0; }
    .bar label { color: var(--faint); }
    .bar select { max-width: min(100%, 46rem); }
    #lanes { border: 1px solid var(--line); border-radius: 8px; background: var(--panel); }
    #lanes svg { width: 100%; }
    #lanes .seg { cursor: pointer; }
    #lanes .seg:hover { opacity: 0.8; }
    #lanes .seg.on { stroke: var(--ink); stroke-width: 2; }
    #lanes .band { fill: var(--mark); }
    #lanes .turn { stroke: var(--faint); stroke-width: 1; }
    .columns { display: grid; grid-template-columns: minmax(20rem, 3fr) minmax(18rem, 2fr); gap: 1.5rem; align-items: start; }
    @media (max-width: 60rem) { .columns { grid-template-columns: 1fr; } }
    #steps { max-height: 30rem; overflow: auto; border: 1px solid var(--line); border-radius: 8px; }
    #steps table { margin: 0; width: 100%; }
    #steps thead th { position: sticky; top: 0; background: var(--paper); }
    #steps tbody tr { cursor: pointer; }
    #steps tbody tr[aria-selected=true] { background: var(--mark); }
    #steps tbody tr.l2 td:nth-child(2) { color: var(--l2); font-weight: 600; }
    #steps tbody tr.l1 td:nth-child(2) { color: var(--handlerL1); font-weight: 600; }
    #facts h3 { margin-top: 0; }
    #vmcs table { width: 100%; }
    #vmcs td.changed { background: var(--mark); }
    #vmcs td.changed::before { content: "● "; color: var(--after); }
    #vmcs .area th { text-align: left; color: var(--faint); padding-top: 0.8rem; }
    #vmcs .words { color: var(--faint); font-size: 0.85em; }
    #vmcs ul { margin: 0.2rem 0; padding-left: 1.1rem; }
    .was { color: var(--faint); font-size: 0.85em; display: block; }
    """#

  private static let print = #"""

    @media print {
      :root {
        color-scheme: light;
        --paper: #ffffff; --panel: #ffffff; --ink: #000000; --faint: #444444; --line: #bbbbbb; --accent: #000000;
        --mark: #eeeeee; --l2: #1a7f37; --switchL2: #8250df; --transform: #bf3989; --handlerL0: #bc4c00;
        --switchL1: #6e7781; --handlerL1: #0969da; --l1: #54aeff; --idle: #d0d7de; --others: #eaeef2; --before: #0969da; --after: #bc4c00;
      }
      * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
      body { font-size: 10pt; }
      nav, .bar, .skip { display: none; }
      header, main, footer { max-width: none; padding: 0; }
      #steps { max-height: none; overflow: visible; border: 0; }
      #steps thead th { position: static; }
      .columns { grid-template-columns: 1fr; }
      .scroll { overflow: visible; }
      svg, tr, .tile { break-inside: avoid; }
      h2, h3 { break-after: avoid; }
      tfoot { display: table-row-group; }
      th, td { padding: 0.1rem 0.4rem; }
    }
    """#
}
