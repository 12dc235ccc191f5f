"""The report as one self-contained HTML page: style, figures and films are inside it, and it loads nothing.

It reads in light and dark (`prefers-color-scheme`) and on a phone. Each number of ours links to what made it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from html import escape
from pathlib import Path

from reports.model.claims import ABSENT, FAILS, SHOWS, ClaimVerdict, relation
from reports.model.report import Block, Report
from reports.model.verdict import FAILED, OPEN, REPRODUCED
from reports.writers import phrases
from reports.writers.grid import OURS, THEIRS, GridCell, Row, grid
from reports.writers.html_parts import document, head, navigation, pictures, plain_table, wide

CLASS = {SHOWS: "shows", FAILS: "fails", ABSENT: "absent"}
JUDGED = {REPRODUCED: "judged shows", FAILED: "judged fails", OPEN: "judged open"}


def page(report: Report, figures: Sequence[Path] = (), films: Sequence[Path] = ()) -> str:
    """The whole report as one HTML text."""
    text = report.text
    shown = pictures(figures, films)
    body = [
        _navigation(report, bool(shown)),
        f'<p class="soft">{escape(phrases.origin(report))}</p>' if phrases.origin(report) else "",
        f"<h1>{escape(text.title)}</h1>",
        f"<p>{escape(text.caption)}</p>",
        f'<p class="scale">{escape(report.scale_text)}</p>',
        *(f'<p class="headline">{escape(sentence)}</p>' for sentence in phrases.headline(report)),
        *(_section(report, number) for number in range(len(report.sections))),
        '<ul class="soft">' + "".join(f"<li>{escape(said)}</li>" for said in phrases.legend(report)) + "</ul>",
        _reasons(report),
        f'<p class="soft">{escape(phrases.absent(report))}</p>' if report.absent else "",
        _claims(report),
        f'<h2 id="figures">Figures</h2>\n{shown}' if shown else "",
        '<h2 id="cost">Cost</h2>',
        plain_table(phrases.COST_HEADER, phrases.costs(report)),
        '<h2 id="protocol">Protocol</h2>',
        *(f"<p>{_bold(name)}{escape(said)}</p>" for name, said in phrases.protocols(report)),
        *(f'<p class="soft">{escape(said)}</p>' for said in phrases.published_protocols(report)),
        _traces(report),
    ]
    return document(text.title, "\n".join(part for part in body if part))


def _navigation(report: Report, shown: bool) -> str:
    """Links to the parts of the page."""
    several = report.text.several
    parts = [(f"setting-{number}", setting.name) for number, (setting, _) in enumerate(report.sections) if several]
    parts += [(block.metric, block.text.label) for block in report.blocks if not several]
    parts += [("claims", "Claims")] * bool(report.verdicts) + [("figures", "Figures")] * shown
    return navigation([*parts, ("cost", "Cost"), ("protocol", "Protocol"), ("trace", "Trace a number")])


def _section(report: Report, number: int) -> str:
    """The blocks of a setting, under its name where there are several. No anchor comes from data."""
    setting, blocks = report.sections[number]
    about = f'<p class="soft">{escape(setting.scale_text)}</p>' if setting.scale_text else ""
    if not report.text.several:
        return about + "\n".join(_block(report, block, f'<h2 id="{block.metric}">') for block in blocks)
    tables = "\n".join(_block(report, block, f'<h3 id="{block.metric}-{number}">') for block in blocks)
    return f'<h2 id="setting-{number}">{escape(setting.name)}</h2>\n{about}\n{tables}'


def _block(report: Report, block: Block, heading: str) -> str:
    found = grid(block)
    names = "<th></th>" + "".join(f'<th scope="col">{escape(name)}{_small(time)}</th>' for name, time in found.heads)
    names += "".join(f'<th scope="col" class="end">{escape(name)}</th>' for name in found.ends)
    rows = "\n".join(_row(report, row) for row in found.rows)
    table = f'<table class="sticky"><thead><tr>{names}</tr></thead><tbody>\n{rows}\n</tbody></table>'
    title = f"{heading}{escape(block.text.label)}</{heading[1:3]}>"
    return f'{title}\n<p class="soft">{escape(block.text.reference)}</p>\n{wide(table)}'


def _row(report: Report, row: Row) -> str:
    anchor = _anchor(report, row.key) if row.role == OURS else ""
    name = f'<a href="#{anchor}">{_name(row.name)}</a>' if anchor else _name(row.name)
    places = "".join(_place(place, anchor) for place in row.places)
    ends = "".join(f"<td>{escape(end)}</td>" for end in row.ends)
    style = f"{row.role} {row.kind}" + " first" * row.rule
    return f'<tr class="{style}"><th scope="row">{name}</th>{places}{ends}</tr>'


def _place(place: GridCell, anchor: str) -> str:
    """A value, ours with a link to what made it, the paper's with its verdict."""
    if place.source == THEIRS:
        why = f' title="{escape(place.why)}"' if place.why else ""
        return f'<td class="theirs"{why}>{escape(place.text)}{_small(place.verdict, JUDGED.get(place.verdict, "judged"))}</td>'
    if not place.low:
        return f"<td>{escape(place.text)}</td>"
    value = f"<b>{place.text}</b>" if place.best else place.text
    inside = f"{value}{_small(f'[{place.low}, {place.high}]')}"
    style = ' class="best"' if place.best else ""
    return f'<td{style} title="{place.exact}"><a class="number" href="#{anchor}">{inside}</a></td>'


