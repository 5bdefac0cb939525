"""The look of the report and its one small script. No request leaves the page: fonts are the system's, colours follow its theme."""

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #fbfbf8; --card: #ffffff; --ink: #1d231c; --soft: #5d675b; --faint: #737d70; --rule: #e2e6de; --grid: #edf0ea;
  --leaf: #3d7f3a; --leaf-soft: #dcebd7; --leaf-pale: #eff6ec; --sun: #9a5608; --sun-pale: #fdf5e6; --sun-rule: #ecd3a4;
  --quiet: #b9c3b5; --part-1: #86b37c; --part-2: #d0a54e; --part-3: #7f9cb8; --part-4: #c08497; --part-5: #b9c3b5;
  --sans: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "PingFang SC", "Hiragino Sans GB", "Microsoft YaHei",
    "Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", sans-serif;
  --serif: "Iowan Old Style", "Palatino Linotype", Palatino, "Book Antiqua", Charter, Georgia, "Songti SC", STSong, "Noto Serif CJK SC",
    "Noto Serif SC", "Source Han Serif SC", SimSun, serif;
  --mono: ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, "DejaVu Sans Mono", "Noto Sans Mono CJK SC", monospace;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #141814; --card: #1b201b; --ink: #e3e8e0; --soft: #a3ada0; --faint: #78827a; --rule: #2d352d; --grid: #252c25;
    --leaf: #8cc584; --leaf-soft: #2c412a; --leaf-pale: #1c271b; --sun: #e5b567; --sun-pale: #272116; --sun-rule: #5a4825;
    --quiet: #4b564a; --part-1: #5f8f58; --part-2: #c39a4c; --part-3: #6f8daa; --part-4: #a56f80; --part-5: #4b564a;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.65 var(--sans); overflow-wrap: break-word; }
header, main, footer { max-width: 47rem; margin: 0 auto; padding: 0 1.25rem; }
#show-en, #show-zh { position: absolute; opacity: 0; pointer-events: none; }
#show-en:checked ~ * .zh, #show-zh:checked ~ * .en { display: none; }

header { padding-top: 2rem; }
.top { display: flex; justify-content: space-between; align-items: center; gap: 1rem; color: var(--soft); font-size: .9rem; }
.brand { display: flex; align-items: center; gap: .45rem; letter-spacing: .02em; }
.brand svg { width: 1.15rem; height: 1.15rem; fill: var(--leaf); }
.languages { display: flex; border: 1px solid var(--rule); border-radius: 99px; overflow: hidden; background: var(--card); }
.languages label { padding: .2rem .8rem; cursor: pointer; }
#show-en:checked ~ header label[for="show-en"], #show-zh:checked ~ header label[for="show-zh"] {
  background: var(--leaf-soft); color: var(--ink); }
#show-en:focus-visible ~ header label[for="show-en"], #show-zh:focus-visible ~ header label[for="show-zh"] {
  outline: 2px solid var(--leaf); outline-offset: -2px; border-radius: 99px; }
h1 { font: 600 2.3rem/1.2 var(--serif); margin: 2.2rem 0 .3rem; }
.status { color: var(--soft); margin: 0; }

section { margin: 3.4rem 0 0; }
#result { margin-top: 2.2rem; }
h2 { font: 600 1.35rem/1.3 var(--serif); margin: 0 0 1rem; padding-bottom: .5rem; border-bottom: 1px solid var(--rule); }
h3 { font-size: 1rem; font-weight: 600; margin: 1.6rem 0 .4rem; }
p { margin: .6rem 0; }
.fine { color: var(--soft); font-size: .875rem; }
code { font: .875em/1.5 var(--mono); background: var(--leaf-pale); border-radius: 4px; padding: .08em .32em; }
.commands dt code { margin-left: -.32em; }
details { margin-top: .9rem; }
summary { cursor: pointer; color: var(--soft); font-size: .9rem; }
summary:hover { color: var(--leaf); }

.figure { margin: 0; line-height: 1.15; }
.big { font: 600 4.4rem/1 var(--serif); color: var(--leaf); letter-spacing: -.02em; font-variant-numeric: lining-nums; }
.unit { font: 400 1.25rem/1.3 var(--serif); margin-left: .35rem; }
.lead { font-size: 1.05rem; margin: 1rem 0 1.6rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--soft); font-size: .875rem; padding-bottom: .5rem; }
.bars th { text-align: left; font-weight: 400; white-space: nowrap; padding: .22rem 1rem .22rem 0; width: 1%; }
.bars td:last-child { text-align: right; padding-left: .8rem; width: 1%; }
.bars .own th, .bars .own td { font-weight: 600; }
.bars .own td:last-child { color: var(--leaf); }
.bar { display: block; width: 100%; height: .85rem; border-radius: 3px; overflow: hidden; background: var(--grid); fill: var(--quiet); }
.bar .own { fill: var(--leaf); }

