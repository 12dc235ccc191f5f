"""A contact sheet: a few clips of a data set as strips of frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from reports.figures.panels import evenly
from reports.figures.rollouts import FONT, GROUND, INK

PANEL, GAP, HEAD, MARGIN = 96, 3, 20, 8  # pixels: of a frame, between frames, of a strip's name, around
COLORS = "RdBu_r"  # of a field: blue below its mean, red above


@dataclass(frozen=True)
class Strip:
    """A clip as colours."""

    name: str
    frames: NDArray[np.uint8]  # [t, y, x, 3]


def field_strip(name: str, frames: NDArray[np.floating], mean: float, std: float) -> Strip:
    """A channel [t, y, x] of a field in colours, from three standard deviations below its mean to three above."""
    scaled = np.clip((frames - mean) / (6 * (std or 1.0)) + 0.5, 0, 1)
    return Strip(name, matplotlib.colormaps[COLORS](scaled, bytes=True)[..., :3])


def contact_sheet(strips: Sequence[Strip], columns: int = 10) -> Image.Image:
    """The strips below each other, each with at most `columns` evenly spread frames."""
    count = max(min(columns, len(strip.frames)) for strip in strips)
    width = 2 * MARGIN + count * (PANEL + GAP) - GAP
    sheet = Image.new("RGB", (width, 2 * MARGIN + len(strips) * (HEAD + PANEL + GAP)), GROUND)
    draw, font = ImageDraw.Draw(sheet), ImageFont.truetype(FONT, 12)
    for row, strip in enumerate(strips):
        top = MARGIN + row * (HEAD + PANEL + GAP)
        frames = evenly(len(strip.frames), columns)
        title = f"{strip.name}   frames {frames[0]} to {frames[-1]}"
        draw.text((MARGIN, top + HEAD / 2), title, fill=INK, font=font, anchor="lm")
        for column, frame in enumerate(frames):
            panel = Image.fromarray(strip.frames[frame]).resize((PANEL, PANEL), Image.Resampling.NEAREST)
            sheet.paste(panel, (MARGIN + column * (PANEL + GAP), top + HEAD))
    return sheet
