"""A scale caps: it never makes a field larger, the paper's scale changes nothing."""

import importlib
import math
import re
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from experiments.table8 import TABLE
from rollbench.cli.experiment import run
from rollbench.config.canonical import canonical
from rollbench.config.scale import SCALES, Recipe, Scale, at_scale, default_rows, scale
from rollbench.config.table import Row, Table
from rollbench.errors import UserError
from rollbench.methods import Standard
from rollbench.pipeline.graph import build_pipeline


def numbers(value: Any, path: str = "") -> dict[str, float]:
    """Every number in nested dataclasses and tuples by its path."""
    if is_dataclass(value):
        return {k: v for f in fields(value) for k, v in numbers(getattr(value, f.name), f"{path}.{f.name}").items()}
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return {path: value}
    if isinstance(value, tuple):
        return {k: v for place, each in enumerate(value) for k, v in numbers(each, f"{path}[{place}]").items()}
    return {}


@pytest.fixture(params=["table1", "table2", "table3", "table8", "table9", "table10", "sweep_cond_gen"])
def table(request: pytest.FixtureRequest) -> Table:
    found: Table = importlib.import_module(f"experiments.{request.param}").TABLE
    return found


def test_the_paper_scale_is_the_identity(table: Table) -> None:
    assert at_scale(table, scale("paper")) == table


@pytest.mark.parametrize("name", SCALES)
def test_no_scale_enlarges_anything_but_the_learning_rate(name: str, table: Table) -> None:
    scaled, full = numbers(at_scale(table, scale(name))), numbers(table)
    larger = {path.rsplit(".", 1)[-1] for path, value in scaled.items() if value > full.get(path, math.inf)}
    assert larger <= {"learning_rate", "dropout[1]", "dropout[2]"}  # a level that is left out takes its rate along
    for small, large in zip(at_scale(table, scale(name)).settings, table.settings, strict=True):
        assert small.sampling.calls <= large.sampling.calls


def test_scaling_twice_is_scaling_by_the_smaller(table: Table) -> None:
    once = at_scale(table, scale("smoke"))
    twice = at_scale(at_scale(table, scale("laptop")), scale("smoke"))
    for one, two in zip(once.settings, twice.settings, strict=True):
        assert (two.data, two.network, two.sampling, two.stand_in) == (
            one.data,
            one.network,
            one.sampling,
            one.stand_in,
        )
        assert two.training.learning_rate == pytest.approx(one.training.learning_rate)


def test_memory_is_spared_where_the_paper_s_sizes_are_kept() -> None:
    """Under caps on its width a model fits: it pays neither for shards nor for computing twice."""
    for name in ("table1", "table3"):
        table = importlib.import_module(f"experiments.{name}").TABLE
        for caps in SCALES.values():
            for setting in at_scale(table, caps).settings:
                save_memory = (setting.training.sharding, setting.training.recompute)
                assert save_memory == (("full", True) if caps.name == "paper" else ("none", False))


def test_scales_are_ordered() -> None:
    names = [
        f.name for f in fields(Scale) if f.name not in ("name", "learning_rate", "stand_in", "flow", "video", "looks")
    ]
    ordered = [SCALES[name] for name in ("smoke", "laptop", "lab", "paper")]
    for small, large in zip(ordered, ordered[1:], strict=False):
        assert small.learning_rate >= large.learning_rate and small.stand_in >= large.stand_in
        assert all(getattr(small, n) <= getattr(large, n) for n in names)
        for one, two in ((small.flow, large.flow), (small.video, large.video)):
            assert all(getattr(one, n) <= getattr(two, n) for n in ("grid", "dropout", "steps"))
            assert all(
                a <= b for n in ("widths", "blocks") for a, b in zip(getattr(one, n), getattr(two, n), strict=False)
            )


def test_default_rows_are_those_of_highest_priority_in_the_tables_order() -> None:
    assert default_rows(TABLE, scale("smoke")) == (
        "MSE (2-1)",
        "Rolling Diffusion (init noise) (2-4)",
    )
    assert default_rows(TABLE, scale("paper")) == tuple(row.name for row in TABLE.rows)


@pytest.mark.parametrize("name", ["smoke", "laptop"])
def test_table3_runs_both_methods_at_both_strides(name: str) -> None:
    from experiments.table3 import TABLE as video

    methods = ("Standard (5-11)", "Rolling β=0.1 (5-11)"), ("Standard (5-11)", "Rolling β=0.9 (5-11)")
    rows = [f"{method}, stride {stride}" for stride, pair in zip((8, 1), methods, strict=True) for method in pair]
    assert default_rows(at_scale(video, scale(name)), scale(name)) == tuple(rows)


def test_settings_that_a_scale_makes_equal_are_one() -> None:
    from experiments.efficiency import TABLE as efficiency

    names = [setting.name for setting in at_scale(efficiency, scale("laptop")).settings]
    assert names == ["1 calls", "2 calls", "4 calls", "8 frames", "8² cells"]
    assert len(at_scale(efficiency, scale("paper")).settings) == len(efficiency.settings)


def test_an_unknown_scale_is_named_with_the_nearest() -> None:
    with pytest.raises(UserError, match="unknown scale 'labtop'; did you mean 'laptop'"):
        scale("labtop")