.note { background: var(--sun-pale); border: 1px solid var(--sun-rule); border-radius: 10px; padding: .9rem 1.15rem; margin: .8rem 0; }
.note h3 { margin: 0; color: var(--sun); }
.note p { margin: .3rem 0 0; } .note code { background: var(--paper); }

.chart { margin: 1.8rem 0 0; }
figcaption { display: flex; flex-wrap: wrap; justify-content: space-between; gap: .1rem 1.5rem; font-size: .9rem; margin-bottom: .3rem; }
figcaption strong { font-weight: 600; }
.legend { display: flex; flex-wrap: wrap; gap: .1rem 1.1rem; margin: 0; padding: 0; list-style: none; }
.legend { color: var(--soft); font-size: .875rem; }
.legend b { color: var(--ink); font-weight: 600; font-variant-numeric: tabular-nums; }
.swatch { display: inline-block; width: .8em; height: .8em; border-radius: 3px; margin-right: .4em; vertical-align: -.04em; }
.chart > svg { display: block; width: 100%; height: auto; touch-action: pan-y; }
.chart > svg.narrow { display: none; }
.chart text { font: 12px var(--sans); fill: var(--faint); font-variant-numeric: tabular-nums; }
.chart text.end { text-anchor: end; } .chart text.middle { text-anchor: middle; }
.chart text.name { fill: var(--soft); paint-order: stroke; stroke: var(--paper); stroke-width: 4px; }
.grid line, line.grid { stroke: var(--grid); } line.axis, line.tick { stroke: var(--rule); }
.cursor { stroke: var(--faint); stroke-dasharray: 3 3; }
.line { fill: none; stroke-width: 1.8; stroke-linejoin: round; stroke-linecap: round; }
.shade { stroke: none; opacity: .55; }
.line.training { stroke: var(--part-1); } .dot.training { fill: var(--part-1); } .swatch.training { background: var(--part-1); }
.line.held-out { stroke: var(--leaf); } .dot.held-out { fill: var(--leaf); } .swatch.held-out { background: var(--leaf); }
.line.rate { stroke: var(--part-2); } .dot.rate { fill: var(--part-2); } .swatch.rate { background: var(--part-2); }
.shade.training { fill: var(--leaf-soft); } .shade.rate { display: none; }
.level { stroke-dasharray: 5 4; stroke-width: 1.2; stroke: var(--part-3); } .swatch.fivegram { background: var(--part-3); }
.level.xz { stroke: var(--part-4); } .swatch.xz { background: var(--part-4); }
.part-0 { fill: var(--leaf); background: var(--leaf); } .part-1 { fill: var(--part-2); background: var(--part-2); }
.part-2 { fill: var(--part-3); background: var(--part-3); } .part-3 { fill: var(--part-4); background: var(--part-4); }
.part-4 { fill: var(--part-1); background: var(--part-1); } .part-5 { fill: var(--part-5); background: var(--part-5); }

.scroll { overflow-x: auto; }
.figures { font-size: .9rem; margin-top: .6rem; }
.figures th, .figures td { text-align: right; padding: .42rem 0 .42rem 1.2rem; border-bottom: 1px solid var(--grid); vertical-align: top; }
.figures th:first-child, .figures td:first-child { text-align: left; padding-left: 0; }
.figures thead th { color: var(--soft); font-weight: 400; border-color: var(--rule); white-space: nowrap; }
.rivals td { white-space: nowrap; } .rivals thead th { white-space: normal; vertical-align: bottom; }
.rivals tbody th { font-weight: 400; } .rivals .own th, .rivals .own td { font-weight: 600; color: var(--leaf); }
.best { color: var(--leaf); font-weight: 600; }
.names td { text-align: left; } .names thead th { text-align: left; }
.plan th { font-weight: 400; } .plan th, .plan td, .plan thead th { text-align: left; }
.plan td:nth-child(2) { white-space: nowrap; font: .95em/1.6 var(--mono); }
.plan td:nth-child(3) { width: 55%; color: var(--soft); }
.plan th code { display: block; width: fit-content; background: none; color: var(--soft); padding: 0; font-size: .8125rem; }
.plan thead th { padding-top: 0; } details .plan { margin-top: 1rem; }

