"""out/index.html: what was made so far, each table with its headline, its scale, its verdicts and its claims."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from PIL import Image

from reports.writers.html_parts import document
from reports.writers.json_record import load
from rollbench.errors import UserError

WIDTH = 560  # pixels of a card's picture
SHELVES = ("Tables of the paper", "Figures of the paper", "Settings of the paper", "Beyond the paper")


def index(out: Path) -> Path:
    """Write the index of the tables that lie in `out` and return its path. A folder without a table is passed over; of a
    record that was changed by hand nothing is shown but that it was.
    """
    shelves: dict[str, list[str]] = {shelf: [] for shelf in SHELVES}
    for path in sorted(out.glob("*/table.json"), key=lambda path: _natural(path.parent.name)):
        try:
            content = load(path)
        except UserError as error:
            content = {"title": path.parent.name, "scale_text": str(error), "command": ""}
        shelves[_shelf(path.parent.name, content)].append(_card(path.parent, content))
    body = (
        "<h1>Rollbench</h1>\n<p>Which way of generating a long sequence of frames is better, at equal cost, and how "
        "sure are we? Each page below was made by one command and says how to trace its numbers.</p>\n"
    )
    for shelf, cards in shelves.items():
        if cards:
            body += f'<h2>{shelf}</h2>\n<ul class="cards">\n' + "\n".join(cards) + "\n</ul>\n"
    if not any(shelves.values()):
        body += "<p>No table has been made yet.</p>"
    path = out / "index.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(document("Rollbench", body), encoding="utf-8", newline="\n")
    return path


def _shelf(folder: str, content: Mapping[str, Any]) -> str:
    if content.get("settings_of"):
        return SHELVES[2]
    if folder.startswith("figure"):
        return SHELVES[1]
    return SHELVES[0] if content.get("published") or folder.startswith("table") else SHELVES[3]


def _card(folder: Path, content: Mapping[str, Any]) -> str:
    name = escape(folder.name)
    said = [f'<p class="headline">{escape(sentence)}</p>' for sentence in content.get("headline", ())]
    said.append(f'<p class="soft">{escape(content["scale_text"])}</p>')
    claims = Counter(claim["verdict"] for claim in content.get("claims", ()))
    for label, counts in (("Against the paper", content.get("judged", {})), ("The paper's claims", claims)):
        if counts:
            tally = ", ".join(f"{n} {verdict}" for verdict, n in counts.items())
            said.append(f'<p class="soft">{label}: {escape(tally)}</p>')
    links = [kind for kind in ("md", "tex", "json") if (folder / f"table.{kind}").is_file()]
    files = " · ".join(f'<a href="{name}/table.{kind}">{kind}</a>' for kind in links)
    if (folder / "search.html").is_file():
        files = f'<a href="{name}/search.html">the race</a> · {files}'
    title = escape(content["title"])
    return (
        f'<li>{_picture(folder, content)}{_number(content)}<h3><a href="{name}/table.html">{title}</a></h3>{"".join(said)}'
        f'<p class="soft"><code>{escape(content["command"])}</code></p><p class="soft files">{files}</p></li>'
    )


def _number(content: Mapping[str, Any]) -> str:
    """The paper's number of the table."""
    return f'<p class="number">Table {escape(content["published"])}</p>' if content.get("published") else ""


def _picture(folder: Path, content: Mapping[str, Any]) -> str:
    """A small picture of the table's rollouts, or else of its first figure, in light and in dark."""
    names = [name for name in content.get("pictures", ()) if name.endswith(".png") and "-dark." not in name]
    chosen = next((n for n in names if "rollouts" in n or "strip" in n), names[0] if names else "")
    if not (folder / chosen).is_file():
        return ""
    path = folder / chosen
    dark = path.with_stem(path.stem + "-dark")
    source = f'<source media="(prefers-color-scheme: dark)" srcset="{_small(dark)}">' if dark.is_file() else ""
    return f'<picture>{source}<img class="cover" src="{_small(path)}" alt=""></picture>'


def _small(path: Path) -> str:
    with Image.open(path) as image:
        small = image.convert("RGB")
        small.thumbnail((WIDTH, WIDTH))
        sink = io.BytesIO()
        small.save(sink, format="WEBP", quality=80)
    return f"data:image/webp;base64,{base64.b64encode(sink.getvalue()).decode()}"


def _natural(folder: str) -> tuple[str, int, str]:
    """table2 before table10."""
    digits = "".join(c for c in folder if c.isdigit())
    return folder.rstrip("0123456789"), int(digits or 0), folder
