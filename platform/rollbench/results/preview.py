"""The picture of a preview: a real clip above a sample of the same context, while a model is being trained."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from reports.figures.contact_sheet import Strip, contact_sheet, field_strip
from rollbench.pipeline.frames import is_video
from rollbench.pipeline.graph import RowStages


def save_preview(folder: Path, row: RowStages, step: int, frames: np.ndarray) -> Path:
    """Save frames [2, t, c, y, x] in the data's units, a real clip and a sample, as a PNG in `folder`; returns its path. Of a flow the
    first channel is drawn, both strips on the colour scale of the real clip."""
    title = f"{row.row.name}, seed {row.seed}"
    names = "real", f"{title}, step {step}"
    if is_video(row.model.data):
        strips = [Strip(name, clip.transpose(0, 2, 3, 1)) for name, clip in zip(names, frames, strict=True)]
    else:
        mean, std = float(frames[0, :, 0].mean()), float(frames[0, :, 0].std())
        strips = [field_strip(name, clip[:, 0], mean, std) for name, clip in zip(names, frames, strict=True)]
    path = folder / f"{re.sub(r'[^0-9A-Za-zβ.-]+', '-', title)}-step-{step:06d}.png"
    folder.mkdir(parents=True, exist_ok=True)
    contact_sheet(strips).save(path)
    return path
