r"""The report as LaTeX, ready to paste: booktabs tables, pure ASCII, no package but booktabs.

An interval stands as bounds beside its value, \(14.2\,_{13.1}^{15.4}\), so that seven leads fit a page in
\footnotesize.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

from reports import words
from reports.layout import Block, Line, Report
from reports.numerals import bounds, printed

SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", "“": "``", "”": "''", "‘": "`", "’": "'", '"': "''", "–": "--", "—": "---", "…": r"\ldots{}",
    "\N{NO-BREAK SPACE}": "~", "×": r"$\times$", "·": r"$\cdot$", "≈": r"$\approx$", "→": r"$\to$", "−": "$-$",
    "±": r"$\pm$", "≤": r"$\leq$", "≥": r"$\geq$", "↳": r"$\hookrightarrow$", "²": r"$^{2}$", "³": r"$^{3}$",
    "°": r"$^{\circ}$", "β": r"$\beta$", "ν": r"$\nu$", "π": r"$\pi$", "√": r"$\surd$", "∞": r"$\infty$", "\n": " ",
}  # fmt: skip


def latex(report: Report) -> str:
    """All blocks as LaTeX tables, then the costs, with the command and the keys in comments."""
    head = [
        r"% \usepackage{booktabs} in the preamble; table* for two columns.",
        f"% Made by: {_comment(report.command)}",
        *(f"% {_comment(' '.join(row))}" for row in words.traces(report)),
    ]
    return (
        "\n".join(head)
        + "\n\n"
        + "\n\n".join([*(_grid(report, block) for block in report.blocks), _costs(report)])
        + "\n"
    )


def escape(text: str) -> str:
    """Text as LaTeX that prints it, in ASCII: letters lose their accents, what has no rule becomes its code point
    (U+1F600).
    """
    return "".join(SPECIAL.get(c) or _plain(c) for c in text)


def _plain(char: str) -> str:
    if char.isascii():
        return char if char.isprintable() else ""
    folded = unicodedata.normalize("NFKD", char).encode("ascii", "ignore").decode()
    if unicodedata.decomposition(char).startswith("<super>"):
        return f"$^{{{folded or '-'}}}$"
    return "".join(SPECIAL.get(c, c) for c in folded) or f"U+{ord(char):04X}"


def _comment(text: str) -> str:
    """Text that stays within its comment."""
    return " ".join(text.split()).encode("ascii", "replace").decode()


def _grid(report: Report, block: Block) -> str:
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
    notes = [
        report.text.title + ",",
        block.text.label + ".",
        report.text.caption,
        report.scale_text,
        block.text.reference,
    ]
    caption = " ".join(escape(note) for note in [*notes, words.legend(report)] if note)
    return _table(f"{report.text.name}-{block.metric}", caption, header, rows, rules)


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
    return rf"{digits}\cdot10^{{{unicodedata.normalize('NFKC', exponent).replace('−', '-')}}}" if exponent else digits


def _costs(report: Report) -> str:
    rows = [[escape(cell) for cell in row] for row in words.costs(report)]
    caption = escape(f"Cost of {report.text.title}: sums over seeds. {report.scale_text}")
    return _table(f"{report.text.name}-cost", caption, [escape(name) for name in words.COST_HEADER], rows, set())


def _table(label: str, caption: str, header: Sequence[str], rows: Iterable[Sequence[str]], rules: set[int]) -> str:
    lines = [
        r"\begin{table}",
        r"\centering\footnotesize\setlength{\tabcolsep}{3pt}\renewcommand{\arraystretch}{1.15}",
        rf"\caption{{{caption}}}",
        rf"\label{{tab:{label}}}",
        rf"\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}",
        r"\toprule",
        " & ".join(header) + r" \\",
        r"\midrule",
    ]
    for number, row in enumerate(rows):
        lines += [r"\midrule"] * (number in rules) + [" & ".join(row) + r" \\"]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}"])
