"""The index over all pages: shelves in order, a headline and a picture on each card, only links that lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from PIL import Image

from reports.figures.rollouts import rollout_picture
from reports.index import WIDTH, index
from reports.model.published import paper
from reports.settings_table import settings_table
from tests.reports.test_cells import results  # type: ignore[import-not-found]
from tests.reports.test_render import Page, written  # type: ignore[import-not-found]
from tests.reports.test_settings import results as settings_results  # type: ignore[import-not-found]
from tests.reports.test_settings import written as settings_written  # type: ignore[import-not-found]


def test_every_kind_of_page_stands_on_its_shelf_in_order(tmp_path: Path) -> None:
    assert "No table has been made yet" in index(tmp_path / "empty").read_text()
    for name in ("table10", "table2", "figure4"):
        written(tmp_path / name, name=name, title=f"The {name}")
    written(tmp_path / "sweep", name="sweep", title="The sweep", published="")
    settings_table("4", {p.setting: p.value for p in paper().of("4")}, tmp_path / "table4", command="c")
    (tmp_path / "notes").mkdir()
    page = Page(index(tmp_path).read_text(encoding="utf-8"))
    links = [attributes["href"] or "" for tag, attributes in page.tags if tag == "a"]
    assert [link.split("/")[0] for link in links if link.endswith("html")] == [
        "table2",
        "table10",
        "figure4",
        "table4",
        "sweep",
    ]
    assert all((tmp_path / link).is_file() for link in links)
    shelves = ["Tables of the paper", "Figures of the paper", "Settings of the paper", "Beyond the paper"]
    assert sorted(shelves, key=page.text.index) == shelves


def test_a_card_tells_the_headline_the_verdicts_and_the_claims(tmp_path: Path) -> None:
    settings_written(tmp_path / "table3", settings_results())
    text = Page(index(tmp_path).read_text(encoding="utf-8")).text
    assert "FVD – stride 8, 24 frames: the lowest of 2 is Rolling β = 0.1 (5-11), 45.0 [" in text
    assert "FVD – stride 1, 64 frames: the lowest of 3 is Standard Diffusion (5-11), stride 1, 120 [" in text
    assert text.count("the floor is 6.00.") == 2
    assert "Against the paper: 3 reproduced, 2 not reproduced" in text and "The paper's claims: 2 shows" in text


def test_a_headline_names_the_lead_and_the_rows_that_tie_with_the_best(tmp_path: Path) -> None:
    written(tmp_path / "table8", leads=(1, 2))
    text = Page(index(tmp_path).read_text(encoding="utf-8")).text
    assert "FSD @2 (3 s): the lowest of 5 is Rolling Diffusion (init noise) (2-4), " in text
    assert "; not distinguishable from Standard Diffusion (2-4); the best trivial forecast is persistence, 9." in text
    assert ": no method beats it; the floor is " in text


def test_a_headline_counts_the_methods_that_beat_the_best_trivial_forecast(tmp_path: Path) -> None:
    """By paired intervals; persistence at four times its value lies above three methods."""
    frame = results()
    fails = (frame["row"] == "persistence") & (frame["metric"] == "fsd")
    for column in ("value", "low", "high", "replicates"):
        frame.loc[fails, column] = frame.loc[fails, column] * 4
    text = written(tmp_path / "table8", frame, leads=(1, 2))["table.md"]
    assert re.search(r"the best trivial forecast is persistence, 3\d\.\d: 3 of 5 methods beat it; the floor is", text)
    assert "**3" not in text, "a trivial forecast that is beaten is not bold"


def test_a_card_has_a_small_picture_in_light_and_in_dark(tmp_path: Path) -> None:
    out = tmp_path / "table8"
    paths = rollout_picture({"truth": np.random.default_rng(0).standard_normal((4, 8, 8))}, (1, 2, 3, 4), out)
    written(out, figures=paths)
    page = Page(index(tmp_path).read_text(encoding="utf-8"))
    (image,) = [attributes for tag, attributes in page.tags if tag == "img"]
    (dark,) = [attributes for tag, attributes in page.tags if tag == "source"]
    assert (image["src"] or "").startswith("data:image/webp") and dark["srcset"] != image["src"]
    assert Image.open(out / "rollouts.png").width > WIDTH
    assert len(image["src"] or "") < 100_000


def test_reports_are_in_natural_order_and_a_broken_picture_is_left_out(tmp_path: Path) -> None:
    for name in ("table10", "table8-smoke-training.steps=4", "table8", "table2"):
        written(tmp_path / name)
    (tmp_path / "table2/rollouts.png").write_bytes(b"not a picture")
    written(tmp_path / "table2", figures=[tmp_path / "table2/rollouts.png"])
    page = index(tmp_path).read_text()
    positions = [
        page.index(f'href="{name}/table.html"') for name in ("table2", "table8", "table8-smoke", "table10")[:2]
    ]
    assert positions == sorted(positions)
    assert page.index('"table8-smoke-training.steps=4/table.html"') < page.index('"table10/table.html"')
