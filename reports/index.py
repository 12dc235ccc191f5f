"""out/index.html: all tables of a folder, each with its headline, scale, verdicts and claims."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from reports.writers.html_parts import fill
from reports.writers.json_record import load
from rollbench.errors import UserError

WIDTH = 560  # pixels of a card's picture
SHELVES = ("Tables of the paper", "Figures of the paper", "Settings of the paper", "Beyond the paper")


def index(out: Path) -> Path:
    """Write the index of the tables in `out` and return its path.

    A folder without a table is skipped. A record that was edited by hand gets a card with that error and no number.
    """
    shelves: dict[str, list[dict[str, Any]]] = {shelf: [] for shelf in SHELVES}
    for path in sorted(out.glob("*/table.json"), key=lambda path: _natural(path.parent.name)):
        try:
            content = load(path)
        except UserError as error:
            content = {"title": path.parent.name, "scale_text": str(error), "command": ""}
        shelves[_shelf(path.parent.name, content)].append(_card(path.parent, content))
    path = out / "index.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(fill("index.html", "Rollbench", shelves=list(shelves.items())), encoding="utf-8", newline="\n")
    return path


def _shelf(folder: str, content: Mapping[str, Any]) -> str:
    if content.get("settings_of"):
        return SHELVES[2]
    if folder.startswith("figure"):
        return SHELVES[1]
    return SHELVES[0] if content.get("published") or folder.startswith("table") else SHELVES[3]


def _card(folder: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a table's card."""
    claims = Counter(claim["verdict"] for claim in content.get("claims", ()))
    counts = {"Against the paper": content.get("judged"), "The paper's claims": claims}
    links = [("the race", "search.html")] + [(kind, f"table.{kind}") for kind in ("md", "tex", "json")]
    cover, cover_dark = _covers(folder, content)
    texts = {name: content[name] for name in ("title", "scale_text", "command")}
    return texts | {
        "folder": folder.name,
        "published": content.get("published"),
        "headline": content.get("headline", ()),
        "tallies": [
            (label, ", ".join(f"{n} {verdict}" for verdict, n in of.items())) for label, of in counts.items() if of
        ],
        "files": [(label, file) for label, file in links if (folder / file).is_file()],
        "cover": cover,
        "cover_dark": cover_dark,
    }


def _covers(folder: Path, content: Mapping[str, Any]) -> tuple[str, str]:
    """A small picture of the table's rollouts, or else of its first figure, as data URIs for light and dark pages."""
    names = [name for name in content.get("pictures", ()) if name.endswith(".png") and "-dark." not in name]
    chosen = next((n for n in names if "rollouts" in n or "strip" in n), names[0] if names else "")
    path = folder / chosen
    if not path.is_file():
        return "", ""
    dark = path.with_stem(path.stem + "-dark")
    return _small(path), _small(dark) if dark.is_file() else ""


def _small(path: Path) -> str:
    """A picture as a small data URI, "" for a file that is not a picture."""
    try:
        with Image.open(path) as image:
            small = image.convert("RGB")
    except OSError:
        return ""
    small.thumbnail((WIDTH, WIDTH))
    sink = io.BytesIO()
    small.save(sink, format="WEBP", quality=80)
    return f"data:image/webp;base64,{base64.b64encode(sink.getvalue()).decode()}"


def _natural(folder: str) -> tuple[str, int, str]:
    """table2 before table10, and table8 before table8-smoke."""
    experiment = folder.partition("-")[0]
    digits = experiment[len(experiment.rstrip("0123456789")) :]
    return experiment.rstrip("0123456789"), int(digits or 0), folder
