"""The report as one self-contained HTML page: style, figures and film are inside it, and it loads nothing.

It reads in light and dark (`prefers-color-scheme`) and on a phone. Everything that comes from data is escaped. A
figure `x.svg` with a twin `x-dark.svg` shows the one that suits the reader.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from reports import words
from reports.claims import ABSENT, FAILS, SHOWS, Verdict, relation
from reports.layout import Block, Line, Report
from reports.numerals import bounds, printed
from reports.style import STYLE

TYPES = {".png": "image/png", ".svg": "image/svg+xml", ".webp": "image/webp", ".gif": "image/gif", ".mp4": "video/mp4"}
CLASS = {SHOWS: "shows", FAILS: "fails", ABSENT: "absent"}


def page(report: Report, figures: Sequence[Path] = (), film: Path | None = None) -> str:
    """The whole report as one HTML text."""
    text = report.text
    body = [
        _navigation(report, bool(figures or film)),
        f"<h1>{escape(text.title)}</h1>",
        f"<p>{escape(text.caption)}</p>",
        f'<p class="scale">{escape(report.scale_text)}</p>',
        *(_block(report, block) for block in report.blocks),
        f'<p class="soft">{escape(words.legend(report))}</p>',
        f'<p class="soft">{escape(words.absent(report))}</p>' if report.absent else "",
        _claims(report),
        _figures(figures, film),
        '<h2 id="cost">Cost</h2>',
        _table(words.COST_HEADER, words.costs(report)),
        '<h2 id="protocol">Protocol</h2>',
        f"<p>{escape(report.protocol)}</p>",
        *(f'<p class="soft">{escape(words_)}</p>' for words_ in words.published_protocols(report)),
        _traces(report),
    ]
    return document(text.title, "\n".join(part for part in body if part))


def document(title: str, body: str) -> str:
    """A page around a body, with its style inside."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f'<link rel="icon" href="data:,">\n<title>{escape(title)}</title>\n<style>\n{STYLE}</style>\n'
        f"</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _navigation(report: Report, pictures: bool) -> str:
    """Links to the parts of the page."""
    parts = [(block.metric, block.text.label) for block in report.blocks]
    parts += [("claims", "Claims")] * bool(report.verdicts) + [("figures", "Figures")] * pictures
    parts += [("cost", "Cost"), ("protocol", "Protocol"), ("trace", "Trace a number")]
    links = "".join(f'<a href="#{anchor}">{escape(label)}</a>' for anchor, label in parts)
    return f'<nav><a href="../index.html">All tables</a>{links}</nav>'


def embed(path: Path) -> str:
    """A file as a data URI. Raises ValueError for a type that no browser shows."""
    if path.suffix not in TYPES:
        raise ValueError(f"{path.name} cannot be shown in a page; use one of {', '.join(TYPES)}")
    return f"data:{TYPES[path.suffix]};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _block(report: Report, block: Block) -> str:
    head = "<th></th>" + "".join(_lead(report, lead) for lead in block.leads)
    head += "".join(f'<th scope="col" class="end">{escape(name)}</th>' for name in words.LINE_HEADER)
    rows: list[str] = []
    kind = block.lines[0].kind
    for line in block.lines:
        first = " first" if line.kind != kind else ""
        kind = line.kind
        name = f'<th scope="row"><a href="#{_anchor(report, line.row)}">{_name(line.row)}</a></th>'
        ends = "".join(f"<td>{escape(end)}</td>" for end in words.line(line))
        rows.append(f'<tr class="ours {line.kind}{first}">{name}{_cells(line)}{ends}</tr>')
        if any(line.published):
            theirs = "".join(f"<td>{escape(printed(p.value)) if p else ''}</td>" for p in line.published)
            empty = "<td></td>" * len(words.LINE_HEADER)
            rows.append(f'<tr class="paper"><th scope="row">{escape(report.paper_label)}</th>{theirs}{empty}</tr>')
    table = f'<table class="sticky"><thead><tr>{head}</tr></thead><tbody>\n' + "\n".join(rows) + "\n</tbody></table>"
    return (
        f'<h2 id="{block.metric}">{escape(block.text.label)}</h2>\n<p class="soft">{escape(block.text.reference)}</p>\n'
        f'<div class="wide" tabindex="0">{table}</div>'
    )


def _lead(report: Report, frames: int) -> str:
    head, time = words.lead_parts(report, frames)
    return f'<th scope="col">{escape(head)}<span class="interval">{escape(time)}</span></th>'


def _name(row: str) -> str:
    """A row's name, in which "(2-4)" does not break."""
    return re.sub(r"\(\d+-\d+\)", r'<span class="keep">\g<0></span>', escape(row))


def _cells(line: Line) -> str:
    out = []
    for cell, best in zip(line.cells, line.best, strict=True):
        if cell is None:
            out.append("<td>–</td>")
            continue
        value, low, high = bounds(cell.value, cell.low, cell.high)
        shown, style = (f"<b>{value}</b>", ' class="best"') if best else (value, "")
        out.append(f'<td{style} title="{cell.value!r}">{shown}<span class="interval">[{low}, {high}]</span></td>')
    return "".join(out)


