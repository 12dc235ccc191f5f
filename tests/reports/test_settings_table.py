"""Tables 4 to 7: each of the paper's settings beside ours, what differs said, nothing left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reports.index import index
from reports.model.published import paper
from reports.settings_table import settings_table
from reports.writers.json_record import load
from rollbench.errors import UserError
from tests.reports.test_render import FILES, HOSTILE, Page, tabulars  # type: ignore[import-not-found]


def ours(table: str, **changes: Any) -> dict[str, Any]:
    return {value.setting: value.value for value in paper().of(table)} | changes


def written(folder: Path, table: str, values: dict[str, Any], **options: Any) -> dict[str, str]:
    page = settings_table(table, values, folder, command="python experiments/table4.py", **options)
    assert page == folder / "table.html"
    return {name: (folder / name).read_text(encoding="utf-8") for name in FILES}


@pytest.mark.parametrize("table", ["4", "5", "6", "7"])
def test_the_papers_own_values_are_as_printed(table: str, tmp_path: Path) -> None:
    rows = load(tmp_path)["rows"] if written(tmp_path, table, ours(table)) else []
    assert [row["setting"] for row in rows] == [value.setting for value in paper().of(table)]
    assert {row["agreement"] for row in rows} == {"as printed"} and all(row["ours"] == row["paper"] for row in rows)


def test_what_differs_and_what_the_paper_does_not_state_is_said_with_its_note(tmp_path: Path) -> None:
    values = ours("4", Channels=[64, 128], Loss="v-loss", Batch=256)
    files = written(tmp_path, "4", values, notes={"Batch": "Our choice.", "Loss": "SNR + 1 on x."})
    content = json.loads(files["table.json"])
    rows = {row["setting"]: row for row in content["rows"]}
    assert rows["Channels"]["agreement"] == rows["Loss"]["agreement"] == "different"
    assert (rows["Channels"]["ours"], rows["Channels"]["paper"]) == ("[64, 128]", "[128, 256, 512, 1024]")
    assert rows["Loss"]["note"] == "SNR + 1 on x. The paper: self-contradictory: SNR+1 on x is the v-loss"
    assert rows["Batch"] == {
        "setting": "Batch",
        "ours": "256",
        "paper": "",
        "agreement": "not in the paper",
        "note": "Our choice.",
    }
    assert content["headline"] == ["Settings: 9 as printed, 2 different, 1 not in the paper."]
    for text in files.values():
        assert "Our choice." in text and "0.9999" in text


@pytest.mark.parametrize(
    ("value", "spelled"), [((1, 2, 2), "[1, 2, 2]"), (1e-4, "0.0001"), (100_000, "100000"), (True, "True")]
)
def test_values_are_spelled_as_the_paper_does(value: Any, spelled: str, tmp_path: Path) -> None:
    written(tmp_path, "4", ours("4", Batch=value))
    assert load(tmp_path)["rows"][-1]["ours"] == spelled


def test_a_setting_left_out_and_a_note_on_none_are_refused(tmp_path: Path) -> None:
    values = ours("4")
    values["Chanels"] = values.pop("Channels")
    with pytest.raises(UserError, match="no value of ours for the paper's setting 'Channels'; did you mean 'Chanels'"):
        settings_table("4", values, tmp_path, command="c")
    with pytest.raises(UserError, match="a note on the unknown setting 'Los'; did you mean 'Loss'"):
        settings_table("4", ours("4"), tmp_path, command="c", notes={"Los": "x"})
    with pytest.raises(UserError, match="unknown table '44'"):
        settings_table("44", ours("4"), tmp_path, command="c")


def test_hostile_settings_stay_text_everywhere(tmp_path: Path) -> None:
    out = tmp_path / "table4"
    files = written(out, "4", ours("4") | {HOSTILE: HOSTILE}, notes={HOSTILE: HOSTILE}, caption=HOSTILE)
    page = Page(files["table.html"])
    assert "script" not in {tag for tag, _ in page.tags} and page.text.count(HOSTILE) == 4
    assert "<script" not in files["table.md"]
    (rows,) = tabulars(files["table.tex"])
    assert len(rows) == 1 + 12
    assert "Settings of the paper" in index(tmp_path).read_text()
