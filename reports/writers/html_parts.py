"""Pages from the templates beside this file. A page is self-contained: style and pictures are inside, and it loads nothing.

The templates escape every value. A figure `x.svg` with a twin `x-dark.svg` shows the one that suits the reader's scheme.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from reports.figures.metadata import caption

TYPES = {".png": "image/png", ".svg": "image/svg+xml", ".webp": "image/webp", ".gif": "image/gif", ".mp4": "video/mp4"}
TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


@dataclass(frozen=True)
class Picture:
    """A picture as a page embeds it."""

    caption: str
    source: str  # data URI
    dark: str = ""  # data URI for dark pages
    style: str = ""  # CSS class
    video: bool = False


def fill(template: str, title: str, **values: Any) -> str:
    """The page that a file of `templates/` gives for these values."""
    return TEMPLATES.get_template(template).render(title=title, **values)


def pictures(figures: Sequence[Path], animations: Sequence[Path] = ()) -> list[Picture]:
    """The figures, then the animations, as a page shows them."""
    return [*map(_figure, _chosen(figures)), *map(_animation, animations)]


def embed(path: Path) -> str:
    """A file as a data URI. Raises ValueError for a type that no browser shows."""
    if path.suffix not in TYPES:
        raise ValueError(f"{path.name} cannot be shown in a page; use one of {', '.join(TYPES)}")
    return f"data:{TYPES[path.suffix]};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _chosen(figures: Sequence[Path]) -> list[Path]:
    """One file for each picture, the SVG if there is one; `_figure` adds the dark twins."""
    stems: dict[str, Path] = {}
    for path in figures:
        if not path.stem.endswith("-dark") and (path.stem not in stems or path.suffix == ".svg"):
            stems[path.stem] = path
    return list(stems.values())


def _figure(path: Path) -> Picture:
    dark = path.with_stem(path.stem + "-dark")
    style = "" if "_over" in path.stem else "broad"
    return Picture(caption(path), embed(path), embed(dark) if dark.exists() else "", style)


def _animation(path: Path) -> Picture:
    return Picture(caption(path), embed(path), style="broad rollout", video=path.suffix == ".mp4")
