"""The four outputs of a report: what they say, that they say it safely, and that they say the same twice."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from reports import format
from reports.index import index
from reports.model.published import paper
from reports.model.report import Notes
from reports.render import render
from reports.writers import latex, markdown
from rollbench.config.table import Claim, Table
from rollbench.errors import UserError
from tests.reports.test_cells import LEADS, results  # type: ignore[import-not-found]
from tests.support.tables import table_row, table_setting  # type: ignore[import-not-found]

HOSTILE = "<script>alert('x')</script> & 50% of_#1 $x^2$ {~} \\end{table} | *a* `b` é 😀"
TEXT: dict[str, Any] = {
    "name": "table8",
    "title": "Table 8",
    "caption": "Rollouts of a flow.",
    "published": "8",
    "claims": (
        Claim("Regression is worse", "Table 8", "fsd", "MSE (2-1)", ">", "Standard Diffusion (2-4)", factor=2.0),
        Claim(
            "Rolling wins", "Table 8", "fsd", "Rolling Diffusion (init noise) (2-8)", "<", "Standard Diffusion (2-8)"
        ),
    ),
}
SETTING: dict[str, Any] = {
    "name": "",
    "rows": paper().rows("8"),
    "metrics": ("fsd", "mse_ratio", "mse"),
    "leads": (*LEADS, 48),
    "frame_seconds": 1.5,
}
CONTEXT: dict[str, Any] = {
    "command": "python experiments/table8.py --scale laptop",
    "scale_text": "Scale laptop: 32×32 flow.",
    "notes": {"": Notes(("FSD over 128 trajectories.",))},
    "tracking": {"uri": "sqlite:////tmp/mlflow.db", "runs": {"MSE (2-1)": {0: "run-of-seed-0"}}},
}
FILES = ("table.md", "table.tex", "table.html", "table.json")


def written(folder: Path, frame: pd.DataFrame | None = None, **changes: Any) -> dict[str, str]:
    """The files of a report; `changes` to the text of the table or of its setting, or to the context around it."""
    fields = SETTING | {k: v for k, v in changes.items() if k in SETTING and k not in TEXT}
    of = table_setting(**fields | {"rows": map(table_row, fields["rows"])})
    table = Table(settings=(of,), **TEXT | {k: v for k, v in changes.items() if k in TEXT})
    texts = CONTEXT | {k: v for k, v in changes.items() if k not in TEXT | SETTING}
    page = render(results() if frame is None else frame, table, folder, **texts)
    assert page == folder / "table.html"
    return {name: (folder / name).read_text(encoding="utf-8") for name in FILES}


def hostile(folder: Path) -> dict[str, str]:
    """A report in which every text that comes from outside is hostile."""
    frame = results().replace({"row": {"MSE (2-1)": HOSTILE}})
    claim = Claim(HOSTILE, HOSTILE, "fsd", HOSTILE, "<", "Standard Diffusion (2-4)")
    texts = {
        "command": HOSTILE,
        "scale_text": HOSTILE,
        "notes": {"": Notes((HOSTILE,), HOSTILE)},
        "tracking": {HOSTILE: HOSTILE},
    }
    text = {"title": HOSTILE, "caption": HOSTILE, "rows": (HOSTILE, *paper().rows("8")), "claims": (claim,)}
    return written(folder, frame, **text, **texts)


class Page(HTMLParser):
    """The tags, links and visible text of a page; fails on a tag that closes nothing."""

    VOID = ("meta", "link", "img", "br", "source")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def tabulars(text: str) -> list[list[str]]:
    """The rows of each tabular, after a strict reading: ASCII, balanced braces and environments, no bare special."""
    assert text.isascii()
    body = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    assert not re.search(r"(?<!\\)[%#]", body)
    bare = re.sub(r"\\[{}$&#%_\\]", "", body)
    depth = 0
    for char in bare:
        depth += (char == "{") - (char == "}")
        assert depth >= 0
    assert depth == 0 and bare.count("$") % 2 == 0
    outside = "".join(re.sub(r"\$[^$]*\$", "", bare))
    assert not re.search(r"(?<!\\)[_^]", re.sub(r"\\label\{[^}]*\}", "", outside)), "an index outside mathematics"
    stack: list[str] = []
    for kind, name in re.findall(r"\\(begin|end)\{(\w+)\}", body):
        assert kind == "begin" or stack.pop() == name
        stack += [name] * (kind == "begin")
    assert stack == []
    tables = []
    wide = re.sub(r">\{[^{}]*\}p\{[^{}]*\}", "l", body)  # a column of paragraphs is a column
    for columns, inside in re.findall(r"\\begin\{tabular\}\{([lrc]+)\}(.*?)\\end\{tabular\}", wide, flags=re.DOTALL):
        rows = [row for row in inside.split(r"\\") if re.sub(r"\\(top|mid|bottom)rule", "", row).strip()]
        assert all(len(re.split(r"(?<!\\)&", row)) == len(columns) for row in rows)
        tables.append(rows)
    return tables


def test_every_output_has_each_of_our_numbers_and_the_papers(tmp_path: Path) -> None:
    frame = results()
    files = written(tmp_path, frame)
    for record in frame.to_dict("records"):
        value = format.numeral(record["value"])
        assert value.split("·")[0] in files["table.md"] and value in files["table.html"]
        assert value.split("·")[0] in files["table.tex"]
    for text in files.values():
        assert "39.59" in text and "5453" in text  # the paper's Standard (2-1) at lead 1 and MSE (2-1) at lead 24
        assert "other scale" in text
    full = written(tmp_path / "full", frame.assign(scale="paper"))["table.md"]
    assert "the paper: other protocol" in full and "the paper: other scale" not in full


def test_the_json_has_all_digits_and_what_made_them(tmp_path: Path) -> None:
    frame = results(seeds=(0,))
    content = json.loads(written(tmp_path, frame)["table.json"])
    lines = {(b["metric"], line["row"]): line for b in content["blocks"] for line in b["rows"]}
    for record in frame.to_dict("records"):
        (cell,) = [c for c in lines[record["metric"], record["row"]]["cells"] if c and c["lead"] == record["lead"]]
        assert cell["value"] == record["value"] and cell["n"] == 128
        (made,) = cell["made_by"]
        assert made["results_key"] == record["results_key"] and made["commit"] == record["commit"]
    assert lines["fsd", "MSE (2-1)"]["cells"][0]["made_by"][0]["run"] == "run-of-seed-0"
    assert lines["fsd", "MSE (2-1)"]["paper"] == [304.7, 687.1, 1007, 1649, 5453]
    assert content["paper"][0]["protocol"].startswith("FSD (Eq. 27)")
    assert [claim["verdict"] for claim in content["claims"]] == ["shows", "not run"]
    assert "MSE (2-4)" in content["not_run"] and content["command"] == CONTEXT["command"]


def test_every_row_and_seed_is_traced_to_its_run_its_keys_and_its_commit(tmp_path: Path) -> None:
    frame = results(seeds=(0, 1)).assign(commit="0123456789abcdef+changes")
    files = written(tmp_path, frame)
    for row, seed, *keys in set(
        zip(*(frame[c] for c in ("row", "seed", "data_key", "reference_key", "results_key")), strict=True)
    ):
        (line,) = [x for x in files["table.md"].splitlines() if x.startswith(f"| `{row}` | `{seed}` |")]
        assert all(f"`{key}`" in line for key in keys) and "`0123456789ab+changes`" in line
        assert all(f"<code>{key}</code>" in files["table.html"] for key in keys)
        features = frame[(frame["row"] == row) & (frame["seed"] == seed)]["features_key"].iloc[0]
        assert not isinstance(features, str) or f"`{features}`" in line
        assert ("`run-of-seed-0`" in line) == ((row, seed) == ("MSE (2-1)", 0))


def test_the_order_is_the_tables_then_the_trivial_rows_then_the_floor(tmp_path: Path) -> None:
    content = json.loads(written(tmp_path, results().sample(frac=1, random_state=1))["table.json"])
    order = [row for row in paper().rows("8") if row not in content["not_run"]]
    for block in content["blocks"]:
        assert [line["row"] for line in block["rows"]] == [*order, "climatology", "persistence", "real vs real"]
        assert block["leads"] == list(LEADS)


def test_the_best_are_those_that_the_paired_interval_cannot_tell_apart(tmp_path: Path) -> None:
    content = json.loads(written(tmp_path)["table.json"])
    best = {
        (line["row"], cell["lead"]) for line in content["blocks"][0]["rows"] for cell in line["cells"] if cell["best"]
    }
    standard, rolling = "Standard Diffusion (2-4)", "Rolling Diffusion (init noise) (2-4)"
    bold_methods = {(standard, lead) for lead in LEADS} | {(rolling, lead) for lead in (1, 2, 4)}
    assert best == bold_methods | {("persistence", lead) for lead in LEADS}, "no method is below persistence"
    assert not any(cell["best"] for block in content["blocks"][1:] for line in block["rows"] for cell in line["cells"])


def test_rendering_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    assert written(tmp_path / "one") == written(tmp_path / "two")


def test_latex_is_well_formed_and_has_a_table_for_each_metric_and_the_cost(tmp_path: Path) -> None:
    tables = tabulars(written(tmp_path)["table.tex"])
    assert [len(rows) for rows in tables] == [1 + 5 + 5 + 3, 1 + 5 + 3, 1 + 5 + 5 + 3, 1 + 5]
    assert tables[0][0].count("&") == 5 + 4


def test_hostile_names_stay_text_in_latex(tmp_path: Path) -> None:
    text = hostile(tmp_path)["table.tex"]
    assert tabulars(text)
    spelled = r"50\% of\_\#1 \$x\textasciicircum{}2\$ \{\textasciitilde{}\} \textbackslash{}end\{table\} \textbar{}"
    assert spelled in text and r"\'{e} U+1F600" in text


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("100 % & more", r"100 \% \& more"),
        ("a_b^c~d\\e", r"a\_b\textasciicircum{}c\textasciitilde{}d\textbackslash{}e"),
        ("“x” – ≈ 2 × 3·10⁴", r"``x'' -- $\approx$ 2 $\times$ 3$\cdot$10$^{4}$"),
        ("Fréchet", r"Fr\'{e}chet"),
        ("流", "U+6D41"),
        ("a\x07b\nc", "ab c"),
    ],
)
def test_latex_spells(text: str, spelled: str) -> None:
    assert latex.escape(text) == spelled


def test_html_is_well_formed_and_loads_nothing(tmp_path: Path) -> None:
    page = Page(written(tmp_path)["table.html"])
    identities = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(identities) == len(set(identities))
    links = [attributes["href"] or "" for tag, attributes in page.tags if tag == "a"]
    assert {link[1:] for link in links if link.startswith("#")} <= set(identities)
    assert {link for link in links if not link.startswith("#")} == {"../index.html"}
    assert not [tag for tag, attributes in page.tags if tag in ("script", "iframe") or "src" in attributes]
    assert "prefers-color-scheme: dark" in page.text and "url(" not in page.text and "@import" not in page.text


def test_hostile_names_stay_text_in_html(tmp_path: Path) -> None:
    text = hostile(tmp_path)["table.html"]
    page = Page(text)
    assert "<script" not in text.lower()
    assert HOSTILE in page.text
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "em"})
    entry = Page(index(tmp_path.parent).read_text(encoding="utf-8"))
    assert HOSTILE in entry.text and "script" not in {tag for tag, _ in entry.tags}


def test_figures_and_animation_are_inside_the_page(tmp_path: Path) -> None:
    drawing = '<svg xmlns="http://www.w3.org/2000/svg" width="4" height="4"/>'
    for name in ("fsd.svg", "fsd-dark.svg", "fsd.png", "animation.webp"):
        (tmp_path / name).write_text(drawing)
    paths = [tmp_path / name for name in ("fsd.png", "fsd.svg", "fsd-dark.svg")]
    files = written(tmp_path, figures=paths, animations=[tmp_path / "animation.webp"])
    assert re.findall(r"!\[.*\]\((.*)\)", files["table.md"]) == ["fsd.png", "animation.webp"]
    page = Page(files["table.html"])
    sources = [attributes["src"] or "" for tag, attributes in page.tags if tag == "img"]
    assert [source.split(";")[0] for source in sources] == ["data:image/svg+xml", "data:image/webp"]
    (dark,) = [attributes for tag, attributes in page.tags if tag == "source"]
    assert dark["media"] == "(prefers-color-scheme: dark)" and (dark["srcset"] or "").startswith("data:image/svg")
    with pytest.raises(ValueError, match="cannot be shown in a page"):
        written(tmp_path, figures=[tmp_path / "table.tex"])


def test_markdown_tables_are_rectangular_and_hostile_names_stay_text(tmp_path: Path) -> None:
    for text in (written(tmp_path / "a")["table.md"], hostile(tmp_path / "b")["table.md"]):
        widths: list[int] = []
        for line in text.splitlines():
            if not line.lstrip().startswith("| "):
                widths = []
                continue
            widths.append(len(re.findall(r"(?<!\\)\|", line)))
            assert widths[-1] == widths[0], line
        outside = re.sub(r"```.*?```|`[^`]*`", "", text, flags=re.DOTALL)
        assert "<script" not in outside
    assert markdown.escape("a|b*c*<d>_e_`f`") == r"a\|b\*c\*&lt;d&gt;\_e\_\`f\`"


def test_a_method_that_the_table_does_not_name_is_refused(tmp_path: Path) -> None:
    frame = results().replace({"row": {"MSE (2-1)": "MSE (2-3)"}})
    with pytest.raises(UserError, match=r"'MSE \(2-3\)', which the table does not name; did you mean 'MSE \(2-"):
        written(tmp_path, frame)
    assert not any((tmp_path / name).exists() for name in FILES)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metrics": ("mse_rato",)}, "unknown metric 'mse_rato'; did you mean 'mse_ratio'"),
        ({"leads": ()}, "'fsd' is given by lead, and there are no leads"),
        ({"metrics": ()}, "has no metrics"),
        ({"rows": ()}, "has no rows: give at least one"),
        ({"rows": ("MSE (2-1)", "MSE (2-1)")}, r"two rows 'MSE \(2-1\)'"),
        ({"leads": (3,)}, "no result has one of the metrics"),
        ({"published": "88"}, "unknown table '88'"),
    ],
)
def test_a_table_that_says_nonsense_is_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        written(tmp_path, **changes)
