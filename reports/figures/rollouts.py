"""Pictures of rollouts: frames of all methods as a grid, and all methods side by side as an animation (colours: `panels`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import matplotlib
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont

from reports.figures.metadata import exif, of_setting
from reports.figures.panels import Clips, Panels, evenly, panels
from reports.figures.theme import DARK, LIGHT, Theme, save, themed
from rollbench.errors import UserError

PANEL, MARGIN, HEAD = 168, 8, 22  # pixels: a panel of the animation, the space around it, its name
SIDE, GAP, LEFT, RIGHT, TOP = 1.2, 0.06, 1.5, 0.8, 0.3  # inches: a panel of the picture, and the space around it
GROUND, INK, FRAME = (
    "#1b1f24",
    "#e7e9ec",
    "#f0a030",  # border of a given frame
)  # an animation is dark on any page
STRIP = 12  # frames of a strip
FONT = str(Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf"))  # the figures' font: it has Greek letters


def rollout_picture(
    clips: Clips,
    leads: Sequence[int],
    out: Path,
    *,
    kind: str = "vorticity",
    frame_seconds: float | None = None,
    setting: str = "",
    name: str = "rollouts",
) -> list[Path]:
    """A grid: a row for each clip, a column for each lead (the paper's Figures 3 and 7).

    clips: by name, of a `kind` in panels.KINDS, the truth first; frame i is the lead i + 1. setting: for the description,
    if a table has several. Returns the files, in light and dark.
    """
    shown = panels(clips, kind, frame_seconds)
    frames = [lead - 1 for lead in leads if lead <= shown.length]
    if not frames:
        raise UserError(
            f"no lead lies within the clips of {[len(f) for f in clips.values()]} frames; use leads from 1 on"
        )
    about = f"{_what(shown)} of one test clip: the truth, and what each method generates from the same context."
    return _both(shown, frames, out, name, of_setting(about, setting))


def rollout_strip(
    clips: Clips,
    out: Path,
    *,
    context: int,
    kind: str = "video",
    frames: Sequence[int] | None = None,
    frame_seconds: float | None = None,
    setting: str = "",
    name: str = "strip",
) -> list[Path]:
    """A grid of whole clips, the context first and with a border (the paper's Figures 5 and 6).

    clips: by name, the truth first; the first `context` frames of each are given. frames: their indices from 0; by default
    the last two of the context and ten evenly spread ones after it.
    """
    shown = panels(clips, kind, frame_seconds, context)
    if frames is None:
        given = range(max(0, context - 2), context)
        frames = [*given, *(context + k for k in evenly(shown.length - context, STRIP - len(given)))]
    about = "Frames of one test clip: the truth, and what each method generates; the given frames have a border."
    chosen = [frame for frame in frames if 0 <= frame < shown.length]
    return _both(shown, chosen, out, name, of_setting(about, setting))


def _what(shown: Panels) -> str:
    return shown.kind.label.partition(",")[0].capitalize() or "Frames"


def _both(shown: Panels, frames: Sequence[int], out: Path, name: str, about: str) -> list[Path]:
    return [path for theme in (LIGHT, DARK) for path in _grid(shown, frames, out, name, theme, about)]


def _grid(shown: Panels, frames: Sequence[int], out: Path, name: str, theme: Theme, about: str) -> list[Path]:
    with themed(theme):
        right = RIGHT if shown.kind.colors else GAP
        width, height = (n * SIDE + (n - 1) * GAP for n in (len(frames), len(shown.clips)))
        figure = Figure(figsize=(LEFT + width + right, TOP + height + GAP))
        margins = {"left": LEFT / figure.get_figwidth(), "right": 1 - right / figure.get_figwidth()}
        margins |= {"bottom": GAP / figure.get_figheight(), "top": 1 - TOP / figure.get_figheight()}
        margins |= {"wspace": GAP / SIDE, "hspace": GAP / SIDE}
        grid = figure.subplots(len(shown.clips), len(frames), squeeze=False, gridspec_kw=margins)
        for line, label in zip(grid, shown.clips, strict=True):
            for axes, frame in zip(line, frames, strict=True):
                axes.imshow(shown.image(label, frame), interpolation="none")
                axes.set(xticks=[], yticks=[])
                axes.grid(visible=False)
                axes.spines[:].set(visible=frame < shown.context, color=FRAME, linewidth=3)
            line[0].set_ylabel(_lines(label), rotation=0, ha="right", va="center", fontsize=9, labelpad=6)
        for axes, frame in zip(grid[0], frames, strict=True):
            axes.set_title(shown.title(frame), fontsize=9)
        if shown.kind.colors:
            _scale(figure, shown, margins["right"])
        return save(figure, out, name, theme, about)


def _scale(figure: Figure, shown: Panels, right: float) -> None:
    """The colour scale beside the panels."""
    inch = 1 / figure.get_figwidth()
    colors = ScalarMappable(Normalize(-shown.limit, shown.limit), shown.kind.colors)
    bar = figure.colorbar(colors, cax=figure.add_axes((right + 0.12 * inch, 0.2, 0.12 * inch, 0.6)))
    bar.set_label(shown.kind.label, fontsize=8.5)
    bar.ax.tick_params(labelsize=8)
    bar.outline.set_visible(False)


def rollout_animation(
    clips: Clips,
    path: Path,
    *,
    kind: str = "vorticity",
    context: int = 0,
    frame_seconds: float | None = None,
    setting: str = "",
    frame_milliseconds: int = 160,
) -> Path:
    """All clips side by side as an animated WebP, each with its name above and the lead below.

    clips: by name, of a `kind` in panels.KINDS, the truth first; the shortest sets the length. The first `context` frames
    of each are given and have a border. The animation loops.
    """
    shown = panels(clips, kind, frame_seconds, context)
    frames = [_frame(shown, index) for index in range(shown.length)]
    path.parent.mkdir(parents=True, exist_ok=True)
    about = of_setting(
        f"{_what(shown)} of one test clip as an animation, the truth and all methods side by side.", setting
    )
    frames[0].save(path, format="WEBP", save_all=True, append_images=frames[1:], duration=frame_milliseconds, loop=0,
                   quality=82, method=4, exif=exif(about))  # fmt: skip
    return path


def _frame(shown: Panels, index: int) -> Image.Image:
    """One image of the animation: the panels, their names, the lead."""
    count = len(shown.clips)
    columns = count if count <= 4 else min((4, 3), key=lambda n: -count % n)  # the fewest empty panels
    lines = math.ceil(count / columns)
    size = (columns * (PANEL + MARGIN) + MARGIN, lines * (PANEL + HEAD + MARGIN) + MARGIN + HEAD)
    image = Image.new("RGB", size, GROUND)
    draw = ImageDraw.Draw(image)
    for number, label in enumerate(shown.clips):
        left = MARGIN + (number % columns) * (PANEL + MARGIN)
        top = MARGIN + (number // columns) * (PANEL + HEAD + MARGIN)
        _write(draw, label, left + PANEL / 2, top + HEAD / 2 - 1)
        image.paste(_panel(shown, label, index), (left, top + HEAD))
        if index < shown.context:
            draw.rectangle((left, top + HEAD, left + PANEL - 1, top + HEAD + PANEL - 1), outline=FRAME, width=4)
    title = shown.title(index)
    _write(draw, title if index < shown.context else f"lead {title}", size[0] / 2, size[1] - HEAD / 2 - MARGIN / 2)
    return image


def _panel(shown: Panels, label: str, index: int) -> Image.Image:
    """A frame enlarged: a field without interpolation, a video with it."""
    smooth = Image.Resampling.NEAREST if shown.kind.colors else Image.Resampling.BICUBIC
    return Image.fromarray(shown.image(label, index)).resize((PANEL, PANEL), smooth)


def _write(draw: ImageDraw.ImageDraw, text: str, x: float, y: float) -> None:
    """Text centred at (x, y), smaller if it does not fit its panel."""
    for size in (13, 12, 11, 10, 9, 8, 7):
        font = ImageFont.truetype(FONT, size)
        if draw.textlength(text, font=font) <= PANEL:
            break
    draw.text((x, y), text, fill=INK, font=font, anchor="mm")


def _lines(label: str) -> str:
    """A name in lines of about 16 characters, broken at spaces."""
    lines = [""]
    for word in label.split():
        if lines[-1] and len(lines[-1]) + len(word) > 15:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)
