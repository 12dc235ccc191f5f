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
from reports.grid import OURS, THEIRS, Place, Row, grid
from reports.layout import Block, Report
from reports.style import STYLE

TYPES = {".png": "image/png", ".svg": "image/svg+xml", ".webp": "image/webp", ".gif": "image/gif", ".mp4": "video/mp4"}
CLASS = {SHOWS: "shows", FAILS: "fails", ABSENT: "absent"}


def page(report: Report, figures: Sequence[Path] = (), films: Sequence[Path] = ()) -> str:
    """The whole report as one HTML text."""
    text = report.text
    body = [
        _navigation(report, bool(figures or films)),
        f"<h1>{escape(text.title)}</h1>",
        f"<p>{escape(text.caption)}</p>",
        f'<p class="scale">{escape(report.scale_text)}</p>',
        *(_block(report, block) for block in report.blocks),
        f'<p class="soft">{escape(words.legend(report))}</p>',
        f'<p class="soft">{escape(words.absent(report))}</p>' if report.absent else "",
        _claims(report),
        _figures(figures, films),
        '<h2 id="cost">Cost</h2>',
        _table(words.COST_HEADER, words.costs(report)),
        '<h2 id="protocol">Protocol</h2>',
        *(
            f"<p>{f'<b>{escape(name)}</b>: ' if name else ''}{escape(said)}</p>"
            for name, said in words.protocols(report)
        ),
        *(f'<p class="soft">{escape(said)}</p>' for said in words.published_protocols(report)),
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
    parts = [(_part(report, block), words.heading(report, block)) for block in report.blocks]
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
    found = grid(block)
    head = "<th></th>" + "".join(f'<th scope="col">{escape(head)}{_small(time)}</th>' for head, time in found.heads)
    head += "".join(f'<th scope="col" class="end">{escape(name)}</th>' for name in found.ends)
    rows = "\n".join(_row(report, row) for row in found.rows)
    table = f'<table class="sticky"><thead><tr>{head}</tr></thead><tbody>\n{rows}\n</tbody></table>'
    about = " ".join(filter(None, (block.text.reference, block.setting.scale_text)))
    return (
        f'<h2 id="{_part(report, block)}">{escape(words.heading(report, block))}</h2>\n<p class="soft">{escape(about)}</p>\n'
        f'<div class="wide" tabindex="0">{table}</div>'
    )


def _part(report: Report, block: Block) -> str:
    """The anchor of a block: nothing in it comes from data."""
    return f"{block.metric}-{report.text.settings.index(block.setting)}" if report.text.several else block.metric


def _row(report: Report, row: Row) -> str:
    anchor = _anchor(report, row.key) if row.role == OURS else ""
    name = f'<a href="#{anchor}">{_name(row.name)}</a>' if anchor else _name(row.name)
    places = "".join(_place(place, anchor) for place in row.places)
    ends = "".join(f"<td>{escape(end)}</td>" for end in row.ends)
    style = f"{row.role} {row.kind}" + " first" * row.rule
    return f'<tr class="{style}"><th scope="row">{name}</th>{places}{ends}</tr>'


def _place(place: Place, anchor: str) -> str:
    """A value, ours with a link to what made it, the paper's with its verdict."""
    if place.source == THEIRS:
        why = f' title="{escape(place.why)}"' if place.why else ""
        return f'<td class="theirs"{why}>{escape(place.text)}{_small(place.verdict)}</td>'
    if not place.low:
        return f"<td>{escape(place.text)}</td>"
    value = f"<b>{place.text}</b>" if place.best else place.text
    inside = f"{value}{_small(f'[{place.low}, {place.high}]')}"
    style = ' class="best"' if place.best else ""
    return f'<td{style} title="{place.exact}"><a class="number" href="#{anchor}">{inside}</a></td>'


def _small(text: str) -> str:
    return f'<span class="interval">{escape(text)}</span>' if text else ""


def _name(row: str) -> str:
    """A row's name, in which "(2-4)" does not break."""
    return re.sub(r"\(\d+-\d+\)", r'<span class="keep">\g<0></span>', escape(row))


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
        rows = [[words.lead(at.lead), at.verdict, *words.at(claim, at)] for at in verdict.leads]
        table = _table(["lead", "verdict", "left", "right", words.estimate(claim)], rows, text=(1,))
        out.append(f"<details><summary>At each lead</summary>{table}</details>")
    return '<div class="claim">' + "\n".join(out) + "</div>"


def _figures(figures: Sequence[Path], films: Sequence[Path]) -> str:
    shown = [*map(_figure, _chosen(figures)), *map(_film, films)]
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


def _anchor(report: Report, key: tuple[str, str]) -> str:
    return f"made-by-{list(report.lines).index(key)}"


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
    rows: list[str] = []
    seen: list[str] = []
    for row, *rest in words.traces(report):
        anchor = "" if row in seen else f' id="made-by-{len(seen)}"'
        seen += [row] * bool(anchor)
        cells = "".join(f'<td class="text">{f"<code>{escape(c)}</code>" if c else "–"}</td>' for c in rest)
        rows.append(f'<tr{anchor}><th scope="row">{escape(row)}</th>{cells}</tr>')
    table = f"<table><thead>{_head(words.TRACE_HEADER)}</thead><tbody>\n" + "\n".join(rows) + "\n</tbody></table>"
    return "\n".join([*out, f'<div class="wide" tabindex="0">{table}</div>'])