.timeline { list-style: none; margin: .6rem 0 0; padding: 0 0 0 1.2rem; border-left: 2px solid var(--leaf-soft); }
.timeline li { position: relative; margin: 0 0 1.3rem; }
.timeline li::before { content: ""; position: absolute; left: calc(-1.2rem - 6px); top: .42rem; width: 10px; height: 10px;
  border-radius: 50%; background: var(--leaf-soft); border: 2px solid var(--paper); }
.timeline li:last-child { margin-bottom: 0; }
.timeline li:last-child::before { background: var(--leaf); }
.when { color: var(--soft); font-size: .8125rem; margin: 0 0 .25rem; font-variant-numeric: tabular-nums; }
article { margin-top: 2rem; }
article h3 { font: 600 1.1rem/1.5 var(--serif); } q { quotes: none; }
pre { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; font: 1rem/1.7 var(--serif); unicode-bidi: isolate; }
pre.code { font: .8125rem/1.6 var(--mono); }
.timeline li:not(:last-child) pre { color: var(--soft); }
.prompt { color: var(--leaf); font-weight: 600; }

dl { margin: 0; } dd { margin: 0; }
dl.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.6rem, 1fr)); gap: 1.1rem 1.5rem; }
dl.grid div { display: flex; flex-direction: column-reverse; justify-content: flex-end; }
dl.grid dt { color: var(--soft); font-size: .875rem; line-height: 1.4; }
dl.grid dd { font: 600 1.35rem/1.3 var(--serif); font-variant-numeric: lining-nums; }
.scripts { margin: 1.8rem 0 0; } .scripts .legend { margin-top: .6rem; } .scripts p { margin-top: .4rem; }
.commands div { padding: .55rem 0; border-bottom: 1px solid var(--grid); }
.commands dt code { overflow-wrap: anywhere; user-select: all; }
.commands dd { color: var(--soft); font-size: .875rem; margin-top: .15rem; }
footer { margin-top: 4rem; padding-top: 1.2rem; padding-bottom: 3rem; color: var(--soft); font-size: .875rem; }
footer p:first-child { color: var(--ink); background: var(--leaf-pale); border-radius: 10px; padding: .8rem 1.1rem; }

@media (max-width: 36rem) {
  body { font-size: 15.5px; }
  header { padding-top: 1.2rem; } h1 { font-size: 1.9rem; margin-top: 1.5rem; }
  .big { font-size: 3.4rem; } .unit { display: block; margin: .4rem 0 0; font-size: 1.1rem; }
  .chart > svg.wide { display: none; } .chart > svg.narrow { display: block; }
  .bars th { white-space: normal; width: 36%; padding-right: .6rem; font-size: .9rem; line-height: 1.35; }
  dl.grid { grid-template-columns: 1fr 1fr; }
  .plan tr { display: block; padding: .5rem 0; border-bottom: 1px solid var(--grid); } .plan thead { display: none; }
  .plan th, .plan td, .figures.plan td { display: block; padding: 0 0 .15rem; border: 0; } .plan td:nth-child(3) { width: auto; }
}
@media print {
  :root { --paper: #fff; } body { font-size: 10.5pt; } .languages, details:not([open]) { display: none; }
  section, footer { margin-top: 1.6rem; } .note, .chart, .timeline li, tr, dl div { break-inside: avoid; } h2, h3 { break-after: avoid; }
}
"""

SCRIPT = """
for (const language of ["en", "zh"])
  document.getElementById("show-" + language).addEventListener("change", () => { document.documentElement.lang = language; });
for (const figure of document.querySelectorAll("figure[data-hover]")) {
  const rows = JSON.parse(figure.dataset.hover);
  const slots = [...figure.querySelectorAll("[data-slot]")];
  const newest = slots.map(slot => slot.textContent);
  for (const drawing of figure.querySelectorAll("svg[data-left]")) {
    const left = +drawing.dataset.left, right = +drawing.dataset.right, cursor = drawing.querySelector(".cursor");
    const place = x => { cursor.setAttribute("x1", x); cursor.setAttribute("x2", x); };
    drawing.addEventListener("pointermove", event => {
      const box = drawing.getBoundingClientRect();
      const share = ((event.clientX - box.left) / box.width * drawing.viewBox.baseVal.width - left) / (right - left);
      const row = rows.reduce((best, row) => Math.abs(row[0] - share) < Math.abs(best[0] - share) ? row : best);
      place(left + row[0] * (right - left));
      slots.forEach((slot, index) => { slot.textContent = row[index + 1]; });
    });
    drawing.addEventListener("pointerleave", () => {
      place(-9);
      slots.forEach((slot, index) => { slot.textContent = newest[index]; });
    });
  }
}
"""
