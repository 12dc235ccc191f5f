"""Bad values of `--set FIELD=VALUE`, on every table: the plan is made, or one line says why not; nothing else."""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rollbench.cli import experiment, main
from rollbench.config.overrides import with_field
from rollbench.config.scale import at_scale, scale
from rollbench.config.table import Table
from rollbench.errors import UserError
from rollbench.store.artifact import Store
from tests.support.fuzzing import campaign, texts, values


def tables() -> dict[str, Table]:
    """The tables of experiments/*.py that are there."""
    names = [name for name in main.EXPERIMENTS if importlib.util.find_spec(f"experiments.{name}")]
    modules = {name: importlib.import_module(f"experiments.{name}") for name in names}
    return {name: module.TABLE for name, module in modules.items() if isinstance(getattr(module, "TABLE", 0), Table)}


TABLES = tables()
SCALED = {name: at_scale(table, scale("smoke")) for name, table in TABLES.items()}


def fields(value: Any, path: str = "") -> list[str]:
    """The paths of all fields of a value and of the values in it."""
    names = [f.name for f in dataclasses.fields(value)] if dataclasses.is_dataclass(value) else []
    return [p for name in names for p in (path + name, *fields(getattr(value, name), f"{path}{name}."))]


PATHS = sorted({path for table in SCALED.values() for setting in table.settings for path in fields(setting)})
small = st.one_of(st.integers(-2, 40), st.floats(-2, 2), st.lists(st.integers(0, 8), max_size=3))
resources_from = st.one_of(texts, st.one_of(small, values).map(json.dumps))
changes = st.tuples(st.one_of(st.sampled_from(PATHS), st.sampled_from(PATHS), texts), resources_from)


def planned(name: str, change: str, source: str | None = None) -> None:
    """All that a dry run asks before it measures this machine. Raises BadInput alone (its rules' own errors are one of ours)."""
    parser = argparse.ArgumentParser()
    experiment.add_options(parser)
    options = parser.parse_args(["--scale", "smoke", "--dry-run", f"--set={change}"])
    options.data = source
    try:
        works, needed = experiment.plan(TABLES[name], options, Store("nowhere"))
    except ValueError as error:
        assert str(error)
        return
    assert all(size >= 0 for size in needed.values()) and all(work.key for work in works.stages())


@campaign(250)
@given(st.sampled_from(sorted(TABLES)), changes, st.sampled_from((None, None, "real")))
@example("table8", ("training.learning_rate", "9" * 400), None)
@example("table8", ("training.steps", "[" * 100_000), None)
@example("table8", ("leads", '["a"]'), None)
@example("table8", ("leads", "[1.5]"), None)
@example("table8", ("rows", "[1]"), None)
@example("table8", ("metrics", "[[]]"), None)
@example("table8", ("data.viscosity", '["a", 2]'), None)
@example("table8", ("sampling.degradation", "5"), None)
@example("table8", ("training.micro_batch", "0"), None)
@example("table8", ("sampling.calls_per_frame", '"1e999999999"'), None)
@example("table8", ("test_data", "{}"), None)
@example("table1", ("stand_in", "1"), None)
@example("table1", ("name", "another"), "real")
def test_a_change_is_planned_or_refused(name: str, change: tuple[str, str], source: str | None) -> None:
    planned(name, "=".join(change), source)
    assert not list(Path().iterdir()), "something was written"


@campaign(40)
@given(st.lists(changes, min_size=2, max_size=3))
def test_several_changes_of_a_value_are_made_or_refused(several: list[tuple[str, str]]) -> None:
    setting = SCALED["table8"].settings[0]
    try:
        for path, text in several:
            setting = with_field(setting, path, text)
    except UserError as error:
        assert str(error)


@pytest.mark.parametrize(
    ("path", "text", "argv"),
    [
        ("leads", "[1.5]", "another kind"),
        ("sampling.degradation", "5", "another kind"),
        ("network", "1", "set one of its fields"),
        ("training.learning_rate", "NaN", "cannot be read"),
        ("sampling.sampler", "euler", "Choices: 'ancestral', 'between', 'ddim', 'multistep'"),
        ("sampling.calls_per_frame", '"1e9"', "not a number of calls"),
    ],
)
def test_what_would_fail_later_is_refused_now(path: str, text: str, argv: str) -> None:
    with pytest.raises(UserError, match=argv):
        with_field(SCALED["table8"].settings[0], path, text)


def test_calls_may_be_a_fraction() -> None:
    assert (
        with_field(SCALED["table8"].settings[0], "sampling.calls_per_frame", "100/11").sampling.calls.denominator == 11
    )
