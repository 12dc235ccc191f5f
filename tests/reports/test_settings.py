"""Tables of several settings and of metrics of the whole clip, with the paper's own rows: Table 3 as it may come out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from reports.model.cells import COLUMNS
from reports.model.published import paper
from reports.model.report import Notes
from reports.render import render
from rollbench.config.table import Claim, Table
from rollbench.errors import UserError
from tests.reports.test_cells import digest_of  # type: ignore[import-not-found]
from tests.reports.test_render import FILES, Page, tabulars  # type: ignore[import-not-found]
from tests.support.tables import table_row, table_setting  # type: ignore[import-not-found]

FAST, SLOW = "stride 8, 24 frames", "stride 1, 64 frames"
PRINTED = {FAST: "stride=8 steps=24", SLOW: "stride=1 steps=64"}
ROWS = {  # name → setting, the paper's row, label, our FVD
    "Standard Diffusion (5-11), stride 8": (FAST, "Standard Diffusion", "(5-11)", 57.0),
    "Rolling β = 0.1 (5-11)": (FAST, "Rolling beta=0.1", "(5-11)", 45.0),
    "Standard Diffusion (15-1)": (SLOW, "Standard Diffusion", "(15-1)", 1400.0),
    "Standard Diffusion (5-11), stride 1": (SLOW, "Standard Diffusion", "(5-11)", 120.0),
    "Rolling β = 0.9 (5-11)": (SLOW, "Rolling beta=0.9", "(5-11)", 300.0),
}


def results(scale: str = "paper", data: str = "real") -> pd.DataFrame:
    """Made-up results: FVD of the whole clip in both settings, MSE at two leads in the first; trivial rows in both."""
    generator = np.random.default_rng(3)
    records = []

    def add(setting: str, row: str, kind: str, metric: str, lead: int | None, value: float, protocol: str) -> None:
        method = kind == "method"
        records.append(dict.fromkeys(COLUMNS) | {
            "table": "table3", "setting": setting, "row": row, "kind": kind, "metric": metric, "lead": lead,
            "scale": scale, "data": data, "seed": 0, "value": value, "n": 8192, "seconds": 100.0, "device": "cuda",
            "replicates": value * (1 + 0.01 * generator.standard_normal(100)), "commit": "c0ffee" * 6,
            "evaluator": f"fvd@1 {protocol} i3d" if metric == "fvd" else "pixel@1",
            "data_key": digest_of(setting), "results_key": digest_of(row, setting), "features_key": digest_of(row, 2) if method else None,
            "reference_key": digest_of("reference", setting), "model_key": digest_of(row) if method else None,
            "rollouts_key": digest_of(row, 1) if method else None, "calls_per_frame": 100 / 11 if method else None,
            "calls_per_frame_total": 9.5 if method else None, "parameters": 10**9 if method else None,
        })  # fmt: skip

    for setting, protocol in ((FAST, "kinetics-rollout@2"), (SLOW, "kinetics-rollout-stride1@2")):
        rows = [(row, "method", value) for row, (home, _, _, value) in ROWS.items() if home == setting]
        for row, kind, value in [*rows, ("persistence", "baseline", 900.0), ("real vs real", "floor", 6.0)]:
            add(setting, row, kind, "fvd", None, value, protocol)
            for lead in (1, 8) if setting == FAST else ():
                add(setting, row, kind, "mse", lead, value / 1e4, protocol)
    return pd.DataFrame(records)


NOTES = {name: Notes((f"Protocol of {name}.",), f"Data of {name}.") for name in (FAST, SLOW)}


def table3(**changes: Any) -> Table:
    settings = tuple(
        table_setting(
            name, paper_name=PRINTED[name], leads=(1, 8) if name == FAST else (),
            rows=(table_row(row_name, paper_name, label) for row_name, (home, paper_name, label, _) in ROWS.items()
                  if home == name and row_name not in changes.get("without", ())),
            metrics=("fvd", "mse") if name == FAST else ("fvd",),
        )
        for name in (FAST, SLOW)
    )  # fmt: skip
    claim = Claim(
        "Rolling is better", "§5", "fvd", "Rolling β = 0.1 (5-11)", "<", "Standard Diffusion (5-11), stride 8"
    )
    slow = Claim("Frame by frame fails", "§5", "fvd", "Standard Diffusion (15-1)", ">", "persistence")
    return Table("table3", "Table 3", "3", settings, "Rollouts.", (claim, slow))


def written(folder: Path, frame: pd.DataFrame, **changes: Any) -> dict[str, str]:
    render(
        frame,
        table3(**changes),
        folder,
        command="python experiments/table3.py",
        scale_text="Scale: paper.",
        notes=NOTES,
    )
    return {name: (folder / name).read_text(encoding="utf-8") for name in FILES}


def test_each_setting_and_metric_has_a_block_of_its_own(tmp_path: Path) -> None:
    files = written(tmp_path, results())
    content = json.loads(files["table.json"])
    assert [(b["setting"], b["metric"], b["leads"]) for b in content["blocks"]] == [
        (FAST, "fvd", [None]), (FAST, "mse", [1, 8]), (SLOW, "fvd", [None]),
    ]  # fmt: skip
    assert [line["row"] for line in content["blocks"][2]["rows"]] == [
        *(row for row, (home, *_) in ROWS.items() if home == SLOW), "persistence", "real vs real",
    ]  # fmt: skip
    for name in (FAST, SLOW):
        assert f"\n## {name}\n" in files["table.md"] and f"FVD -- {name}" in files["table.tex"]
        assert all(f"Protocol of {name}." in files[kind] for kind in ("table.md", "table.html", "table.json"))
    assert [len(rows) for rows in tabulars(files["table.tex"])] == [1 + 4, 1 + 4, 1 + 3 + 1 + 2, 1 + 5]


def test_the_papers_value_of_a_whole_clip_stands_beside_ours_with_its_verdict(tmp_path: Path) -> None:
    files = written(tmp_path, results())
    verdicts = {
        line["row"]: (line["paper"][0], line["verdicts"][0]["verdict"])
        for block in json.loads(files["table.json"])["blocks"]
        for line in block["rows"]
        if line["verdicts"][0]
    }
    assert verdicts == {
        "Standard Diffusion (5-11), stride 8": (58.1, "reproduced"),
        "Rolling β = 0.1 (5-11)": (39.8, "not reproduced"),
        "Standard Diffusion (15-1)": (1369, "reproduced"),
        "Standard Diffusion (5-11), stride 1": (123.7, "reproduced"),
        "Rolling β = 0.9 (5-11)": (211.2, "not reproduced"),
    }
    (line,) = [x for x in files["table.md"].splitlines() if x.startswith("| Rolling β = 0.1") and "39.8" in x]
    assert "*39.8* not reproduced" in line
    assert 'title="+13.1% against the paper' in files["table.html"] and "not reproduced" in files["table.tex"]


@pytest.mark.parametrize(("scale", "data"), [("lab", "real"), ("paper", "stand-in")])
def test_nothing_is_concluded_at_another_scale(scale: str, data: str, tmp_path: Path) -> None:
    content = json.loads(written(tmp_path, results(scale, data))["table.json"])
    verdicts = [v["verdict"] for block in content["blocks"] for line in block["rows"] for v in line["verdicts"] if v]
    assert verdicts == ["other scale"] * 5


def test_rows_of_the_paper_that_are_not_ours_stand_in_the_table_as_published(tmp_path: Path) -> None:
    """(8-8) is in the paper's table alone; a row that is taken out of ours comes back as published."""
    content = json.loads(written(tmp_path / "a", results())["table.json"])
    assert [block["published_rows"] for block in content["blocks"]] == [
        [], [], [{"row": "Standard Diffusion (8-8)", "paper": [157.1]}],
    ]  # fmt: skip
    row = "Standard Diffusion (15-1)"
    frame = results()
    files = written(tmp_path / "b", frame[frame["row"] != row], without=(row,))
    (_, _, slow) = json.loads(files["table.json"])["blocks"]
    assert [r["row"] for r in slow["published_rows"]] == ["Standard Diffusion (15-1)", "Standard Diffusion (8-8)"]
    assert "Standard Diffusion (8-8) (published)" in Page(files["table.html"]).text
    assert all("157.1" in files[kind] for kind in FILES)


