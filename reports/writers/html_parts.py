"""What every page is made of: a document with its style inside, plain tables, pictures as data. A page loads nothing.

Everything that comes from data is escaped. A figure `x.svg` with a twin `x-dark.svg` shows the one that suits the reader.
"""

from __future__ import annotations

import base64
from collections.abc import Container, Iterable, Sequence
from html import escape
from pathlib import Path

from reports.figures.metadata import caption
from reports.writers.css import STYLE

TYPES = {".png": "image/png", ".svg": "image/svg+xml", ".webp": "image/webp", ".gif": "image/gif", ".mp4": "video/mp4"}


def document(title: str, body: str) -> str:
    """A page around a body, with its style inside."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f'<link rel="icon" href="data:,">\n<title>{escape(title)}</title>\n<style>\n{STYLE}</style>\n'
        f"</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def navigation(parts: Iterable[tuple[str, str]]) -> str:
    """Links to the parts of a page, (anchor, words), and to the index."""
    links = "".join(f'<a href="#{anchor}">{escape(label)}</a>' for anchor, label in parts)
    return f'<nav><a href="../index.html">All tables</a>{links}</nav>'


def wide(table: str) -> str:
    """A table that scrolls sideways where the screen is narrow, by keys too."""
    return f'<div class="wide" tabindex="0">{table}</div>'


def head(names: Iterable[str]) -> str:
    return "<tr>" + "".join(f'<th scope="col">{escape(name)}</th>' for name in names) + "</tr>"


def plain_table(header: Sequence[str], rows: Iterable[Sequence[str]], text: Container[int] = ()) -> str:
    """A table of words and numbers; the columns numbered in `text` hold words."""
    body = []
    for first, *rest in rows:
        cells = "".join(
            f'<td class="text">{escape(cell)}</td>' if place in text else f"<td>{escape(cell)}</td>"
            for place, cell in enumerate(rest, start=1)
        )
        body.append(f'<tr><th scope="row">{escape(first)}</th>{cells}</tr>')
    rows_ = "\n".join(body)
    return wide(f'<table class="sticky"><thead>{head(header)}</thead><tbody>\n{rows_}\n</tbody></table>')


def embed(path: Path) -> str:
    """A file as a data URI. Raises ValueError for a type that no browser shows."""
    if path.suffix not in TYPES:
        raise ValueError(f"{path.name} cannot be shown in a page; use one of {', '.join(TYPES)}")
    return f"data:{TYPES[path.suffix]};base64,{base64.b64encode(path.read_bytes()).decode()}"


def pictures(figures: Sequence[Path], films: Sequence[Path]) -> str:
    """Figures side by side where they are narrow, then films."""
    shown = [*map(_figure, _chosen(figures)), *map(_film, films)]
    return '<div class="figures">' + "\n".join(shown) + "</div>" if shown else ""


def _chosen(figures: Sequence[Path]) -> list[Path]:
    """One file for each picture: of x.png and x.svg the drawing; the dark twins come with the light ones."""
    stems: dict[str, Path] = {}
    for path in figures:
        if not path.stem.endswith("-dark") and (path.stem not in stems or path.suffix == ".svg"):
            stems[path.stem] = path
    return list(stems.values())


def _figure(path: Path) -> str:
    dark = path.with_stem(path.stem + "-dark")
    name = caption(path)
    source = f'<source media="(prefers-color-scheme: dark)" srcset="{embed(dark)}">' if dark.exists() else ""
    below = f"<figcaption>{escape(name)}</figcaption>"
    style = "" if "_over" in path.stem else ' class="broad"'
    return f'<figure{style}><picture>{source}<img src="{embed(path)}" alt="{escape(name)}"></picture>{below}</figure>'


def _film(path: Path) -> str:
    name = caption(path)
    tag = "<video controls loop muted playsinline" if path.suffix == ".mp4" else f'<img alt="{escape(name)}"'
    end = "></video>" if path.suffix == ".mp4" else ">"
    return f'<figure class="broad film">{tag} src="{embed(path)}"{end}<figcaption>{escape(name)}</figcaption></figure>'
