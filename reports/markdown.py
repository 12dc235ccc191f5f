"""The report as Markdown (GitHub's dialect)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import quote

from reports import words
from reports.claims import relation
from reports.layout import Block, Line, Report
from reports.numerals import bounds, printed


def markdown(report: Report, pictures: Sequence[Path] = ()) -> str:
    """The whole report as one Markdown text; the pictures lie beside it."""
    text = report.text
    parts = [f"# {escape(text.title)}", escape(text.caption), f"**{escape(report.scale_text)}**"]
    for block in report.blocks:
        parts += [f"## {escape(block.text.label)}", escape(block.text.reference), _grid(report, block)]
    parts += [escape(words.legend(report))]
    if report.absent:
        parts += [escape(words.absent(report))]
    if report.verdicts:
        parts += ["## What the paper claims, and what is seen here", escape(words.claims_rule()), _claims(report)]
    parts += [f"![{escape(words.caption(path))}]({quote(path.name)})" for path in pictures]
    parts += ["## Cost", _table(words.COST_HEADER, [map(escape, row) for row in words.costs(report)])]
    parts += ["## Protocol", escape(report.protocol), *map(escape, words.published_protocols(report))]
    parts += [
        "## How to trace a number",
        escape(words.tracing(report)),
        f"```\n{report.command}\n```",
        _bullets(words.tracked(report)),
    ]
    parts += [_table(words.TRACE_HEADER, [map(_code, row) for row in words.traces(report)])]
    return "\n\n".join(part for part in parts if part) + "\n"


def escape(text: str) -> str:
    """Text in which Markdown and HTML see no markup."""
    text = re.sub(r"([\\`*_{}\[\]#|~])", r"\\\1", text)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\n", " ")


def _table(header: Sequence[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _grid(report: Report, block: Block) -> str:
    """Ours and, below each row, the paper's values."""
    header = ["", *(words.lead(report, lead) for lead in block.leads), *words.LINE_HEADER]
    rows: list[list[str]] = []
    for line in block.lines:
        name = escape(line.row) if line.kind == "method" else f"*{escape(line.row)}*"
        rows.append([name, *_cells(line), *words.line(line)])
        if any(line.published):
            theirs = [f"*{printed(p.value)}*" if p else "" for p in line.published]
            rows.append([f"*↳ {report.paper_label}*", *theirs, *[""] * len(words.LINE_HEADER)])
    return _table(header, rows)


def _cells(line: Line) -> list[str]:
    out = []
    for cell, best in zip(line.cells, line.best, strict=True):
        if cell is None:
            out.append("–")
            continue
        value, low, high = bounds(cell.value, cell.low, cell.high)
        out.append((f"**{value}**" if best else value) + rf" \[{low}, {high}\]")
    return out


def _claims(report: Report) -> str:
    out = []
    for verdict in report.verdicts:
        claim = verdict.claim
        out.append(f"- **{verdict.verdict}** · {escape(claim.text)} ({escape(claim.source)})  ")
        out.append(f"  {escape(words.metric(claim.metric))}: {escape(relation(claim))}. {escape(verdict.sentence)}")
        if verdict.leads:
            rows = [[str(at.lead), at.verdict, *map(escape, words.at(claim, at))] for at in verdict.leads]
            table = _table(["lead", "verdict", "left", "right", words.estimate(claim)], rows)
            out.append("\n" + "\n".join("  " + line for line in table.splitlines()) + "\n")
    return "\n".join(out)


def _code(text: str) -> str:
    """Text as code that stays within its marks and within a table's cell."""
    return "`" + text.replace("`", "'").replace("|", "\\|").replace("\n", " ") + "`" if text else ""


def _bullets(pairs: Iterable[tuple[str, str]]) -> str:
    return "\n".join(f"- {escape(name)}: {_code(value)}" for name, value in pairs)
