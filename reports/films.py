"""Rollouts to look at: a picture of all methods at several leads, and a film of all side by side.

Vorticity is drawn on one symmetric scale for all (blue negative, red positive: matplotlib's "RdBu_r"), taken from the
truth, so that a method that loses its energy looks pale.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from reports.theme import DARK, LIGHT, Theme, save, themed
from rollbench.spec import BadInput

Vorticity = NDArray[np.floating[Any]]
COLORS = "RdBu_r"
PANEL, MARGIN, HEAD = 168, 8, 22  # pixels of a panel of the film, around it, and of its name
SIDE, GAP, LEFT, RIGHT, TOP = 1.2, 0.06, 1.5, 0.8, 0.3  # inches: a panel of the picture, and what is around
GROUND, INK = "#1b1f24", "#e7e9ec"  # the film is dark on any page, as films are


def rollout_picture(
    films: Mapping[str, Vorticity],
    leads: Sequence[int],
    out: Path,
    *,
    frame_seconds: float | None = None,
    name: str = "rollouts",
) -> list[Path]:
    """A grid: a line for each film, a column for each lead.

    films: name → vorticity [frames, y, x], the truth first; frame i is the lead i + 1. Returns the files, in light
    and dark.
    """
    limit = _limit(films)
    leads = [lead for lead in leads if all(lead <= len(film) for film in films.values())]
    if not leads:
        raise BadInput(
            f"no lead lies within the films of {[len(f) for f in films.values()]} frames; use leads from 1 on"
        )
    return [path for theme in (LIGHT, DARK) for path in _grid(films, leads, limit, out, name, theme, frame_seconds)]


def _grid(
    films: Mapping[str, Vorticity],
    leads: Sequence[int],
    limit: float,
    out: Path,
    name: str,
    theme: Theme,
    frame_seconds: float | None,
) -> list[Path]:
    with themed(theme):
        width, height = (n * SIDE + (n - 1) * GAP for n in (len(leads), len(films)))
        figure = Figure(figsize=(LEFT + width + RIGHT, TOP + height + GAP))
        place = {"left": LEFT / figure.get_figwidth(), "right": 1 - RIGHT / figure.get_figwidth()}
        place |= {"bottom": GAP / figure.get_figheight(), "top": 1 - TOP / figure.get_figheight()}
        place |= {"wspace": GAP / SIDE, "hspace": GAP / SIDE}
        grid = figure.subplots(len(films), len(leads), squeeze=False, gridspec_kw=place)
        for line, (label, film) in zip(grid, films.items(), strict=True):
            for axes, lead in zip(line, leads, strict=True):
                shown = axes.imshow(
                    film[lead - 1], cmap=COLORS, vmin=-limit, vmax=limit, interpolation="none", origin="lower"
                )
                axes.set(xticks=[], yticks=[])
                axes.grid(visible=False)
                axes.spines[:].set_visible(False)
            line[0].set_ylabel(_lines(label), rotation=0, ha="right", va="center", fontsize=9, labelpad=6)
        for axes, lead in zip(grid[0], leads, strict=True):
            axes.set_title(_lead(lead, frame_seconds), fontsize=9)
        side = figure.add_axes((place["right"] + 0.12 / figure.get_figwidth(), 0.2, 0.12 / figure.get_figwidth(), 0.6))
        bar = figure.colorbar(shown, cax=side)
        bar.set_label("vorticity, 1/s", fontsize=8.5)
        bar.ax.tick_params(labelsize=8)
        bar.outline.set_visible(False)
        return save(figure, out, name, theme)


def rollout_film(
    films: Mapping[str, Vorticity],
    path: Path,
    *,
    frame_seconds: float | None = None,
    frame_milliseconds: int = 160,
) -> Path:
    """All films side by side as an animated WebP, each with its name, the lead below.

    films: name → vorticity [frames, y, x], the truth first; the shortest sets the length. Plays for ever.
    """
    limit = _limit(films)
    length = min(map(len, films.values()))
    frames = [_frame(films, place, limit, frame_seconds) for place in range(length)]
    path.parent.mkdir(parents=True, exist_ok=True)
    frames[0].save(path, format="WEBP", save_all=True, append_images=frames[1:], duration=frame_milliseconds, loop=0,
                   quality=82, method=4)  # fmt: skip
    return path


def _frame(films: Mapping[str, Vorticity], place: int, limit: float, frame_seconds: float | None) -> Image.Image:
    """One picture of the film: the panels, their names, the lead."""
    columns = len(films) if len(films) <= 4 else min((4, 3), key=lambda n: -len(films) % n)  # the fewest empty places
    lines = math.ceil(len(films) / columns)
    size = (columns * (PANEL + MARGIN) + MARGIN, lines * (PANEL + HEAD + MARGIN) + MARGIN + HEAD)
    image = Image.new("RGB", size, GROUND)
    draw = ImageDraw.Draw(image)
    for number, (label, film) in enumerate(films.items()):
        left = MARGIN + (number % columns) * (PANEL + MARGIN)
        top = MARGIN + (number // columns) * (PANEL + HEAD + MARGIN)
        _write(draw, label, left + PANEL / 2, top + HEAD / 2 - 1)
        image.paste(_panel(film[place], limit), (left, top + HEAD))
    _write(draw, f"lead {_lead(place + 1, frame_seconds)}", size[0] / 2, size[1] - HEAD / 2 - MARGIN / 2)
    return image


def _panel(field: Vorticity, limit: float) -> Image.Image:
    """A field in colours, y upwards, enlarged without inventing detail."""
    scaled = np.clip((field[::-1] + limit) / (2 * limit), 0, 1)
    colors = matplotlib.colormaps[COLORS](scaled, bytes=True)[..., :3]
    return Image.fromarray(np.ascontiguousarray(colors)).resize((PANEL, PANEL), Image.Resampling.NEAREST)


def _write(draw: ImageDraw.ImageDraw, text: str, x: float, y: float) -> None:
    """Text centred there, smaller if it would not fit its panel."""
    for size in (14, 13, 12, 11, 10, 9, 8):
        font = ImageFont.load_default(size)
        if draw.textlength(text, font=font) <= PANEL:
            break
    draw.text((x, y), text, fill=INK, font=font, anchor="mm")


def _limit(films: Mapping[str, Vorticity]) -> float:
    """The end of the colour scale: the 99.5 % quantile of the truth's absolute vorticity. Raises BadInput for a wrong
    shape.
    """
    for label, film in films.items():
        if film.ndim != 3 or not len(film) or not np.all(np.isfinite(film)):
            raise BadInput(f"the film of {label!r} has shape {film.shape}; it must be finite vorticity [frames, y, x]")
    if not films:
        raise BadInput("there is no film to show; give at least the truth")
    return float(np.quantile(np.abs(next(iter(films.values()))), 0.995)) or 1.0


def _lead(lead: int, frame_seconds: float | None) -> str:
    return f"@{lead}" if frame_seconds is None else f"@{lead} ({lead * frame_seconds:g} s)"


def _lines(label: str) -> str:
    """A name in lines of about 16 characters, broken at spaces."""
    lines = [""]
    for word in label.split():
        if lines[-1] and len(lines[-1]) + len(word) > 15:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)