def _small(text: str, style: str = "") -> str:
    return f'<span class="{f"interval {style}".strip()}">{escape(text)}</span>' if text else ""


def _bold(text: str) -> str:
    return f"<b>{escape(text)}</b>: " if text else ""


def _name(row: str) -> str:
    """A row's name, in which "(2-4)" does not break."""
    return re.sub(r"\(\d+-\d+\)", r'<span class="keep">\g<0></span>', escape(row))


def _reasons(report: Report) -> str:
    found = phrases.reasons(report)
    table = plain_table(phrases.REASON_HEADER, found, text=(1, 2, 3))
    return f"<details><summary>Each verdict with its reason</summary>{table}</details>" if found else ""


def _claims(report: Report) -> str:
    if not report.verdicts:
        return ""
    rule = f'<p class="soft">{escape(phrases.claims_rule())}</p>'
    return "\n".join(
        ['<h2 id="claims">What the paper claims, and what is seen here</h2>', rule, *map(_claim, report.verdicts)]
    )


def _claim(verdict: ClaimVerdict) -> str:
    claim = verdict.claim
    out = [
        f'<p><span class="verdict {CLASS.get(verdict.verdict, "open")}">{escape(verdict.verdict)}</span> '
        f"{escape(claim.text)} "
        f'<span class="soft">({escape(claim.source)})</span></p>',
        f'<p class="soft">{escape(phrases.metric(claim.metric))}: {escape(relation(claim))}. '
        f"{escape(verdict.sentence)}</p>",
    ]
    if verdict.leads:
        rows = [[phrases.lead(at.lead), at.verdict, *phrases.at(at)] for at in verdict.leads]
        table = plain_table(["lead", "verdict", "left", "right", phrases.estimate(claim)], rows, text=(1,))
        out.append(f"<details><summary>At each lead</summary>{table}</details>")
    return '<div class="claim">' + "\n".join(out) + "</div>"


def _anchor(report: Report, key: tuple[str, str]) -> str:
    return f"made-by-{list(report.lines).index(key)}"


def _traces(report: Report) -> str:
    """How to trace a number: each number in the tables above leads to its row's lines here."""
    out = [
        '<h2 id="trace">How to trace a number</h2>',
        f"<p>{escape(phrases.tracing())}</p>",
        f"<pre>{escape(report.command)}</pre>",
    ]
    pairs = phrases.tracked(report)
    if pairs:
        out.append(
            "<p>" + "<br>".join(f"{escape(name)}: <code>{escape(value)}</code>" for name, value in pairs) + "</p>"
        )
    rows: list[str] = []
    seen: list[str] = []
    for row, *rest in phrases.traces(report):
        anchor = "" if row in seen else f' id="made-by-{len(seen)}"'
        seen += [row] * bool(anchor)
        cells = "".join(f'<td class="text">{f"<code>{escape(c)}</code>" if c else "–"}</td>' for c in rest)
        rows.append(f'<tr{anchor}><th scope="row">{escape(row)}</th>{cells}</tr>')
    body = "\n".join(rows)
    out.append(
        wide(f'<table class="sticky"><thead>{head(phrases.TRACE_HEADER)}</thead><tbody>\n{body}\n</tbody></table>')
    )
    if report.config is not None:
        config = escape(json.dumps(report.config, indent=1, ensure_ascii=False))
        out.append(f'<details id="config"><summary>The configuration</summary><pre>{config}</pre></details>')
    return "\n".join(out)
