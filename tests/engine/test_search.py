"""A search: its candidates, ASHA with a memory, a training with stops, and a small race that is killed and goes on."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from experiments.search_beta import SEARCH
from experiments.table8 import SETTING
from rollbench.config.sampling import Sampling
from rollbench.config.scale import scale, search_at_scale
from rollbench.config.search import Choice, Search, Uniform
from rollbench.config.table import Row, Table
from rollbench.errors import UserError
from rollbench.methods import Rolling
from rollbench.store.artifact import Store
from tests.faults.processes import kill_when

TINY = Search(
    name="tiny",
    title="A small race",
    table=Table(
        name="tiny",
        published="",
        title="A small race and its winner",
        settings=(replace(SETTING, rows=(Row("Rolling clip β=0.5", Rolling(2, 2), priority=1),)),),
    ),
    base=Rolling(2, 2),
    space=(Uniform("beta", 0.0, 1.0), Choice("init", ("clip", "rescaled"))),
    name_template="Rolling {init} β={beta:g}, found",
    proxy=Sampling(horizon=4, calls_per_frame=2, contexts=8, group=8, samples=2),
)
WORDS = ["--scale", "smoke", "--set", "train_clips=16", "--set", "sampling.contexts=8", "--set", "resamples=50"]


# --- candidates ---------------------------------------------------------------------------------------------------------------
def test_candidates_fill_the_space_evenly_however_many() -> None:
    search = replace(TINY, trials=40)
    betas = sorted(row.method.beta for row in search.candidates)
    assert 0 < betas[0] and betas[-1] < 1
    gaps = [b - a for a, b in zip([0.0, *betas], [*betas, 1.0], strict=True)]
    assert max(gaps) < 4 / 41  # an even grid has 1 / 41; chance leaves about 4 / 41 (log 41)
    assert abs(sum(row.method.init == "clip" for row in replace(TINY, trials=400).candidates) - 200) <= 5  # chance: 10
    for init in ("clip", "rescaled"):
        own = sorted(row.method.beta for row in search.candidates if row.method.init == init)
        assert max(b - a for a, b in zip([0.0, *own], [*own, 1.0], strict=True)) < 8 / 41  # an even half has 2 / 41


def test_a_longer_search_begins_like_a_shorter_one_and_a_seed_moves_it() -> None:
    assert replace(TINY, trials=32).candidates[:5] == replace(TINY, trials=5).candidates
    assert replace(TINY, seed=1).candidates != TINY.candidates
    assert len({row.name for row in TINY.candidates}) == len(TINY.candidates)


@pytest.mark.parametrize(
    ("steps", "expected"), [(12, (2, 6)), (1000, (55, 165, 495)), (300_000, (16_666, 49_998, 149_994)), (1, (1,))]
)
def test_rungs_lie_where_they_fit(steps: int, expected: tuple[int, ...]) -> None:
    assert TINY.steps(steps) == expected


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"space": (Uniform("betta", 0.0, 1.0),)}, "did you mean 'beta'"),
        ({"trials": 1}, "trials = 1 is below 2"),
        ({"share": 1.0}, "within the training"),
        ({"proxy": replace(TINY.proxy, samples=1)}, "blind to spread"),
    ],
)
def test_rules(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        replace(TINY, **fields)


def test_a_candidate_that_breaks_its_method_s_rule_is_named() -> None:
    with pytest.raises(UserError, match=r"candidate \d+ breaks a rule: beta="):
        _ = replace(TINY, space=(Uniform("beta", 0.0, 2.0), TINY.space[1])).candidates


def test_the_search_of_the_experiment_at_every_scale() -> None:
    for name in ("smoke", "laptop", "lab", "paper"):
        search = search_at_scale(SEARCH, scale(name))
        table = search.with_candidates()
        assert len(table.rows) == search.trials + 2 and table.settings[0].held_out == search.proxy.contexts


# --- ASHA ---------------------------------------------------------------------------------------------------------------------
def decisions(scheduler: Any, order: list[tuple[int, float]], step: int = 2) -> dict[int, str]:
    """What ASHA decides as candidates come to a rung in this order."""
    found = {}
    for place, value in order:
        trial = SimpleNamespace(trial_id=f"{place}-{id(scheduler)}", config={"trial": place})
        scheduler.on_trial_add(None, trial)
        found[place] = scheduler.on_trial_result(None, trial, {"step": step, "proxy": value})
    return found


def test_what_asha_has_decided_stays_decided(tmp_path: Path) -> None:
    from rollbench.engine.search import PersistentASHA

    rungs = tuple(SimpleNamespace(step=step) for step in (2, 6))
    stages: Any = SimpleNamespace(candidates=[SimpleNamespace(rungs=rungs)], search=SimpleNamespace(reduction=3))
    order = [(0, 5.0), (1, 4.0), (2, 6.0), (3, 1.0), (4, 4.5)]
    artifact = Store(str(tmp_path)).artifact("search", "key")
    first = decisions(PersistentASHA(stages, artifact), order)
    assert first == {0: "CONTINUE", 1: "CONTINUE", 2: "STOP", 3: "CONTINUE", 4: "STOP"}
    backwards = list(reversed(order))
    assert decisions(PersistentASHA(stages, artifact), backwards) == first
    assert decisions(PersistentASHA(stages, Store(str(tmp_path)).artifact("search", "other")), backwards) != first


# --- a training with stops ----------------------------------------------------------------------------------------------------
def test_a_training_that_stops_at_rungs_ends_like_one_that_does_not(tmp_path: Path) -> None:
    import numpy as np
    import torch

    from rollbench.datasets.windows import Windows
    from rollbench.diffusion.denoiser import Denoiser
    from rollbench.models.uvit import UViT, UViTSize
    from rollbench.training.loop import CheckpointPolicy, fit, load_final
    from rollbench.training.settings import Training

    size = UViTSize((8,), (1,), ("conv",), (0.0,), head_dim=8, embedding=16, grid=4)
    clips = [np.random.default_rng(k).normal(size=(6, 1, 4, 4)).astype(np.float32) for k in range(4)]

    def trained(folder: str, *stops: int) -> list[Any]:
        ends = []
        for until in (*stops, None):
            torch.manual_seed(0)
            end = fit(
                Denoiser(UViT(size, (1, 4, 4), 1, 2)),
                Rolling(1, 2),
                Windows(clips, 3),
                Training(steps=9, batch=4, learning_rate=1e-2),
                seed=0,
                folder=tmp_path / folder,
                keeping=CheckpointPolicy(report=4, seconds=None),
                until=until,
            )
            ends.append(load_final(end))
        return ends

    (straight,), (half, full) = trained("straight"), trained("stopped", 3)
    assert half[1]["step"] == 3 and full[1]["step"] == 9
    assert all(torch.equal(straight[0][name], full[0][name]) for name in straight[0])
    assert straight[1]["history"] == full[1]["history"]
    assert any(not torch.equal(half[0][name], full[0][name]) for name in full[0])


# --- a race -------------------------------------------------------------------------------------------------------------------
DRIVER = """import sys; sys.path[:0] = sys.argv[1:3]
from tests.engine.test_search import TINY
from rollbench.cli import run; run(TINY, sys.argv[3:])"""


def scores(home: Path) -> dict[str, tuple[bytes, int]]:
    """Every score of a rung by its stage, with when it was written."""
    return {p.parent.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in (home / "store/rung").glob("*/score.json")}


@pytest.mark.slow
def test_a_search_that_was_killed_goes_on_and_computes_nothing_twice(tmp_path: Path, root: Path) -> None:
    """SIGKILL of the driver and all its workers in the middle of the race. The second run keeps every score and every decision, and the
    winner's model is, to the bit, what a training without a race gives."""
    from rollbench.cli.experiment import run

    words = [*WORDS, "--name", "tiny", "--storage", str(tmp_path / "store"), "--out", str(tmp_path / "out")]
    rooms = [str(root / room) for room in ("platform", ".")]
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, *rooms, *words], stderr=subprocess.DEVNULL, start_new_session=True
    )
    kill_when(driver, lambda: len(scores(tmp_path)) >= 3)
    before = scores(tmp_path)
    decided = {p.name: p.read_bytes() for p in (tmp_path / "store/search").glob("*/decision-*")}
    assert run(TINY, words) == 0
    after = scores(tmp_path)
    assert before.items() <= after.items()
    assert decided.items() <= {p.name: p.read_bytes() for p in (tmp_path / "store/search").glob("*/decision-*")}.items()

    report = json.loads((tmp_path / "out/tiny/search.json").read_text())
    trials = report["trials"]
    assert len(trials) == 4 and {trial["ended"] for trial in trials} <= {"stopped", "last rung"}
    last = [trial for trial in trials if trial["ended"] == "last rung"]
    assert report["winner"] == min(last, key=lambda trial: trial["rungs"][-1]["value"])["name"]
    assert all([r["step"] for r in trial["rungs"]] == [2, 6] for trial in last)
    for name in ("table.html", "search.html", "search.md", "race_over_beta.png", "race_over_beta-dark.svg"):
        assert (tmp_path / "out/tiny" / name).stat().st_size > 500, name
    lines = json.loads((tmp_path / "out/tiny/table.json").read_text())["blocks"][0]["rows"]
    assert [line["row"] for line in lines][:2] == [report["winner"], "Rolling clip β=0.5"]

    gone = next((tmp_path / "store/rung").glob("*"))  # its model has gone past it
    (gone / "score.json").unlink()
    next((tmp_path / "store/search").glob("*/manifest.json")).unlink()
    assert run(TINY, words) == 0
    assert {key: score for key, (score, _) in scores(tmp_path).items()} == {
        key: score for key, (score, _) in after.items()
    }
    after = scores(tmp_path)

    model = lines[0]["cells"][0]["made_by"][0]["model_key"]
    weights = tmp_path / "store/model" / model / "weights.safetensors"
    evaluated = weights.read_bytes()
    (weights.parent / "manifest.json").unlink()
    weights.unlink()
    assert run(TINY, words) == 0
    assert weights.read_bytes() == evaluated
    assert scores(tmp_path) == after