def test_trivial_rows_of_two_settings_are_told_apart_in_the_traces(tmp_path: Path) -> None:
    files = written(tmp_path, results())
    for setting in (FAST, SLOW):
        (line,) = [x for x in files["table.md"].splitlines() if x.startswith(f"| `persistence, {setting}` | `0` |")]
        assert digest_of(setting) in line and digest_of("persistence", setting) in line
    page = Page(files["table.html"])
    identities = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    links = [attributes["href"] or "" for tag, attributes in page.tags if tag == "a"]
    assert len(identities) == len(set(identities))
    assert {link[1:] for link in links if link.startswith("#")} <= set(identities)


def test_claims_are_decided_within_their_setting(tmp_path: Path) -> None:
    content = json.loads(written(tmp_path, results())["table.json"])
    assert [v["sentence"] for v in content["claims"]] == ["Shows.", "Shows."]
    assert content["claims"][1]["leads"][0]["right"] == 900.0, "persistence of the setting of the left row"


@pytest.mark.parametrize(("same_clips", "verdict"), [(True, "shows"), (False, "not run")])
def test_a_claim_across_settings_is_paired_where_both_are_scored_on_the_same_clips(
    same_clips: bool, verdict: str, tmp_path: Path
) -> None:
    frame = results()
    if same_clips:
        frame = frame.assign(data_key="one key")
    table = table3()
    claim = Claim("Fast is easier", "§5", "fvd", "Rolling β = 0.1 (5-11)", "<", "Standard Diffusion (15-1)")
    page = render(frame, replace(table, claims=(claim,)), tmp_path, command="", scale_text="", notes=NOTES)
    (decided,) = json.loads((page.parent / "table.json").read_text())["claims"]
    assert decided["verdict"] == verdict


