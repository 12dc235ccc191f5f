"""Altered results and reference data: a page is made, or one line says what is wrong with them."""

from __future__ import annotations

import copy
import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from reports.model import published
from reports.model.cells import COLUMNS
from rollbench.errors import UserError
from tests.reports.test_cells import results  # type: ignore[import-not-found]
from tests.reports.test_render import written  # type: ignore[import-not-found]
from tests.support.fuzzing import campaign, mutated, printable, scalars, torn, values

FRAME = results()
CONTENT = yaml.safe_load(published.PAPER.read_text(encoding="utf-8"))
SMALL = {**CONTENT, "tables": [{**t, "rows": t["rows"][:2]} for t in CONTENT["tables"]][:3]}
things = st.one_of(scalars, values, st.just(np.nan), st.just(pd.NA), st.just(np.float32(2)), st.just([0.5] * 30))

Deed = tuple[str, str, Any, int]


def altered(deeds: list[Deed]) -> pd.DataFrame:
    """The results with one cell or column after another replaced, dropped, recast or given twice."""
    frame = FRAME.copy()
    for deed, column, thing, row in deeds:
        if deed == "row":
            frame = pd.concat([frame, frame.iloc[[row % len(frame)]]], ignore_index=True) if len(frame) else frame
        elif column not in frame.columns:
            continue
        elif deed == "drop":
            frame = frame.drop(columns=column)
        elif deed == "text":
            frame[column] = frame[column].map(str)
        elif deed == "column":
            frame[column] = pd.Series([thing] * len(frame), index=frame.index, dtype=object)
        elif len(frame):
            cells = frame[column].astype(object).tolist()
            cells[row % len(cells)] = thing
            frame[column] = pd.Series(cells, index=frame.index, dtype=object)
    return frame


deeds = st.lists(
    st.tuples(
        st.sampled_from(("cell", "cell", "column", "drop", "text", "row")),
        st.sampled_from(COLUMNS),
        things,
        st.integers(0, 500),
    ),
    min_size=1,
    max_size=2,
)


@campaign(40)
@given(deeds)
@example([("cell", "value", "a text", 0)])
@example([("cell", "value", None, 0)])
@example([("column", "value", 10**400, 0)])
@example([("text", "lead", None, 0)])
@example([("cell", "lead", math.inf, 0)])
@example([("cell", "lead", np.zeros(3), 0)])
@example([("cell", "seconds", -(10**400), 0)])
@example([("cell", "n", "many", 0)])
@example([("cell", "replicates", ["a"] * 30, 0)])
@example([("cell", "kind", [], 0)])
@example([("cell", "seed", None, 0)])
@example([("column", "parameters", "many", 0)])
@example([("column", "row", 5, 0)])
def test_altered_results_are_a_page_or_a_line(several: list[Deed]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            files = written(Path(folder) / "out", altered(several))
        except UserError as error:
            assert str(error) and not (Path(folder) / "out").exists()
        else:
            assert all(files.values())


def load(text: str | bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "paper.yaml"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        try:
            numbers = published.load(file)
        except UserError as error:
            assert "paper.yaml" in str(error)
        else:
            for table in numbers.titles:
                assert all(value.row and value.protocol for value in numbers.of(table))


@campaign(60)
@given(
    mutated(SMALL, st.one_of(st.none(), st.booleans(), st.integers(), printable, st.lists(st.integers(), max_size=2)))
)
@example({**SMALL, "tables": [5]})
@example({**SMALL, "tables": 5})
@example({**SMALL, "tables": [{**SMALL["tables"][0], "rows": ["a"]}]})
@example({**SMALL, "tables": [{**SMALL["tables"][0], "rows": 5}]})
@example({**SMALL, "tables": [{**SMALL["tables"][0], "metrics": 5}]})
@example({**SMALL, "tables": [{**SMALL["tables"][0], "leads": 5}]})
@example({**SMALL, "tables": [{**SMALL["tables"][0], "comparable": 5}]})
def test_altered_reference_data_are_read_or_refused(content: Any) -> None:
    load(yaml.safe_dump(copy.deepcopy(content), allow_unicode=True))


@campaign(20)
@given(torn(yaml.safe_dump(SMALL).encode()))
@example(b"paper: [")
@example(b"\xff\xfe")
@example(b"paper: !!python/object/apply:os.system ['true']")
def test_a_torn_file_of_reference_data_is_read_or_refused(data: bytes) -> None:
    load(data)


def test_what_is_not_altered_is_read() -> None:
    assert len(published.load(published.PAPER).values) > 100
