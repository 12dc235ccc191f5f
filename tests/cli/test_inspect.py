"""`rollbench inspect`: what a stage holds, whether it is whole, and a picture of it."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from reports.figures.contact_sheet import PANEL, contact_sheet, field_strip
from rollbench.cli.main import main
from rollbench.datasets.files.fields import Fields
from rollbench.datasets.files.folder import Folder
from rollbench.engine.ingest import commit, write_shard
from rollbench.pipeline.corpora import CorpusStage
from rollbench.pipeline.graph import VERSIONS
from rollbench.store.artifact import Artifact, Store
from rollbench.store.lease import CLAIM
from tests.support.clips import blocks, enlarged, write_video
from tests.support.finished import finish, stages


def corpus(value: Any, source: Path, storage: Path) -> Artifact:
    """A corpus made here, shard by shard."""
    stage = CorpusStage.of(value, source)
    artifact = stage.artifact(Store(str(storage)))
    artifact.put(CLAIM, b"")
    for shard in stage.shards():
        write_shard(shard, value, stage.source.root, artifact)
    found = artifact.receipts()
    commit(stage, artifact, [found[shard["name"]] for shard in stage.shards()], seconds=1.0, skip_bad=False)
    artifact.delete(CLAIM)
    return artifact


@pytest.fixture
def videos(tmp_path: Path) -> Artifact:
    for number in range(12):
        write_video(tmp_path / "videos" / f"{number}.mkv", enlarged(blocks(2 if number == 3 else 6, 8, 8, seed=number)))
    return corpus(Folder(size=8, frames=4, test_fraction=0), tmp_path / "videos", tmp_path / "store")


def test_it_shows_what_is_inside(videos: Artifact, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sheet = tmp_path / "deep" / "sheet.png"
    assert main(["inspect", videos.key[:8], "--storage", videos.store.root, "--sheet", str(sheet)]) == 0
    out = capsys.readouterr().out
    manifest = videos.manifest() or {}
    for text in (
        f"corpus/{videos.key}: 4 frames of 8x8", manifest["digest"], "intact    yes", "channel   red: mean 1", "0..255",
        "11 for train, from 12 items", "Folder", "left out  1", "3.mkv: too short: 2 frames",
    ):  # fmt: skip
        assert text in out
    with Image.open(sheet) as picture:
        assert picture.width > 4 * PANEL and picture.height > 8 * PANEL


def test_fields_are_drawn_channel_by_channel(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "runs").mkdir()
    np.savez(tmp_path / "runs" / "a.npz", u=np.random.default_rng(0).normal(size=(20, 2, 6, 6)))
    value = Fields(frames=4, test_fraction=0, dims=("time", "channel", "y", "x"))
    artifact = corpus(value, tmp_path / "runs", tmp_path / "store")
    assert main(["inspect", artifact.key, "--storage", artifact.store.root, "--sheet", "sheet.png"]) == 0
    assert "channel   u/1: mean" in capsys.readouterr().out
    with Image.open("sheet.png") as picture:
        assert picture.height > 10 * PANEL


def test_damage_and_what_is_unfinished_are_told(videos: Artifact, capsys: pytest.CaptureFixture[str]) -> None:
    path = sorted(Path(videos.path).glob("part-*.arrow"))[1]
    path.write_bytes(b"")
    assert main(["inspect", f"corpus/{videos.key}", "--storage", videos.store.root]) == 1
    assert f"{path} has 0 bytes where" in capsys.readouterr().out
    (Path(videos.path) / "manifest.json").unlink()
    assert main(["inspect", videos.key, "--storage", videos.store.root]) == 0
    assert re.search(
        r"unfinished, 11 files so far, in .*\n  left out  1\n    3.mkv: too short", capsys.readouterr().out
    )


def test_any_stage_can_be_inspected_and_one_only(videos: Artifact, capsys: pytest.CaptureFixture[str]) -> None:
    model = videos.store.artifact("model", "f" * 20)
    model.commit([model.write("weights.safetensors", b"x")], title="a model", parameters=3)
    storage = ["--storage", videos.store.root]
    assert main(["inspect", "fff", *storage]) == 0
    assert "parameters 3" in capsys.readouterr().out
    assert main(["inspect", "fff", *storage, "--sheet", "x.png"]) == 2
    assert "holds no clips to draw" in capsys.readouterr().err
    assert main(["inspect", "", *storage]) == 2
    assert "begins 2 keys" in capsys.readouterr().err
    assert main(["inspect", "xyz", *storage]) == 2
    assert "no artifact 'xyz' in storage" in capsys.readouterr().err
    assert main(["inspect", videos.key, *storage, "--sheet", "x.nonsense"]) == 2
    assert "use a name such as contact.png" in capsys.readouterr().err


def test_every_kind_of_stage_shows_its_configuration_and_upstream_keys(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The key of every artifact of a table follows from its folder alone."""
    pipeline, store = stages(), Store(str(tmp_path / "store"))
    finish(pipeline, store)
    for stage in pipeline.stages():
        assert main(["inspect", str(stage), "--verify", "--storage", store.root]) == 0
        out = capsys.readouterr().out
        assert "verified  key and every file" in out and f"version = {VERSIONS[stage.kind]}" in out
        assert [f"upstream  {name}: {other}" in out for name, other in stage.upstream.items()] == [True] * len(
            stage.upstream
        )
    row = pipeline.rows[0]
    assert main(["inspect", str(row.rollouts), "--storage", store.root]) == 0
    out = capsys.readouterr().out
    assert f"seed = {row.seed}" in out and f"sampling.horizon = {row.setting.sampling.horizon}" in out


def test_a_key_that_does_not_follow_from_the_configuration_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, stage = Store(str(tmp_path)), stages().rows[0].model
    artifact = stage.artifact(store)
    entry = artifact.write("weights.safetensors", b"x" * 9)
    artifact.commit([entry], configuration={**stage.configuration(), "seed": stage.seed + 1})
    assert main(["inspect", str(stage), "--verify", "--storage", store.root]) == 1
    assert "verified  NO: the configuration has the key" in capsys.readouterr().out
    artifact.commit([entry], configuration=stage.configuration())
    (Path(artifact.path) / "weights.safetensors").write_bytes(b"y" * 9)
    assert main(["inspect", str(stage), "--verify", "--storage", store.root]) == 1
    assert "weights.safetensors" in capsys.readouterr().out
    artifact.commit([artifact.write("weights.safetensors", b"x")])
    assert main(["inspect", str(stage), "--verify", "--storage", store.root]) == 1
    assert "the manifest stores no configuration" in capsys.readouterr().out


def test_a_corpus_can_be_verified(videos: Artifact, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(videos), "--verify", "--storage", videos.store.root]) == 0
    assert "verified  key and every file" in capsys.readouterr().out


def test_a_sheet_has_frames_evenly_spread() -> None:
    frames = np.linspace(-3, 3, 21, dtype=np.float32)[:, None, None].repeat(4, 1).repeat(4, 2)
    picture = np.asarray(contact_sheet([field_strip("ramp", frames, mean=0.0, std=1.0)], columns=3))
    row = picture[len(picture) - PANEL // 2]
    colours = [tuple(row[x]) for x in (PANEL // 2, PANEL // 2 + PANEL + 3, PANEL // 2 + 2 * PANEL + 6)]
    assert colours[0][2] > colours[0][0] and min(colours[1]) > 240 and colours[2][0] > colours[2][2]  # blue, white, red
