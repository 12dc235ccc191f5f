"""The style of figures: the colours of the page in light and dark, a palette safe for colour-blind readers, one line
style for each row.

Palette: Okabe and Ito, "Color universal design" (2008), without its yellow and black (too faint on white, invisible
on dark). Rows of one family ("Rolling Diffusion (2-2)", "… (2-4)") share a colour and differ in marker and dash.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
ON_DARK = ("#4AA8E8", "#F0803C", "#35C49B", "#DE94BD", "#8CD0F5", "#F2B93B")  # the same hues, lighter
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (6, 1.5, 1.5, 1.5)))


@dataclass(frozen=True)
class Theme:
    """The colours of a figure."""

    suffix: str  # of the file's name
    ground: str
    ink: str
    soft: str
    grid: str
    palette: tuple[str, ...]


LIGHT = Theme("", "#ffffff", "#1d2126", "#5d6670", "#e2e5e8", OKABE_ITO)
DARK = Theme("-dark", "#1b1f24", "#e7e9ec", "#a0a9b3", "#343a42", ON_DARK)


@dataclass(frozen=True)
class LineStyle:
    """The style of a row's curve."""

    color: int  # index in the palette
    marker: str
    dash: Any


def line_styles(rows: Sequence[str]) -> Mapping[str, LineStyle]:
    """A style for each row: its family's colour, its own marker and dash."""
    families: dict[str, list[str]] = {}
    for row in rows:
        families.setdefault(re.sub(r"\s*\([\d-]+\)$", "", row), []).append(row)
    styles = {}
    for family, members in enumerate(families.values()):
        for number, row in enumerate(members):
            color = family % len(OKABE_ITO)
            styles[row] = LineStyle(color, MARKERS[(family + number) % len(MARKERS)], DASHES[number % len(DASHES)])
    return styles


@contextmanager
def themed(theme: Theme) -> Iterator[None]:
    """Matplotlib in the theme's colours, without a display, and with bytes that depend only on the drawing."""
    settings: Any = {
        "figure.facecolor": theme.ground,
        "axes.facecolor": theme.ground,
        "savefig.facecolor": theme.ground,
        "text.color": theme.ink,
        "axes.labelcolor": theme.ink,
        "axes.edgecolor": theme.soft,
        "xtick.color": theme.soft,
        "ytick.color": theme.soft,
        "grid.color": theme.grid,
        "axes.grid": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "font.family": "DejaVu Sans",
        "font.size": 10,
        "legend.frameon": False,
        "svg.hashsalt": "rollbench",
        "svg.fonttype": "path",
    }
    with matplotlib.rc_context(settings):
        yield


def save(figure: Figure, out: Path, name: str, theme: Theme, about: str) -> list[Path]:
    """The figure as PNG and SVG with its description as metadata, and without a date."""
    out.mkdir(parents=True, exist_ok=True)
    paths = [out / f"{name}{theme.suffix}{kind}" for kind in (".png", ".svg")]
    for path in paths:
        metadata = {"Description": about} | ({"Date": None} if path.suffix == ".svg" else {})
        figure.savefig(path, dpi=160, bbox_inches="tight", pad_inches=0.12, metadata=metadata)
    return paths
