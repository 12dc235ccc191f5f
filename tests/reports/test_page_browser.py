"""The pages in a real browser: no errors, every link has a target, animations play, names are text, a phone shows everything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest

from reports.figures.over_leads import over_leads
from reports.figures.rollouts import rollout_animation, rollout_picture, rollout_strip
from reports.index import index
from reports.model.published import paper
from reports.render import render
from reports.settings_table import settings_table
from rollbench.config.table import Table
from tests.reports.test_cells import results as flow_results  # type: ignore[import-not-found]
from tests.reports.test_render import CONTEXT, SETTING, TEXT  # type: ignore[import-not-found]
from tests.reports.test_settings import NOTES, results, table3  # type: ignore[import-not-found]
from tests.support.chromium import Browser, executable  # type: ignore[import-not-found]
from tests.support.tables import table_row, table_setting  # type: ignore[import-not-found]

HOSTILE = "<script>alert(1)</script>"
PAGES = ("index.html", "table3/table.html", "table7/table.html", "table8/table.html")

pytest.importorskip("playwright", reason="playwright is not installed: pip install -e .[dev]")
pytestmark = pytest.mark.skipif(executable() is None, reason="no chromium on this machine: apt-get install chromium")


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three tables and an index: one with a hostile row and curves, one of several settings with video, one of settings."""
    out = tmp_path_factory.mktemp("out")
    rng = np.random.default_rng(0)
    frame = flow_results().replace({"row": {"MSE (2-1)": HOSTILE}})
    rows = map(table_row, (HOSTILE, *paper().rows("8")))
    table = Table(settings=(table_setting(**SETTING | {"rows": rows}),), **TEXT | {"title": f"Table 8 {HOSTILE}"})
    samples = {"truth": rng.standard_normal((6, 16, 16)), HOSTILE: rng.standard_normal((6, 16, 16))}
    here = out / "table8"
    figures = [*over_leads(frame, "fsd", (), here), *rollout_picture(samples, (1, 2, 4), here)]
    animation = rollout_animation(samples, here / "rollouts.webp")
    render(frame, table, here, figures=figures, animations=[animation], config={"row": HOSTILE}, **CONTEXT)
    here = out / "table3"
    video = {name: rng.integers(0, 255, (12, 16, 16, 3), np.uint8) for name in ("truth", "Rolling β = 0.1 (5-11)")}
    strip = rollout_strip(video, here, context=5)
    animation = rollout_animation(video, here / "rollouts.webp", kind="video", context=5)
    render(
        results(),
        table3(),
        here,
        figures=strip,
        animations=[animation],
        command="c",
        scale_text="Scale: paper.",
        notes=NOTES,
    )
    ours = {p.setting: p.value for p in paper().of("7")} | {HOSTILE: HOSTILE}
    settings_table("7", ours, out / "table7", command="c", notes={HOSTILE: HOSTILE})
    index(out)
    return out


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    browser = Browser()
    yield browser
    browser.close()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_loads_only_itself_and_logs_no_error(name: str, out: Path, browser: Browser) -> None:
    for dark in (False, True):
        browser.open(out / name, dark=dark)
        assert browser.complaints() == []
        assert browser.loaded() == [(out / name).as_uri()]


@pytest.mark.parametrize("name", PAGES)
def test_every_link_has_a_target(name: str, out: Path, browser: Browser) -> None:
    browser.open(out / name)
    assert (
        browser.run("[...document.querySelectorAll('[id]')].map(e => e.id).filter((v, i, a) => a.indexOf(v) != i)")
        == []
    )
    links = browser.run("[...document.querySelectorAll('a')].map(a => a.getAttribute('href'))")
    assert links
    for link in links:
        if link.startswith("#"):
            assert browser.run(f"!!document.getElementById({link[1:]!r})"), link
        else:
            assert ((out / name).parent / unquote(link)).is_file(), link


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("name", PAGES)
def test_pictures_and_animations_are_decoded(name: str, dark: bool, out: Path, browser: Browser) -> None:
    browser.open(out / name, dark=dark)
    shown = browser.run(
        "Promise.all([...document.images].map(i => i.decode().then(() => [i.currentSrc.slice(0, 16), i.naturalWidth, i.clientWidth])))"
    )
    assert all(natural > 0 and seen > 0 for _, natural, seen in shown)
    kinds = {source.split(";")[0] for source, *_ in shown}
    assert kinds == {"index.html": {"data:image/webp"}, "table7/table.html": set()}.get(
        name, {"data:image/svg+x", "data:image/webp"}
    )


def test_an_animation_has_all_frames(out: Path, browser: Browser) -> None:
    browser.open(out / "table3/table.html")
    frames = browser.run(
        "(async () => { const data = await (await fetch(document.querySelector('.rollout img').src)).arrayBuffer();"
        " const decoder = new ImageDecoder({data, type: 'image/webp'}); await decoder.tracks.ready; await decoder.completed;"
        " return decoder.tracks.selectedTrack.frameCount; })()"
    )
    assert frames == 12


@pytest.mark.parametrize("name", PAGES)
def test_a_phone_shows_it_without_scrolling_the_page_sideways(name: str, out: Path, browser: Browser) -> None:
    browser.open(out / name, width=390)
    assert browser.run("innerWidth") == 390
    beyond = browser.run(
        "[...document.querySelectorAll('body *')].filter(e => !e.closest('.wide, pre') && "
        "e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 120))"
    )
    assert beyond == []
    assert browser.run("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("name", ["index.html", "table7/table.html", "table8/table.html"])
def test_hostile_names_are_text(name: str, out: Path, browser: Browser) -> None:
    browser.open(out / name)
    assert browser.run("document.scripts.length") == 0
    assert HOSTILE in browser.run("document.body.textContent")
    assert browser.complaints() == []


def test_a_click_on_a_number_shows_its_provenance(out: Path, browser: Browser) -> None:
    browser.open(out / "table3/table.html")
    assert browser.run("document.querySelectorAll('a.number').length") == 4 + 8 + 5
    browser.run("document.querySelector('tr.ours a.number').click()")
    made_by = browser.run("document.querySelector(':target').textContent")
    row = browser.run("document.querySelector('tr.ours th').textContent")
    assert made_by.startswith(row) and "c0ffee" in made_by
    top, bottom = browser.run("(r => [r.top, r.bottom])(document.querySelector(':target').getBoundingClientRect())")
    assert bottom > 0 and top < 844


def test_the_checks_find_planted_faults(tmp_path: Path, browser: Browser) -> None:
    """A page with each fault that the tests above exclude."""
    page = tmp_path / "bad.html"
    page.write_text(
        '<p style="width: 900px">x</p><a href="#gone">y</a><img src="nothing.png"><script>throw new Error("no")</script>'
    )
    browser.open(page, width=390)
    complaints = browser.complaints()
    assert len(complaints) == 2
    assert any("nothing.png" in text for text in complaints) and any("exception: no" in text for text in complaints)
    assert len(browser.loaded()) == 2 and browser.run("document.images[0].naturalWidth") == 0
    assert browser.run("document.documentElement.scrollWidth") > 390
    assert not browser.run("!!document.getElementById('gone')")