def test_two_protocols_in_one_setting_are_refused_by_name(tmp_path: Path) -> None:
    frame = results()
    frame.loc[0, "evaluator"] = "fvd@1 original@1 i3d"
    with pytest.raises(
        UserError, match=r"several of evaluator \['fvd@1 kinetics-rollout@2 i3d', 'fvd@1 original@1 i3d'\]"
    ):
        written(tmp_path, frame)


def test_an_unknown_setting_is_named(tmp_path: Path) -> None:
    frame = results().replace({"setting": {SLOW: "stride 1, 46 frames"}})
    with pytest.raises(UserError, match=f"'stride 1, 46 frames', which the table does not name; did you mean '{SLOW}'"):
        written(tmp_path, frame)


def test_reference_rows_of_table_1_are_other_peoples_methods(tmp_path: Path) -> None:
    frame = results().query("setting == @FAST and metric == 'fvd'").replace({"row": {"Rolling β = 0.1 (5-11)": "Ours"}})
    frame = frame[frame["row"].isin(["Ours", "real vs real"])]
    ours = table_setting(FAST, [table_row("Ours", "Rolling Diffusion (Ours)")], metrics=("fvd",))
    table = Table("table1", "Table 1", "1", (ours,))
    render(frame, table, tmp_path, command="c", scale_text="s")
    (block,) = json.loads((tmp_path / "table.json").read_text())["blocks"]
    assert len(block["published_rows"]) == len(paper().rows("1")) - 1 == 10
    assert block["rows"][0]["paper"] == [59.6]
