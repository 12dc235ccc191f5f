r"""The report as LaTeX, ready to paste: booktabs tables, pure ASCII, no package but booktabs.

An interval stands as bounds beside its value, \(14.2\,_{13.1}^{15.4}\), so that seven leads fit a page in \footnotesize.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Container, Iterable, Sequence

from reports.model.report import Block, Report
from reports.writers import phrases
from reports.writers.grid import OURS, THEIRS, GridCell, Row, grid

SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", "“": "``", "”": "''", "‘": "`", "’": "'", '"': "''", "–": "--", "—": "---", "…": r"\ldots{}",
    "\N{NO-BREAK SPACE}": "~", "×": r"$\times$", "·": r"$\cdot$", "≈": r"$\approx$", "→": r"$\to$", "−": "$-$",
    "±": r"$\pm$", "≤": r"$\leq$", "≥": r"$\geq$", "°": r"$^{\circ}$", "β": r"$\beta$", "ν": r"$\nu$", "π": r"$\pi$",
    "√": r"$\surd$", "∞": r"$\infty$", "⁻": "$^{-}$", "\n": " ",
}  # fmt: skip
ACCENTS = {"\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0308": '"', "\u030c": "v", "\u0327": "c"}


def latex(report: Report) -> str:
    """All blocks as LaTeX tables, then the costs, with the command and the keys in comments."""
    head = [
        r"% \usepackage{booktabs} in the preamble; table* for two columns.",
        f"% Made by: {comment(report.command)}",
        *(f"% {comment(' '.join(row))}" for row in phrases.traces(report)),
    ]
    return "\n\n".join(["\n".join(head), *(_grid(report, block) for block in report.blocks), _costs(report)]) + "\n"


def escape(text: str) -> str:
    """Text as LaTeX that prints it, in ASCII; a character that has no rule becomes its code point (U+1F600)."""
    return "".join(SPECIAL.get(char) or _spell(char) for char in text)


def _spell(char: str) -> str:
    """A character that is not special: as it is, a letter with its accents, a superscript, or its code point."""
    if char.isascii():
        return char if char.isprintable() else ""
    decomposed = unicodedata.normalize("NFKD", char)
    base, marks = decomposed[0], decomposed[1:]
    if unicodedata.decomposition(char).startswith("<super>") and base.isascii():
        return f"$^{{{base}}}$"
    if not base.isascii() or not marks or not all(mark in ACCENTS for mark in marks):
        return f"U+{ord(char):04X}"
    for mark in marks:
        base = f"\\{ACCENTS[mark]}{{{base}}}"
    return base


def comment(text: str) -> str:
    """Text that stays within its comment."""
    return " ".join(text.split()).encode("ascii", "replace").decode()


def _grid(report: Report, block: Block) -> str:
    """One metric: ours, the paper's values in italics."""
    found = grid(block)
    header = [
        "",
        *(escape(f"{head} ({time})" if time else head) for head, time in found.heads),
        *map(escape, found.ends),
    ]
    rows = [[_name(row), *map(_place, row.places), *map(escape, row.ends)] for row in found.rows]
    rules = {number for number, row in enumerate(found.rows) if row.rule}
    title = f"{report.text.title}: {phrases.heading(report, block)}."
    caption = [title, report.text.caption, report.scale_text, block.setting.scale_text, block.text.reference]
    notes = " ".join(phrases.legend(report)) if block is report.blocks[0] else ""
    label = f"{report.text.name}-{report.blocks.index(block)}-{block.metric}"
    return table(label, " ".join(filter(None, caption)), header, rows, rules, notes)


def _name(row: Row) -> str:
    if row.role == OURS:
        return escape(row.name)
    return (r"\quad" if row.role == THEIRS else "") + rf"\textit{{{escape(row.name)}}}"


def _place(place: GridCell) -> str:
    if place.source == THEIRS:
        return rf"\textit{{{escape(place.text)}}}" + (rf" {{\scriptsize {place.verdict}}}" if place.verdict else "")
    if not place.low:
        return escape(place.text)
    value, low, high = map(_number, (place.text, place.low, place.high))
    value = rf"\mathbf{{{value}}}" if place.best else value
    return rf"${value}\,_{{{low}}}^{{{high}}}$"


def _number(text: str) -> str:
    """A numeral inside mathematics: 6·10⁴ as a product."""
    digits, _, exponent = text.partition("·10")
    power = unicodedata.normalize("NFKC", exponent).replace("\N{MINUS SIGN}", "-")
    return rf"{digits}\cdot10^{{{power}}}" if exponent else digits


def _costs(report: Report) -> str:
    rows = [[escape(cell) for cell in row] for row in phrases.costs(report)]
    caption = f"{report.text.title}: cost, sums over seeds. {report.scale_text}"
    return table(f"{report.text.name}-cost", caption, [escape(name) for name in phrases.COST_HEADER], rows)


def table(
    label: str,
    caption: str,
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    rules: Container[int] = (),
    notes: str = "",
    columns: str = "",
) -> str:
    """One table; a rule stands before the rows numbered in `rules`, the notes below. The texts are LaTeX but for label,
    caption and notes.
    """
    lines = [
        r"\begin{table}",
        r"\centering\footnotesize\setlength{\tabcolsep}{3pt}\renewcommand{\arraystretch}{1.15}",
        rf"\caption{{{escape(caption)}}}",
        rf"\label{{tab:{label}}}",
        rf"\begin{{tabular}}{{{columns or 'l' + 'r' * (len(header) - 1)}}}",
        r"\toprule",
        " & ".join(header) + r" \\",
        r"\midrule",
    ]
    for number, row in enumerate(rows):
        lines += [r"\midrule"] * (number in rules) + [" & ".join(row) + r" \\"]
    lines += [r"\bottomrule", r"\end{tabular}"]
    if notes:
        lines += [r"\par\smallskip\begin{minipage}{\linewidth}\scriptsize", escape(notes), r"\end{minipage}"]
    return "\n".join([*lines, r"\end{table}"])
