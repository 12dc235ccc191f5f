"""out/index.html: the tables made so far, each with its scale and its claims."""

from __future__ import annotations

import json
from collections import Counter
from html import escape
from pathlib import Path
from typing import Any

from reports.page import document


def index(out: Path) -> Path:
    """Write the index of the tables that lie in `out` and return its path. A folder without a table is passed
    over.
    """
    tables = [(path.parent.name, json.loads(path.read_text(encoding="utf-8"))) for path in out.glob("*/table.json")]
    cards = "\n".join(_card(folder, table) for folder, table in sorted(tables, key=lambda t: _natural(t[0])))
    body = (
        "<h1>Rollbench</h1>\n<p>Which way of generating a long sequence of frames is better, at equal cost, and how "
        "sure are we? Each table below was made by one command and says how to trace its numbers.</p>\n"
    )
    body += f'<ul class="cards">\n{cards}\n</ul>' if cards else "<p>No table has been made yet.</p>"
    path = out / "index.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(document("Rollbench", body), encoding="utf-8", newline="\n")
    return path


def _card(folder: str, table: dict[str, Any]) -> str:
    verdicts = Counter(claim["verdict"] for claim in table["claims"])
    said = f'<p class="soft">Claims: {escape(", ".join(f"{verdict} {n}" for verdict, n in verdicts.items()))}</p>'
    links = " · ".join(f'<a href="{escape(folder)}/table.{kind}">{kind}</a>' for kind in ("md", "tex", "json"))
    return (
        f'<li><h2><a href="{escape(folder)}/table.html">{escape(table["title"])}</a></h2>'
        f"<p>{escape(table['scale_text'])}</p>{said if verdicts else ''}"
        f'<p class="soft"><code>{escape(table["command"])}</code></p><p class="soft">{links}</p></li>'
    )


def _natural(folder: str) -> tuple[str, int, str]:
    """table2 before table10."""
    digits = "".join(c for c in folder if c.isdigit())
    return folder.rstrip("0123456789"), int(digits or 0), folder
