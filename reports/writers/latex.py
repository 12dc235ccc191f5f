r"""The report as LaTeX, ready to paste: booktabs tables, pure ASCII, no package but booktabs.

An interval is printed as bounds beside its value, \(14.2\,_{13.1}^{15.4}\), so that seven leads fit a page in \footnotesize.
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
    """Text as one line of ASCII, which cannot end its comment."""
    return " ".join(text.split()).encode("ascii", "replace").decode()


def _grid(report: Report, block: Block) -> str:
    """One metric; the paper's values are in italics."""
    lines = grid(block)
    header = [
        "",
        *(escape(f"{name} ({time})" if time else name) for name, time in lines.headers),
        *map(escape, lines.ends),
    ]
    rows = [[_name(row), *map(_cell, row.cells), *map(escape, row.ends)] for row in lines.rows]
    rules = {number for number, row in enumerate(lines.rows) if row.rule}
    title = f"{report.table.title}: {phrases.heading(report, block)}."
    caption = [
        title,
        report.table.caption,
        report.scale_text,
        report.notes_of(block.setting).scale_text,
        block.text.reference,
    ]
    notes = " ".join(phrases.legend(report)) if block is report.blocks[0] else ""
    label = f"{report.table.name}-{report.blocks.index(block)}-{block.metric}"
    return table(label, " ".join(filter(None, caption)), header, rows, rules, notes)


def _name(row: Row) -> str:
    if row.role == OURS:
        return escape(row.name)
    return (r"\quad" if row.role == THEIRS else "") + rf"\textit{{{escape(row.name)}}}"


def _cell(cell: GridCell) -> str:
    if cell.source == THEIRS:
        return rf"\textit{{{escape(cell.text)}}}" + (rf" {{\scriptsize {cell.verdict}}}" if cell.verdict else "")
    if not cell.low:
        return escape(cell.text)
    value, low, high = map(_number, (cell.text, cell.low, cell.high))
    value = rf"\mathbf{{{value}}}" if cell.best else value
    return rf"${value}\,_{{{low}}}^{{{high}}}$"


def _number(text: str) -> str:
    """A numeral inside mathematics: 6·10⁴ as a product."""
    digits, _, exponent = text.partition("·10")
    power = unicodedata.normalize("NFKC", exponent).replace("\N{MINUS SIGN}", "-")
    return rf"{digits}\cdot10^{{{power}}}" if exponent else digits


def _costs(report: Report) -> str:
    rows = [[escape(cell) for cell in row] for row in phrases.costs(report)]
    caption = f"{report.table.title}: cost, sums over seeds. {report.scale_text}"
    return table(f"{report.table.name}-cost", caption, [escape(name) for name in phrases.COST_HEADER], rows)


def table(
    label: str,
    caption: str,
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    rules: Container[int] = (),
    notes: str = "",
    columns: str = "",
) -> str:
    """One table; a rule precedes the rows numbered in `rules`, the notes are below. Header and cells are LaTeX; caption and
    notes are plain text.
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