def _head(names: Iterable[str]) -> str:
    return "<tr>" + "".join(f'<th scope="col">{escape(name)}</th>' for name in names) + "</tr>"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]], text: Iterable[int] = ()) -> str:
    """A plain table; the columns numbered in `text` hold words, not figures."""
    body = []
    for row in rows:
        cells = "".join(
            f"<td{' class=' + chr(34) + 'text' + chr(34) if place in text else ''}>{escape(cell)}</td>"
            for place, cell in enumerate(row)
        )
        body.append(f"<tr>{cells}</tr>")
    return (
        f'<div class="wide" tabindex="0"><table><thead>{_head(header)}</thead><tbody>\n'
        + "\n".join(body)
        + "\n</tbody></table></div>"
    )


def _claims(report: Report) -> str:
    if not report.verdicts:
        return ""
    rule = f'<p class="soft">{escape(words.claims_rule())}</p>'
    return "\n".join(
        ['<h2 id="claims">What the paper claims, and what is seen here</h2>', rule, *map(_claim, report.verdicts)]
    )


def _claim(verdict: Verdict) -> str:
    claim = verdict.claim
    out = [
        f'<p><span class="verdict {CLASS.get(verdict.verdict, "open")}">{escape(verdict.verdict)}</span> '
        f"{escape(claim.text)} "
        f'<span class="soft">({escape(claim.source)})</span></p>',
        f'<p class="soft">{escape(words.metric(claim.metric))}: {escape(relation(claim))}. '
        f"{escape(verdict.sentence)}</p>",
    ]
    if verdict.leads:
        rows = [[str(at.lead), at.verdict, *words.at(claim, at)] for at in verdict.leads]
        table = _table(["lead", "verdict", "left", "right", words.estimate(claim)], rows, text=(1,))
        out.append(f"<details><summary>At each lead</summary>{table}</details>")
    return '<div class="claim">' + "\n".join(out) + "</div>"


def _figures(figures: Sequence[Path], film: Path | None) -> str:
    shown = [_figure(path) for path in _chosen(figures)]
    if film is not None:
        shown.append(_film(film))
    return '<h2 id="figures">Figures</h2>\n<div class="figures">' + "\n".join(shown) + "</div>" if shown else ""


def _chosen(figures: Sequence[Path]) -> list[Path]:
    """One file for each picture: of x.png and x.svg the drawing; the dark twins come with the light ones."""
    stems: dict[str, Path] = {}
    for path in figures:
        if not path.stem.endswith("-dark") and (path.stem not in stems or path.suffix == ".svg"):
            stems[path.stem] = path
    return list(stems.values())


def _figure(path: Path) -> str:
    dark = path.with_stem(path.stem + "-dark")
    name = words.caption(path)
    source = f'<source media="(prefers-color-scheme: dark)" srcset="{embed(dark)}">' if dark.exists() else ""
    caption = f"<figcaption>{escape(name)}</figcaption>"
    return f'<figure><picture>{source}<img src="{embed(path)}" alt="{escape(name)}"></picture>{caption}</figure>'


def _film(path: Path) -> str:
    name = words.caption(path)
    tag = "<video controls loop muted playsinline" if path.suffix == ".mp4" else f'<img alt="{escape(name)}"'
    end = "></video>" if path.suffix == ".mp4" else ">"
    return f'<figure>{tag} src="{embed(path)}"{end}<figcaption>{escape(name)}</figcaption></figure>'


def _anchor(report: Report, row: str) -> str:
    return f"made-by-{list(report.lines).index(row)}"


def _traces(report: Report) -> str:
    """How to trace a number: each row's name in the tables above leads to its line here."""
    out = [
        '<h2 id="trace">How to trace a number</h2>',
        f"<p>{escape(words.tracing(report))}</p>",
        f"<pre>{escape(report.command)}</pre>",
    ]
    pairs = words.tracked(report)
    if pairs:
        out.append(
            "<p>" + "<br>".join(f"{escape(name)}: <code>{escape(value)}</code>" for name, value in pairs) + "</p>"
        )
    rows, seen = [], set()
    for row, *rest in words.traces(report):
        anchor = "" if row in seen else f' id="{_anchor(report, row)}"'
        seen.add(row)
        cells = "".join(f'<td class="text">{f"<code>{escape(c)}</code>" if c else "–"}</td>' for c in rest)
        rows.append(f'<tr{anchor}><th scope="row">{escape(row)}</th>{cells}</tr>')
    table = f"<table><thead>{_head(words.TRACE_HEADER)}</thead><tbody>\n" + "\n".join(rows) + "\n</tbody></table>"
    return "\n".join([*out, f'<div class="wide" tabindex="0">{table}</div>'])
