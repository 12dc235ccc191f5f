"""Pictures and animations of rollouts: each frame in its place, on the truth's scale, the context framed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from reports.figures import rollouts as module
from reports.figures.panels import evenly, panels
from reports.figures.rollouts import FRAME, HEAD, MARGIN, PANEL, rollout_animation, rollout_picture, rollout_strip
from reports.figures.theme import Theme
from rollbench.errors import UserError


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The figures that were drawn, by their files' stems; no file is written."""
    figures: dict[str, Any] = {}

    def keep(figure: Any, out: Path, name: str, theme: Theme, about: str) -> list[Path]:
        figures[name + theme.suffix] = figure
        return [out / f"{name}{theme.suffix}.svg"]

    monkeypatch.setattr(module, "save", keep)
    yield figures


def counting(frames: int, size: int = 6) -> np.ndarray:
    """A video whose frame i is of the brightness 10 i, its first row white."""
    sample = np.zeros((frames, size, size, 3), np.uint8) + 10 * np.arange(frames, dtype=np.uint8)[:, None, None, None]
    sample[:, 0] = 255
    return sample


def test_an_animation_shows_each_field_in_its_place_with_y_upwards_and_the_truths_scale(tmp_path: Path) -> None:
    """Truth: +1 in the upper half, −1 in the lower; the method: 0 at first, then twice the truth (it saturates)."""
    half = np.ones((8, 8))
    half[:4] = -1.0  # row 0 is the lowest y
    samples = {"truth": np.stack([half, half]), "method": np.stack([0 * half, 2 * half])}
    image = Image.open(rollout_animation(samples, tmp_path / "animation.webp", frame_seconds=1.5))
    assert getattr(image, "n_frames", 1) == 2 and image.info["loop"] == 0
    upper, lower = MARGIN + HEAD + PANEL // 4, MARGIN + HEAD + 3 * PANEL // 4
    left, right = MARGIN + PANEL // 2, 2 * MARGIN + PANEL + PANEL // 2
    first = image.convert("RGB")
    red, blue, white = (np.array(first.getpixel(place)) for place in ((left, upper), (left, lower), (right, upper)))
    assert red[0] > red[2] + 50 and blue[2] > blue[0] + 50 and min(white) > 230
    image.seek(1)
    second = image.convert("RGB")
    np.testing.assert_allclose(np.array(second.getpixel((right, upper))), red, atol=12)


def test_a_strip_frames_the_context_and_counts_from_its_end(drawn: dict[str, Any], tmp_path: Path) -> None:
    rollout_strip({"truth": counting(24), "A": counting(24)}, tmp_path, context=5, frame_seconds=0.32)
    grid = drawn["strip"].axes
    assert len(grid) == 2 * 12
    shown = [int(np.asarray(axes.images[0].get_array())[1, 0, 0]) // 10 for axes in grid]
    assert shown[:12] == shown[12:] and shown[:3] == [3, 4, 5] and shown[11] == 23 and sorted(shown[:12]) == shown[:12]
    titles = [axes.get_title() for axes in grid[:12]]
    assert titles[:3] == ["given 4/5", "given 5/5", "@1 (0.32 s)"] and titles[-1] == "@19 (6.08 s)"
    framed = [axes.spines["left"].get_visible() for axes in grid]
    assert framed == ([True, True] + [False] * 10) * 2
    assert grid[0].spines["top"].get_edgecolor()[:3] == to_rgb(FRAME)


def test_a_videos_first_row_is_on_top_and_a_flows_lowest_y_is_below(drawn: dict[str, Any], tmp_path: Path) -> None:
    rollout_picture({"truth": counting(3)}, (1, 3), tmp_path, kind="video")
    top = np.asarray(drawn["rollouts"].axes[0].images[0].get_array())[0]
    assert (top == 255).all()
    field = np.zeros((1, 6, 6))
    field[:, 0] = 1.0
    for kind in ("vorticity", "velocity"):
        rollout_picture({"truth": field}, (1,), tmp_path, kind=kind, name=kind)
        seen = np.asarray(drawn[kind].axes[0].images[0].get_array()).astype(int)
        assert abs(seen[-1, 0, 0] - seen[-1, 0, 2]) > 50 and abs(seen[0, 0, 0] - seen[0, 0, 2]) < 5
    label = drawn["velocity"].axes[-1].get_ylabel()
    assert label == "horizontal velocity, m/s"


def test_a_sample_of_a_video_frames_its_context(tmp_path: Path) -> None:
    image = Image.open(rollout_animation({"truth": counting(9)}, tmp_path / "v.webp", kind="video", context=2))
    assert getattr(image, "n_frames", 1) == 9
    for place, framed in ((0, True), (1, True), (2, False)):
        image.seek(place)
        corner = np.array(image.convert("RGB").getpixel((MARGIN + 1, MARGIN + HEAD + PANEL // 2))) / 255
        assert (np.abs(corner - to_rgb(FRAME)).max() < 0.15) == framed


@pytest.mark.parametrize(("length", "most"), [(1, 5), (5, 5), (19, 10), (59, 10), (3, 10)])
def test_frames_are_spread_from_the_first_to_the_last(length: int, most: int) -> None:
    indices = list(evenly(length, most))
    assert (indices[0], indices[-1], len(indices)) == (0, length - 1, min(length, most))
    assert len({b - a for a, b in zip(indices, indices[1:], strict=False)}) <= 2


@pytest.mark.parametrize("shape", [(8, 8), (0, 8, 8), (2, 3, 8, 8)])
def test_a_sample_of_the_wrong_shape_is_named(shape: tuple[int, ...], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'method' has shape"):
        rollout_animation({"truth": np.ones((2, 8, 8)), "method": np.ones(shape)}, tmp_path / "animation.webp")


@pytest.mark.parametrize(
    ("sample", "kind", "message"),
    [
        (np.zeros((3, 8, 8)), "video", r"video uint8 \[frames, y, x, 3\]"),
        (np.zeros((3, 8, 8, 3)), "video", "video uint8"),
        (np.zeros((3, 8, 8)), "vortcity", "did you mean 'vorticity'"),
    ],
)
def test_a_sample_of_another_kind_is_named(sample: np.ndarray, kind: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        panels({"truth": sample}, kind)


def test_a_context_as_long_as_the_clip_leaves_nothing_to_see() -> None:
    with pytest.raises(UserError, match="context = 3: the clips have 3 frames"):
        panels({"truth": np.zeros((3, 8, 8))}, "vorticity", context=3)


def test_nothing_to_show_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no clips"):
        rollout_animation({}, tmp_path / "animation.webp")
    with pytest.raises(UserError, match="no lead lies within"):
        rollout_picture({"truth": np.ones((2, 8, 8))}, (4, 8), tmp_path)
    with pytest.raises(UserError, match="finite"):
        rollout_picture({"truth": np.full((2, 8, 8), np.nan)}, (1,), tmp_path)