def test_bf16_is_for_the_scales_that_mean_a_gpu(table: Table) -> None:
    for name, precision in (("smoke", "fp32"), ("laptop", "fp32"), ("lab", "bf16"), ("paper", "bf16")):
        assert {setting.training.precision for setting in at_scale(table, scale(name)).settings} == {precision}


@pytest.mark.parametrize("cap", [f.name for f in fields(Scale) if isinstance(f.default, int) and f.default > 1])
def test_every_cap_is_at_least_one(cap: str) -> None:
    with pytest.raises(UserError, match=f"{cap} = 0 is below 1"):
        Scale("none", **{cap: 0})


@pytest.mark.parametrize(
    "cap, value", [("widths", (64, 0)), ("blocks", (0,)), ("grid", 0), ("steps", 0), ("step_frames", 0)]
)
def test_every_cap_of_a_recipe_is_at_least_one(cap: str, value: Any) -> None:
    with pytest.raises(UserError, match=f"{cap} = .* is below 1"):
        Recipe(**{cap: value})


def test_lab_and_paper_keep_the_paper_s_choices() -> None:
    """Networks, optimisers, samplers and worlds are the tables' own but for sizes; small scales follow their recipes."""
    from experiments.table3 import TABLE as video

    for table in (TABLE, video):
        for name in ("lab", "paper"):
            for small, full in zip(at_scale(table, scale(name)).settings, table.settings, strict=True):
                assert (small.network.shift, small.network.context) == (full.network.shift, full.network.context)
                assert (small.training.optimiser, small.sampling.sampler) == ("adam", "ancestral")
                assert not small.sampling.clip
                if small.stand_in is not None:
                    assert (small.stand_in.looks, small.stand_in.sprites) == ("full", full.stand_in.sprites)


@pytest.mark.parametrize("name", ["smoke", "laptop"])
def test_small_scales_follow_their_recipes(name: str) -> None:
    from experiments.table3 import TABLE as video

    for setting in at_scale(video, scale(name)).settings:
        assert (setting.network.shift, setting.network.context, set(setting.network.dropout)) == (True, "frames", {0.0})
        assert (setting.training.optimiser, setting.training.sharding, setting.sampling.clip) == ("muon", "none", True)
        assert (setting.stand_in.looks, setting.stand_in.sprites) == ("black", 3)
        assert setting.network.channels == ((16, 16) if name == "smoke" else (32, 64, 128))
        assert setting.network.kinds == (("conv", "full") if name == "smoke" else ("conv", "conv", "full"))
    for setting in at_scale(TABLE, scale(name)).settings:
        assert (setting.training.optimiser, setting.sampling.sampler) == ("adam", "multistep")
        assert not (setting.network.shift or setting.sampling.clip)


@pytest.mark.parametrize("name", ["smoke", "laptop", "lab"])
def test_the_readme_has_the_scales_sizes(name: str, root: Path) -> None:
    """Cell by cell its numbers; test clips of a video stand there where they are fewer than those of a flow."""
    (line,) = (
        line for line in (root / "experiments/README.md").read_text().splitlines() if line.startswith(f"| {name} |")
    )
    written = [[int(n.replace(",", "")) for n in re.findall(r"[\d,]*\d", cell)] for cell in line.split("|")[3:8]]
    caps = scale(name)
    assert written == [
        [caps.grid, caps.frame_grid],
        [caps.video_side],
        [caps.train_clips, caps.contexts, *([caps.video_clips] if caps.video_clips < caps.contexts else [])],
        [
            caps.flow.steps,
            caps.flow.step_frames,
            caps.video.steps,
            caps.video.step_frames,
        ],
        [caps.horizon, caps.calls],
    ]


@pytest.mark.parametrize("name", ["smoke", "laptop", "lab", "paper"])
def test_a_row_is_trained_alike_whatever_rows_stand_beside_it(name: str) -> None:
    """A row with a longer window, or a table of one row, changes no other row's model."""
    setting = TABLE.settings[0]
    longer = replace(setting, rows=(*setting.rows, Row("Standard (2-14)", Standard(2, 14), priority=99)))
    models: dict[str, set[str]] = {}
    for settings in ((setting,), (longer,), *((replace(setting, rows=(row,)),) for row in setting.rows)):
        table = at_scale(replace(TABLE, settings=settings, claims=()), scale(name))
        for stages in build_pipeline(table, [row.name for row in table.rows]).settings:
            for row in stages.rows:
                if row.seed == 0:
                    training = stages.setting.training_of(row.row)
                    models.setdefault(row.row.name, set()).add(canonical(training))
                    frames = training.batch * row.row.method.window
                    assert stages.setting.step_frames is None or frames <= stages.setting.step_frames
                    if name in ("smoke", "laptop"):
                        assert training.micro_batches == 2  # the sum of two is exact, whoever adds them
    assert {len(trainings) for trainings in models.values()} == {1}


def test_a_number_of_windows_that_is_asked_for_holds_for_every_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(TABLE, ["--scale", "laptop", "--dry-run", "--rows", "all", "--set", "training.batch=8"]) == 0
    assert "training: 1,000 steps of 8 windows of 3 frames, or 8 of 4, or 8 of 6, or 8 of 10" in capsys.readouterr().out
    assert run(TABLE, ["--scale", "laptop", "--dry-run", "--rows", "all"]) == 0
    assert (
        "training: 1,000 steps of 32 windows of 3 frames, or 24 of 4, or 16 of 6, or 8 of 10" in capsys.readouterr().out
    )
