"""Where a report goes, and what it says of data that are not its own."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

import pytest

from experiments import table3, table8
from rollbench.cli.naming import on_its_data, report_name
from rollbench.config.scale import at_scale, scale
from rollbench.datasets.ingested import Ingested
from rollbench.errors import UserError


def options(**changes: Any) -> argparse.Namespace:
    return argparse.Namespace(**{"scale": "laptop", "set": [], "data": None, "report_name": None, **changes})


def test_every_other_scale_data_or_set_has_a_folder_of_its_own() -> None:
    runs = [
        options(),
        options(scale="smoke"),
        options(set=["training.steps=4"]),
        options(set=["training.steps=40"]),
        options(set=["training.steps=4", "leads=(1, 2)"]),
        options(data="real"),
        options(data="fields:/a/runs"),
        options(data="fields:/b/runs"),
        options(data="corpora:0123456789abcdef,fedcba9876543210"),
        *(options(set=["training.steps=" + "9" * n]) for n in (100, 101)),
    ]
    names = [report_name("table8", run) for run in runs]
    assert names[:3] == ["table8", "table8-smoke", "table8-training.steps=4"]
    assert len(set(names)) == len(runs) and all(len(name) < 80 and "/" not in name for name in names)
    assert names[6].startswith("table8-runs-")
    both = (["a=1", "b=2"], ["b=2", "a=1"])
    assert len({report_name("table8", options(set=changes)) for changes in both}) == 1


def test_a_name_is_the_folders_and_must_be_one() -> None:
    assert report_name("table8", options(scale="smoke", report_name="mine")) == "mine"
    for name in ("../up", "a/b", ".hidden", "-x", "a" * 99, "a b", "a\n"):
        with pytest.raises(UserError, match="is not a folder's name: use letters, digits"):
            report_name("table8", options(report_name=name))


def own(setting: Any) -> Any:
    text = "64×64 fields of an ocean, every 3600 s"
    data = Ingested("1" * 20, "2" * 20, "fields", "field", 200, 3600.0, (2, 64, 64), text, "own")
    return replace(setting, data=data, stand_in=None)


def test_own_data_have_no_title_values_or_claims_of_the_paper() -> None:
    table = replace(table8.TABLE, settings=(own(table8.SETTING),))
    shown = on_its_data(table, options(data="fields:/a/ocean"))
    assert shown.title == "ocean: rollouts by lead time" and "64×64 fields of an ocean" in shown.caption
    assert shown.published == "" and shown.claims == () and "1.5 s" not in shown.caption
    assert on_its_data(table, options(data="fields:/a/ocean", report_name="Tides")).title.startswith("Tides: ")
    given = on_its_data(replace(table, title="My title"), options(data="fields:/a/ocean", set=["title=My title"]))
    assert given.title == "My title" and given.published == ""
    assert [row.name for row in shown.rows] == [row.name for row in table.rows]


def test_a_stand_in_is_named_in_the_title_and_the_real_data_change_nothing() -> None:
    small = at_scale(table3.TABLE, scale("smoke"))
    stand_in = replace(small, settings=tuple(replace(s, data=s.stand_in) for s in small.settings))
    shown = on_its_data(stand_in, options())
    assert shown.title == f"{small.title}, on a stand-in" and shown.caption.startswith("Data: 16×16 frames of ")
    assert on_its_data(table8.TABLE, options()) == table8.TABLE
    assert on_its_data(table8.TABLE, options(report_name="again")) == replace(table8.TABLE, name="again")
