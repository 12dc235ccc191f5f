"""The published numbers: all of the transcription and nothing else, each with its protocol; the loader's refusals."""

from __future__ import annotations

import math
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import pytest
import yaml

import experiments
from reports.model.published import load, paper
from rollbench.errors import UserError

RECORD = """
paper: arXiv 0000.00000v1
tables:
- table: "1"
  title: One
  setting: here
  protocol: as stated
  metrics: [fvd]
  leads: whole
  rows:
  - {row: First, fvd: 1.5}
  - {row: Second, fvd: 2.5, note: odd}
"""

OTHERS = {  # methods of other people, by table
    "1": {"DVD-GAN", "VideoGPT", "TrIVD-GAN-FP", "Transframer", "CCVS", "VideoTransformer", "FitVid", "NUWA", "Video Diffusion"},
    "2": {"Phenaki", "TrIVD-GAN-FP", "Video Diffusion", "RIN", "MAGVIT", "MAGVITv2", "W.A.L.T.-L"},
    "9": {"TECO"},
}  # fmt: skip
EXTRA = {"8": {"Diffusion Forcing (2-4)", "Diffusion Forcing (2-8)"}, "9": {"Standard Diffusion (20-12)"}}  # ours alone


def transcription(shared: Path) -> dict[tuple[str, str, str, str | None, int | None], Any]:
    """The hand transcription by table, row, metric, setting (only where it tells rows apart) and lead."""
    content = yaml.safe_load((shared / "paper_tables.yaml").read_text(encoding="utf-8"))
    names = {"FVD": "fvd", "hp": "printed"}
    values: dict[tuple[str, str, str, str | None, int | None], Any] = {}
    for row in content["rows"]:
        setting = row["setting"].replace("->", "→") if row["table"] not in (1, 2) else None
        values[str(row["table"]), row["row"], names[row["metric"]], setting, None] = row["value"]
    for row in content["table8"]:
        for metric in ("fsd", "mse"):
            for lead, value in zip(content["table8_steps"], row[metric], strict=True):
                values["8", row["row"], metric, None, lead] = value
    return values


def test_every_transcribed_number_is_there_and_no_other(shared: Path) -> None:
    values = transcription(shared)
    for (table, row, metric, setting, lead), value in values.items():
        loaded = paper().look_up(table, row, metric, lead, setting).value
        assert loaded == (tuple(value) if isinstance(value, list) else value), (table, row, metric, setting, lead)
    assert len(values) == len(paper().values) == 243


def test_every_number_has_its_paper_and_its_protocol() -> None:
    for value in paper().values:
        assert value.paper == "arXiv 2402.09470v3"
        assert len(value.protocol) > 20 and value.setting and value.row
        assert value.metric == "printed" or math.isfinite(value.number)


def test_table_8_is_looked_up_by_row_metric_and_lead() -> None:
    assert paper().look_up("8", "Standard Diffusion (2-4)", "fsd", 24).number == 1094.0
    assert paper().look_up("8", "Rolling 10-Ensemble (2-8)", "mse", 8).number == 440.0
    assert paper().get("8", "Standard Diffusion (2-4)", "mse_ratio", 24) is None
    assert len(paper().rows("8")) == 11


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        (("8", "Standard Difusion (2-4)", "fsd", 1), "did you mean 'Standard Diffusion (2-"),
        (("8", "MSE (2-1)", "fvd", 1), "did you mean 'fsd'"),
        (("8", "MSE (2-1)", "fsd", 3), "no lead 3"),
        (("11", "MSE (2-1)", "fsd", 1), "unknown table '11'"),
        (("3", "Standard Diffusion", "fvd"), "name the setting"),
        (("10", "Standard Diffusion", "fvd", None, "stride=2"), "no setting 'stride=2'"),
    ],
)
def test_an_unknown_look_up_names_the_nearest_right_one(asked: tuple[Any, ...], named: str) -> None:
    with pytest.raises(UserError, match="^[^\n]*$") as error:
        paper().look_up(*asked)
    assert named in str(error.value)


OURS = {
    "Standard Diffusion (20-12)",
    "Diffusion Forcing (2-4)",
    "Diffusion Forcing (2-8)",
}  # rows that the paper has not


def test_the_rows_of_the_experiments_are_the_rows_of_the_paper() -> None:
    """A row is found by its printed name, so that must be verbatim; ours are all run, other people's methods are not."""
    modules = [import_module(f"experiments.{module.name}") for module in iter_modules(experiments.__path__)]
    tables = {m.TABLE.name: m.TABLE for m in modules if getattr(m, "TABLE", None) and m.TABLE.published}
    assert tables
    for table in tables.values():
        settings = [(row, setting.paper_name) for setting in table.settings for row in setting.rows]
        ours = {
            (row.paper_name or row.name, f"{label} {row.method.label}" if label else None) for row, label in settings
        }
        printed = paper().of(table.published)
        unmatched = {v.row for v in printed if not {(v.row, None), (v.row, v.setting)} & ours}
        extra = {row for row, label in ours if not any(v.row == row and label in (None, v.setting) for v in printed)}
        assert unmatched == OTHERS.get(table.published, set()), table.name
        assert extra <= EXTRA.get(table.published, set()), table.name


def test_a_text_is_not_a_number() -> None:
    with pytest.raises(UserError, match="not a number"):
        _ = paper().look_up("4", "Kolmogorov", "printed", setting="Blocks").number


@pytest.mark.parametrize(
    ("cut", "record", "field"),
    [
        ("paper: arXiv 0000.00000v1", "the file", "'paper'"),
        ("  protocol: as stated", "table 1", "'protocol'"),
        ("  title: One", "table 1", "'title'"),
        ("  setting: here", "table 1, row 'First'", "'setting'"),
        ("  leads: whole", "table 1", "'leads'"),
        (", fvd: 2.5", "table 1, row 'Second'", "'fvd'"),
        ("row: First, ", "table 1, row '#1'", "'row'"),
    ],
)
def test_an_incomplete_record_is_refused_by_file_record_and_field(
    cut: str, record: str, field: str, tmp_path: Path
) -> None:
    path = tmp_path / "other.yaml"
    path.write_text(RECORD)
    assert len(load(path).values) == 2
    assert cut in RECORD
    path.write_text(RECORD.replace(cut, ""))
    with pytest.raises(UserError) as error:
        load(path)
    assert "other.yaml" in str(error.value) and record in str(error.value) and field in str(error.value)


def test_an_unknown_field_and_a_missing_lead_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.yaml"
    path.write_text(RECORD.replace("note: odd", "nota: odd"))
    with pytest.raises(UserError, match="unknown field 'nota'; did you mean 'note'"):
        load(path)
    path.write_text(RECORD.replace("leads: whole", "leads: [1, 2]"))
    with pytest.raises(UserError, match="one value for each of the 2 leads"):
        load(path)
