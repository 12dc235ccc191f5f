"""The paper's tables of settings (4 to 7), side by side with the values that our code uses.

    settings_table("4", {"Head Dim": 128, "EMA decay": 0.9999, ...}, Path("out/table4"), command="python experiments/table4.py")

The paper's values come from `paper.yaml` by the setting's verbatim name; each of them must have one of ours. The
settings that the paper does not state are below.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from reports.model.published import paper
from reports.writers import latex, markdown
from reports.writers.html_parts import fill
from reports.writers.json_record import TABLE, with_checksum
from rollbench.errors import UserError, did_you_mean

SAME, DIFFERS, UNSTATED = "as printed", "different", "not in the paper"
HEADER = ("setting", "ours", "the paper", "agreement", "note")
STYLES = {SAME: "shows", DIFFERS: "open", UNSTATED: "absent"}


@dataclass(frozen=True)
class Pair:
    """A setting with the value of our code and the paper's."""

    setting: str
    ours: str
    paper: str  # as printed, "" where the paper states none
    agreement: str  # SAME, DIFFERS or UNSTATED
    note: str


@dataclass(frozen=True)
class Sheet:
    """Everything that is printed."""

    table: str  # its number in the paper
    source: str  # the paper with its version
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
        counts = Counter(pair.agreement for pair in self.pairs)
        return ", ".join(f"{counts[kind]} {kind}" for kind in (SAME, DIFFERS, UNSTATED) if counts[kind])


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
    paper.yaml names are added. caption: to what our settings belong.

    Raises UserError for a setting of the paper that has no value of ours, and for a note on an unknown setting.
    """
    first = paper().of(table)[0]
    pairs = tuple(_pairs(table, ours, notes or {}))
    sheet = Sheet(table, first.paper, paper().titles[table], caption, first.protocol, command, pairs)
    written = {
        "table.md": _markdown(sheet),
        "table.tex": _latex(sheet),
        "table.html": _page(sheet),
    }
    files = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in written.items()}
    written[TABLE] = with_checksum(_record(sheet) | {"files": files})
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
        value, published = _spelled(ours[setting]), theirs.get(setting)
        printed = _spelled(published.value) if published else ""
        agreement = UNSTATED if published is None else SAME if value == printed else DIFFERS
        oddity = f"The paper: {published.note}" if published and published.note else ""
        yield Pair(setting, value, printed, agreement, " ".join(filter(None, (notes.get(setting, ""), oddity))))


def _spelled(value: object) -> str:
    """A value as it is printed, a whole number with all its digits."""
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_spelled, value)) + "]"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _record(sheet: Sheet) -> dict[str, object]:
    """The fields that the index reads of every table, and the rows."""
    head = {"table": f"table{sheet.table}", "published": sheet.table, "settings_of": sheet.source, "title": sheet.title}
    texts = {"headline": [f"Settings: {sheet.headline}."], "scale_text": sheet.caption, "command": sheet.command}
    return head | texts | {"protocol": sheet.protocol, "rows": [asdict(pair) for pair in sheet.pairs]}


def _markdown(sheet: Sheet) -> str:
    escape = markdown.escape
    rows = [map(escape, (pair.setting, pair.ours, pair.paper, pair.agreement, pair.note)) for pair in sheet.pairs]
    parts = [f"# {escape(sheet.title)}", escape(sheet.origin), escape(sheet.caption), f"**{escape(sheet.headline)}**"]
    parts += [
        markdown.table(HEADER, rows, align="---"),
        escape(f"The paper: {sheet.protocol}"),
        f"```\n{sheet.command}\n```",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _latex(sheet: Sheet) -> str:
    rows = [[latex.escape(t) for t in (p.setting, p.ours, p.paper, p.agreement, p.note)] for p in sheet.pairs]
    widths = [rf">{{\raggedright\arraybackslash}}p{{{width}\linewidth}}" for width in (0.15, 0.2, 0.2, 0.1, 0.26)]
    caption = f"{sheet.title}: ours and those of {sheet.origin}. {sheet.caption}"
    made = latex.table(f"table{sheet.table}", caption, HEADER, rows, columns="".join(widths))
    return (
        rf"% \usepackage{{array,booktabs}} in the preamble. Made by: {latex.comment(sheet.command)}" + f"\n\n{made}\n"
    )


def _page(sheet: Sheet) -> str:
    return fill("settings.html", sheet.title, sheet=sheet, columns=HEADER, styles=STYLES)
