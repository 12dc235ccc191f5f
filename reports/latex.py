r"""The report as LaTeX, ready to paste: booktabs tables, pure ASCII, no package but booktabs.

An interval stands as bounds beside its value, \(14.2\,_{13.1}^{15.4}\), so that seven leads fit a page in \footnotesize.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Container, Iterable, Sequence

from reports import words
from reports.layout import Block, Line, Report
from reports.numerals import bounds, printed

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
        f"% Made by: {_comment(report.command)}",
        *(f"% {_comment(' '.join(row))}" for row in words.traces(report)),
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


def _comment(text: str) -> str:
    """Text that stays within its comment."""
    return " ".join(text.split()).encode("ascii", "replace").decode()


def _grid(report: Report, block: Block) -> str:
    """One metric: ours and, below each row, the paper's values."""
    header = ["", *(escape(words.lead(report, lead)) for lead in block.leads), *map(escape, words.LINE_HEADER)]
    rows: list[list[str]] = []
    rules: set[int] = set()
    kind = block.lines[0].kind
    for line in block.lines:
        if line.kind != kind:
            rules.add(len(rows))
            kind = line.kind
        rows.append([escape(line.row), *_cells(line), *map(escape, words.line(line))])
        if any(line.published):
            theirs = [rf"\textit{{{escape(printed(p.value))}}}" if p else "" for p in line.published]
            rows.append([r"\quad\textit{" + escape(report.paper_label) + "}", *theirs, *[""] * len(words.LINE_HEADER)])
    caption = [
        f"{report.text.title}: {block.text.label}.",
        report.text.caption,
        report.scale_text,
        block.text.reference,
    ]
    notes = words.legend(report) if block is report.blocks[0] else ""
    return _table(f"{report.text.name}-{block.metric}", " ".join(filter(None, caption)), header, rows, rules, notes)


def _cells(line: Line) -> list[str]:
    out = []
    for cell, best in zip(line.cells, line.best, strict=True):
        if cell is None:
            out.append("--")
            continue
        value, low, high = map(_number, bounds(cell.value, cell.low, cell.high))
        value = rf"\mathbf{{{value}}}" if best else value
        out.append(rf"${value}\,_{{{low}}}^{{{high}}}$")
    return out


def _number(text: str) -> str:
    """A numeral inside mathematics: 6·10⁴ as a product."""
    digits, _, exponent = text.partition("·10")
    power = unicodedata.normalize("NFKC", exponent).replace("\N{MINUS SIGN}", "-")
    return rf"{digits}\cdot10^{{{power}}}" if exponent else digits


def _costs(report: Report) -> str:
    rows = [[escape(cell) for cell in row] for row in words.costs(report)]
    caption = f"{report.text.title}: cost, sums over seeds. {report.scale_text}"
    return _table(f"{report.text.name}-cost", caption, [escape(name) for name in words.COST_HEADER], rows)


def _table(
    label: str,
    caption: str,
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    rules: Container[int] = (),
    notes: str = "",
) -> str:
    """One table; a rule stands before the rows numbered in `rules`, the notes below."""
    lines = [
        r"\begin{table}",
        r"\centering\footnotesize\setlength{\tabcolsep}{3pt}\renewcommand{\arraystretch}{1.15}",
        rf"\caption{{{escape(caption)}}}",
        rf"\label{{tab:{label}}}",
        rf"\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}",
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
