"""The paper's tables of settings (4 to 7), side by side with the values that our code uses.

    settings_table("4", {"Head Dim": 128, "EMA decay": 0.9999, ...}, Path("out/table4"), command="python experiments/table4.py")

The paper's values come from `paper.yaml` by the setting's verbatim name; each of them must have one of ours. Ours that the
paper does not state stand below.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path

from reports.model.published import paper
from reports.writers import latex, markdown
from reports.writers.html_parts import document, head, navigation, wide
from reports.writers.json_record import TABLE, sealed
from rollbench.errors import UserError, did_you_mean

SAME, DIFFERS, UNSTATED = "as printed", "different", "not in the paper"
HEADER = ("setting", "ours", "the paper", "", "note")
CLASS = {SAME: "shows", DIFFERS: "open", UNSTATED: "absent"}


@dataclass(frozen=True)
class Pair:
    """A setting: the value our code uses, the paper's as printed ("" where it states none), and what to know of them."""

    setting: str
    ours: str
    paper: str
    said: str
    note: str


@dataclass(frozen=True)
class Sheet:
    """All that is printed. table: the paper's number. source: what was read."""

    table: str
    source: str
    title: str
    caption: str
    protocol: str
    command: str
    pairs: tuple[Pair, ...]

    @property
    def origin(self) -> str:
        return f"Table {self.table} of {self.source}"

    @property
    def headline(self) -> str:
        said = [pair.said for pair in self.pairs]
        return ", ".join(f"{said.count(kind)} {kind}" for kind in (SAME, DIFFERS, UNSTATED) if kind in said)


def settings_table(
    table: str,
    ours: Mapping[str, object],
    out: Path,
    *,
    command: str,
    notes: Mapping[str, str] | None = None,
    caption: str = "",
) -> Path:
    """Write table.md, table.tex, table.html and table.json of a table of settings; returns the path of the page.

    table: the paper's number. ours: setting → the value our code uses (a text, a number or a tuple), by the paper's
    verbatim name where it has one. notes: setting → why ours differs, or how the paper is read; the oddities that
    paper.yaml names are added. caption: what ours are the settings of.

    Raises BadInput for a setting of the paper that has no value of ours, and for a note on an unknown setting.
    """
    first = paper().of(table)[0]
    pairs = tuple(_pairs(table, ours, notes or {}))
    sheet = Sheet(table, first.paper, paper().titles[table], caption, first.protocol, command, pairs)
    written = {
        "table.md": _markdown(sheet),
        "table.tex": _latex(sheet),
        "table.html": _page(sheet),
        TABLE: sealed(_record(sheet)),
    }
    out.mkdir(parents=True, exist_ok=True)
    for name, text in written.items():
        (out / name).write_text(text, encoding="utf-8", newline="\n")
    return out / "table.html"


def _pairs(table: str, ours: Mapping[str, object], notes: Mapping[str, str]) -> Iterable[Pair]:
    theirs = {p.setting: p for p in paper().of(table)}
    for setting in theirs:
        if setting not in ours:
            raise UserError(
                f"table {table}: no value of ours for the paper's setting {setting!r}; {did_you_mean(setting, ours)}"
            )
    for setting in notes:
        if setting not in ours:
            raise UserError(f"table {table}: a note on the unknown setting {setting!r}; {did_you_mean(setting, ours)}")
    for setting in (*theirs, *(name for name in ours if name not in theirs)):
        mine, there = _spelled(ours[setting]), theirs.get(setting)
        said = UNSTATED if there is None else SAME if mine == _spelled(there.value) else DIFFERS
        words = filter(None, (notes.get(setting, ""), f"The paper: {there.note}" if there and there.note else ""))
        yield Pair(setting, mine, _spelled(there.value) if there else "", said, " ".join(words))


def _spelled(value: object) -> str:
    """A value as it is printed, a whole number with all its digits."""
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_spelled, value)) + "]"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _record(sheet: Sheet) -> dict[str, object]:
    """What the index reads of every table, and the rows."""
    head = {"table": f"table{sheet.table}", "published": sheet.table, "settings_of": sheet.source, "title": sheet.title}
    said = {"headline": [f"Settings: {sheet.headline}."], "scale_text": sheet.caption, "command": sheet.command}
    return head | said | {"protocol": sheet.protocol, "rows": [asdict(pair) for pair in sheet.pairs]}


def _markdown(sheet: Sheet) -> str:
    escape = markdown.escape
    rows = [map(escape, (pair.setting, pair.ours, pair.paper, pair.said, pair.note)) for pair in sheet.pairs]
    parts = [f"# {escape(sheet.title)}", escape(sheet.origin), escape(sheet.caption), f"**{escape(sheet.headline)}**"]
    parts += [
        markdown.table(HEADER, rows, align="---"),
        escape(f"The paper: {sheet.protocol}"),
        f"```\n{sheet.command}\n```",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _latex(sheet: Sheet) -> str:
    rows = [[latex.escape(t) for t in (p.setting, p.ours, p.paper, p.said, p.note)] for p in sheet.pairs]
    widths = [rf">{{\raggedright\arraybackslash}}p{{{width}\linewidth}}" for width in (0.15, 0.2, 0.2, 0.1, 0.26)]
    caption = f"{sheet.title}: ours and those of {sheet.origin}. {sheet.caption}"
    made = latex.table(f"table{sheet.table}", caption, HEADER, rows, columns="".join(widths))
    return (
        rf"% \usepackage{{array,booktabs}} in the preamble. Made by: {latex.comment(sheet.command)}" + f"\n\n{made}\n"
    )


def _page(sheet: Sheet) -> str:
    rows = "\n".join(map(_row, sheet.pairs))
    body = [
        navigation(()),
        f'<p class="soft">{escape(sheet.origin)}</p><h1>{escape(sheet.title)}</h1>',
        f'<p>{escape(sheet.caption)}</p><p class="scale">{escape(sheet.headline)}</p>',
        wide(f'<table class="sticky words"><thead>{head(HEADER)}</thead><tbody>\n{rows}\n</tbody></table>'),
        f'<p class="soft">The paper: {escape(sheet.protocol)}</p>',
        f"<pre>{escape(sheet.command)}</pre>",
    ]
    return document(sheet.title, "\n".join(body))


def _row(pair: Pair) -> str:
    said = f'<span class="verdict {CLASS[pair.said]}">{pair.said}</span>'
    return (
        f'<tr><th scope="row">{escape(pair.setting)}</th><td>{escape(pair.ours)}</td>'
        f'<td class="theirs">{escape(pair.paper)}</td><td>{said}</td><td class="note">{escape(pair.note)}</td></tr>'
    )
