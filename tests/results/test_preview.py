"""The picture of a preview: a real clip above a sample, in the data's colours."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from experiments import table3, table8
from rollbench.config.scale import at_scale, scale
from rollbench.config.table import Table
from rollbench.pipeline.graph import RowStages, build_pipeline
from rollbench.results.preview import save_preview


def first_row(table: Table) -> RowStages:
    scaled = at_scale(table, scale("smoke"))
    own = replace(scaled, settings=tuple(replace(s, data=s.stand_in or s.data) for s in scaled.settings))
    return build_pipeline(own, [scaled.rows[0].name]).rows[0]


def test_a_video_keeps_its_colours(tmp_path: Path) -> None:
    frames = np.zeros((2, 13, 3, 16, 16), np.uint8)
    frames[0, :, 0], frames[1, :, 2] = 255, 255  # red above blue
    path = save_preview(tmp_path / "previews", first_row(table3.TABLE), 65, frames)
    assert path == tmp_path / "previews" / "Standard-5-11-stride-8-seed-0-step-000065.png"
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB")).reshape(-1, 3)
    red, blue = ((pixels == colour).all(1).nonzero()[0] for colour in ((255, 0, 0), (0, 0, 255)))
    assert len(red) == len(blue) > 10 * 90 * 90 and red.max() < blue.min(), "ten frames each, the real clip above"


def test_a_flow_is_drawn_on_the_scale_of_the_real_clip(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).normal(size=(2, 6, 2, 16, 16)).astype(np.float32)
    row = first_row(table8.TABLE)
    paths = save_preview(tmp_path, row, 5, frames), save_preview(tmp_path, row, 6, 7 * frames + 3)
    first, second = (np.asarray(Image.open(path)) for path in paths)
    half = first.shape[0] // 2
    assert (
        np.abs(first[half:].astype(int) - second[half:]).mean() < np.abs(first[:half].astype(int) - first[half:]).mean()
    )
