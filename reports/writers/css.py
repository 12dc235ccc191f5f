"""The style of the pages: light and dark by `prefers-color-scheme`, tables that scroll sideways with their first
column in place.
"""

STYLE = """\
:root {
  color-scheme: light dark;
  --ground: #fbfbf9; --card: #ffffff; --ink: #1d2126; --soft: #5d6670; --line: #dcdfe3; --accent: #0b63a5;
  --paper: #6b5a2e;
  --good: #0a6b4f; --bad: #a63a12; --open: #6a5f16; --best: #e8f1f9; --code: #f0f1f3;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #14171a; --card: #1b1f24; --ink: #e7e9ec; --soft: #a0a9b3; --line: #343a42; --accent: #7cc0f4;
    --paper: #d3bd83;
    --good: #5fd3a6; --bad: #ff9d73; --open: #e0d070; --best: #1f3446; --code: #23282e;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; max-width: 84rem; padding: 1.5rem clamp(0.9rem, 3vw, 2.5rem) 4rem;
  background: var(--ground); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  overflow-wrap: break-word;
}
h1 { font-size: clamp(1.5rem, 1.1rem + 1.8vw, 2.2rem); line-height: 1.2; margin: 0.2rem 0 0.6rem; }
h2 { font-size: 1.25rem; margin: 2.4rem 0 0.5rem; }
h3 { font-size: 1.08rem; margin: 0.9rem 0 0.3rem; }
p { max-width: 48rem; margin: 0.5rem 0; }
a { color: var(--accent); }
nav { display: flex; flex-wrap: wrap; gap: 0.2rem 1rem; margin-bottom: 1.2rem; }
nav a { text-decoration: none; white-space: nowrap; }
nav, .soft, figcaption { color: var(--soft); font-size: 0.9rem; }
.headline { font-weight: 500; }
ul.soft { max-width: 48rem; padding-left: 1.1rem; } ul.soft li { margin: 0.2rem 0; }
.scale { border-left: 4px solid var(--accent); padding: 0.3rem 0 0.3rem 0.8rem; }
.wide {
  overflow-x: auto; margin: 0.8rem 0; border: 1px solid var(--line); border-radius: 8px;
  background: var(--card);
}
table {
  border-collapse: separate; border-spacing: 0; width: 100%; font-variant-numeric: tabular-nums; font-size: 0.92rem;
}
th, td { padding: 0.42rem 0.6rem; text-align: right; white-space: nowrap; vertical-align: top; }
th:first-child, td:first-child { text-align: left; }
th.end { white-space: normal; min-width: 3.6rem; }
.keep { white-space: nowrap; }
tbody th { white-space: normal; min-width: 9rem; }
thead th { border-bottom: 1px solid var(--line); color: var(--soft); font-weight: 600; }
tbody th { font-weight: 600; }
tbody tr.ours > * { border-top: 1px solid var(--line); }
tbody tr.first > * { border-top: 1px solid var(--soft); }
tbody th a { color: inherit; text-decoration: none; }
a.number { color: inherit; text-decoration: none; display: block; }
tbody th a:hover, a.number:hover { color: var(--accent); text-decoration: underline; }
tbody tr.baseline th, tbody tr.floor th { font-weight: 400; font-style: italic; }
tr.reference > *, td.theirs { color: var(--paper); font-style: italic; font-weight: 400; }
tr.paper > * { color: var(--paper); font-style: italic; font-weight: 400; padding-top: 0; font-size: 0.86rem; }
.interval { display: block; color: var(--soft); font-size: 0.8rem; line-height: 1.25; font-weight: 400; }
.judged { font-style: normal; }
td.best { background: var(--best); }
td.best b { font-weight: 700; }
td.text, th.text, .words td, .words th { text-align: left; }
.words td { white-space: normal; min-width: 7rem; } .words td.note { min-width: 14rem; color: var(--soft); }
code, pre {
  font: 0.85rem/1.45 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; background: var(--code);
  border-radius: 5px;
}
code { padding: 0.1rem 0.3rem; }
pre { padding: 0.7rem 0.9rem; overflow-x: auto; }
.verdict {
  display: inline-block; border: 1px solid currentColor; border-radius: 99px; padding: 0 0.65rem;
  font-size: 0.85rem; font-weight: 600; white-space: nowrap;
}
.shows, .interval.shows { color: var(--good); }
.fails, .interval.fails { color: var(--bad); }
.open, .interval.open { color: var(--open); }
.absent { color: var(--soft); }
.claim { border-top: 1px solid var(--line); padding: 0.8rem 0; }
.claim p { margin: 0.3rem 0; }
figure { margin: 1rem 0; }
figure img, figure video { display: block; max-width: 100%; height: auto; border-radius: 8px; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 1.4rem 1rem; }
.figures figure { margin: 0; min-width: 0; }
.figures .broad { grid-column: 1 / -1; }
figcaption { margin-top: 0.35rem; }
details { margin: 0.5rem 0; } summary { cursor: pointer; color: var(--accent); }
:target { outline: 2px solid var(--accent); outline-offset: -2px; }
.cards {
  display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 21rem), 1fr)); gap: 1.1rem;
  padding: 0; list-style: none;
}
.cards li {
  border: 1px solid var(--line); border-radius: 10px; background: var(--card); padding: 0 1.1rem 0.8rem;
  overflow: hidden; display: flex; flex-direction: column;
}
.cards p { margin: 0.35rem 0; }
.cards .cover {
  display: block; width: calc(100% + 2.2rem); margin: 0 -1.1rem; height: 9.5rem; object-fit: cover;
  object-position: left top; border-bottom: 1px solid var(--line);
}
.cards .number { font-size: 0.8rem; color: var(--soft); margin: 0.7rem 0 0; }
.cards .number + h3 { margin-top: 0; }
.cards .files { margin-top: auto; padding-top: 0.5rem; }
.cards h3 a { text-decoration: none; }
@media (max-width: 40rem) {
  body { font-size: 15px; }
  th, td { padding: 0.38rem 0.4rem; }
  .sticky tbody th, .sticky thead th:first-child {
    position: sticky; left: 0; z-index: 1; background: var(--card); min-width: 7rem; width: 7rem; font-size: 0.8rem;
    border-right: 1px solid var(--line);
  }
  .sticky tr.paper th { font-size: 0.7rem; }
}
@media print { .wide { overflow: visible; } }
"""
