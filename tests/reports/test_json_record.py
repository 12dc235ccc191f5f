"""The JSON record of a report: `load` returns what was written and refuses a file that was edited since."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from reports.index import index
from reports.model.cells import COLUMNS, cells
from reports.writers.json_record import load, load_results, verify
from rollbench.cli.main import main
from rollbench.errors import UserError
from tests.reports.test_render import written  # type: ignore[import-not-found]
from tests.reports.test_settings import results as settings_results  # type: ignore[import-not-found]
from tests.reports.test_settings import written as settings_written  # type: ignore[import-not-found]


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    frame = settings_results()
    files = settings_written(tmp_path, frame)
    assert load(tmp_path) == load(tmp_path / "table.json") == json.loads(files["table.json"])
    back = load_results(tmp_path)
    assert list(back.columns) == list(COLUMNS)
    ours, theirs = cells(back), cells(frame)
    assert ours == theirs and all(
        (ours[s][k].replicates == theirs[s][k].replicates).all() for s in ours for k in ours[s]
    )


def test_another_layout_of_the_same_content_is_the_same(tmp_path: Path) -> None:
    text = written(tmp_path)["table.json"]
    (tmp_path / "table.json").write_text(json.dumps(json.loads(text), indent=4, sort_keys=True))
    assert load(tmp_path)["table"] == "table8"


@pytest.mark.parametrize(
    ("old", "new"), [('"value": ', '"value": 1'), ('"n": 128', '"n": 1280'), ('"table8"', '"table9"'), ('"digest": "', '"digest": "0')]
)  # fmt: skip
def test_a_record_edited_by_hand_is_refused(old: str, new: str, tmp_path: Path) -> None:
    text = written(tmp_path)["table.json"]
    assert old in text
    (tmp_path / "table.json").write_text(text.replace(old, new, 1))
    with pytest.raises(
        UserError, match="^[^\n]*table.json was edited or is incomplete, its checksum does not match[^\n]*$"
    ):
        load(tmp_path)


def test_a_torn_or_missing_record_is_refused(tmp_path: Path) -> None:
    text = written(tmp_path)["table.json"]
    (tmp_path / "table.json").write_text(text[:-100])
    with pytest.raises(UserError, match="is not JSON"):
        load(tmp_path)
    with pytest.raises(UserError, match="nowhere.*cannot be read"):
        load(tmp_path / "nowhere")
    for other in ("[1, 2]", "{}"):
        (tmp_path / "table.json").write_text(other)
        with pytest.raises(UserError, match="checksum does not match"):
            load(tmp_path)


def test_results_edited_by_hand_are_refused(tmp_path: Path) -> None:
    written(tmp_path)
    path = tmp_path / "results.parquet"
    frame = pd.read_parquet(path)
    frame = frame.assign(value=0.9 * frame["value"].to_numpy())
    frame.to_parquet(path, index=False)
    with pytest.raises(UserError, match="results.parquet was changed: its sha256 does not match table.json"):
        load_results(tmp_path)
    path.unlink()
    with pytest.raises(UserError, match="results.parquet is missing"):
        load_results(tmp_path)


@pytest.mark.parametrize("name", ["table.md", "table.tex", "table.html", "results.parquet", "fsd.png"])
def test_every_file_of_a_report_is_verified(name: str, tmp_path: Path) -> None:
    (tmp_path / "fsd.png").write_bytes(b"a picture")
    written(tmp_path, figures=[tmp_path / "fsd.png"])
    assert verify(tmp_path) == []
    content = bytearray((tmp_path / name).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / name).write_bytes(content)
    assert verify(tmp_path) == [f"{tmp_path / name} was changed: its sha256 does not match table.json"]
    (tmp_path / name).unlink()
    assert verify(tmp_path) == [f"{tmp_path / name} is missing"]


def test_verify_is_a_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path)
    assert main(["verify", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path}: 5 files checked\n"
    (tmp_path / "table.md").write_text("better numbers")
    assert main(["verify", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert "table.md was changed" in error and error.count("\n") == 1


def test_a_report_leaves_no_file_of_an_earlier_one_and_no_other_file_is_touched(tmp_path: Path) -> None:
    for name in ("fsd.png", "mse.png", "notes.txt"):
        (tmp_path / name).write_bytes(b"content")
    written(tmp_path, figures=[tmp_path / "fsd.png", tmp_path / "mse.png"])
    written(tmp_path, figures=[tmp_path / "fsd.png"])
    assert {path.name for path in tmp_path.iterdir()} == {
        "table.md", "table.tex", "table.html", "table.json", "results.parquet", "fsd.png", "notes.txt",
    }  # fmt: skip


def test_a_forged_list_of_files_removes_nothing_elsewhere(tmp_path: Path) -> None:
    out, other = tmp_path / "table8", tmp_path / "precious.txt"
    other.write_text("mine")
    out.mkdir()
    (out / "table.json").write_text(json.dumps({"files": {"../precious.txt": "", str(other): "", "..": ""}}))
    written(out)
    assert other.read_text() == "mine"


def test_the_index_shows_no_number_of_a_record_edited_by_hand(tmp_path: Path) -> None:
    text = written(tmp_path / "table8")["table.json"]
    (tmp_path / "table8/table.json").write_text(text.replace("Table 8", "Table Eight", 1))
    page = index(tmp_path).read_text()
    assert "Table Eight" not in page and "was edited" in page
