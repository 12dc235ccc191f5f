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

from reports import latex, markdown
from reports.document import document, head, navigation, wide
from reports.published import Paper, paper
from reports.record import TABLE, sealed
from rollbench.spec import BadInput, nearest

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


def settings_table(
    table: str,
    ours: Mapping[str, object],
    out: Path,
    *,
    command: str,
    notes: Mapping[str, str] | None = None,
    caption: str = "",
    source: Paper | None = None,
) -> Path:
    """Write table.md, table.tex, table.html and table.json of a table of settings; returns the path of the page.

    table: the paper's number. ours: setting → the value our code uses (a text, a number or a tuple), by the paper's
    verbatim name where it has one. notes: setting → why ours differs, or how the paper is read; the oddities that
    paper.yaml names are added. source: the published values, by default the paper's.

    Raises BadInput for a setting of the paper that has no value of ours, and for a note on an unknown setting.
    """
    published = source or paper()
    pairs = tuple(_pairs(published, table, ours, notes or {}))
    title = f"Table {table}. {published.titles[table]}"
    tally = {said: n for said in (SAME, DIFFERS, UNSTATED) if (n := [pair.said for pair in pairs].count(said))}
    headline = ", ".join(f"{n} {said}" for said, n in tally.items())
    protocol = published.of(table)[0].protocol
    content = {
        "table": f"table{table}", "settings_of": published.of(table)[0].paper, "published": table, "title": title,
        "headline": [f"Settings: {headline}."], "scale_text": caption, "command": command, "protocol": protocol,
        "rows": [asdict(pair) for pair in pairs],
    }  # fmt: skip
    written = {
        "table.md": _markdown(title, caption, headline, protocol, command, pairs),
        "table.tex": _latex(table, title, caption, command, pairs),
        "table.html": _page(title, caption, headline, protocol, command, pairs),
        TABLE: sealed(content),
    }
    out.mkdir(parents=True, exist_ok=True)
    for name, text in written.items():
        (out / name).write_text(text, encoding="utf-8", newline="\n")
    return out / "table.html"


def _pairs(published: Paper, table: str, ours: Mapping[str, object], notes: Mapping[str, str]) -> Iterable[Pair]:
    theirs = {p.setting: p for p in published.of(table)}
    for setting in theirs:
        if setting not in ours:
            raise BadInput(
                f"table {table}: no value of ours for the paper's setting {setting!r}; {nearest(setting, ours)}"
            )
    for setting in notes:
        if setting not in ours:
            raise BadInput(f"table {table}: a note on the unknown setting {setting!r}; {nearest(setting, ours)}")
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


def _markdown(title: str, caption: str, headline: str, protocol: str, command: str, pairs: Iterable[Pair]) -> str:
    rows = [map(markdown.escape, (pair.setting, pair.ours, pair.paper, pair.said, pair.note)) for pair in pairs]
    parts = [f"# {markdown.escape(title)}", markdown.escape(caption), f"**{markdown.escape(headline)}**",
             markdown.table(HEADER, rows, align="---"), markdown.escape(f"The paper: {protocol}"), f"```\n{command}\n```"]  # fmt: skip
    return "\n\n".join(part for part in parts if part) + "\n"


def _latex(table: str, title: str, caption: str, command: str, pairs: Iterable[Pair]) -> str:
    rows = [[latex.escape(t) for t in (pair.setting, pair.ours, pair.paper, pair.said, pair.note)] for pair in pairs]
    widths = [rf">{{\raggedright\arraybackslash}}p{{{width}\linewidth}}" for width in (0.15, 0.2, 0.2, 0.1, 0.26)]
    made = latex.table(f"table{table}", f"{title}. {caption}", HEADER, rows, columns="".join(widths))
    return rf"% \usepackage{{array,booktabs}} in the preamble. Made by: {latex.comment(command)}" + f"\n\n{made}\n"


def _page(title: str, caption: str, headline: str, protocol: str, command: str, pairs: Iterable[Pair]) -> str:
    rows = "\n".join(map(_row, pairs))
    body = [
        navigation(()),
        f"<h1>{escape(title)}</h1>",
        f'<p>{escape(caption)}</p><p class="scale">{escape(headline)}</p>',
        wide(f'<table class="sticky words"><thead>{head(HEADER)}</thead><tbody>\n{rows}\n</tbody></table>'),
        f'<p class="soft">The paper: {escape(protocol)}</p>',
        f"<pre>{escape(command)}</pre>",
    ]
    return document(title, "\n".join(body))


def _row(pair: Pair) -> str:
    said = f'<span class="verdict {CLASS[pair.said]}">{pair.said}</span>'
    return (
        f'<tr><th scope="row">{escape(pair.setting)}</th><td>{escape(pair.ours)}</td>'
        f'<td class="theirs">{escape(pair.paper)}</td><td>{said}</td><td class="note">{escape(pair.note)}</td></tr>'
    )
