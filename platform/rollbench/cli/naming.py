"""The name of a report and the texts of a table on other data than its own."""

from __future__ import annotations

import argparse
import hashlib
import re
from dataclasses import replace

from rollbench.config.table import Table
from rollbench.datasets.ingested import Ingested
from rollbench.errors import UserError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=+-]{0,79}")
DEFAULT_SCALE = "laptop"


def report_name(experiment: str, options: argparse.Namespace) -> str:
    """The folder of a report: that of --name, else the experiment's name with all that differs from a plain run, so that no other
    scale, data or --set writes into it."""
    if name := given_name(options):
        return name
    data = [_data_label(options.data)] if options.data else []
    differences = [options.scale] * (options.scale != DEFAULT_SCALE) + data + sorted(options.set)
    label = "-".join(re.sub(r"[^A-Za-z0-9._=+]+", "-", text).strip("-") for text in differences)
    if len(label) > 60:
        label = f"{label[:48].rstrip('-')}-{hashlib.sha256(repr(differences).encode()).hexdigest()[:8]}"
    return f"{experiment}-{label}" if label else experiment


def given_name(options: argparse.Namespace) -> str:
    """The value of --name, "" without one. Raises UserError for a text that is not a folder's name."""
    name = getattr(options, "report_name", None) or ""  # other commands have no --name, or one of another meaning
    if name and not NAME.fullmatch(name):
        allowed = "letters, digits and . _ = + -, at most 80 of them, a letter or digit first"
        raise UserError(f"--name {name!r} is not a folder's name: use {allowed}")
    return name


def _data_label(source: str) -> str:
    """A source in a few letters; paths and keys with a hash, so that two folders of one name differ."""
    kind, _, path = source.partition(":")
    return f"{_stem(source)}-{hashlib.sha256(path.encode()).hexdigest()[:6]}" if path else kind


def _stem(source: str) -> str:
    """The last part of a source's path; of keys the first one."""
    kind, _, path = source.partition(":")
    parts = re.split(r"[/\\,]", path.rstrip("/\\"))
    return parts[0 if kind == "corpora" else -1][:20] or "data"


def on_its_data(table: Table, options: argparse.Namespace) -> Table:
    """The table with its name, and with texts that fit its data. On the user's own data it has no values or claims of the paper; on a
    stand-in its title says so. A title or caption that --set gives stays."""
    if name := given_name(options):
        table = replace(table, name=name)
    described = "; ".join(dict.fromkeys(setting.data.describe() for setting in table.settings))
    if any(isinstance(setting.data, Ingested) and setting.data.serves == "own" for setting in table.settings):
        title = f"{name or _stem(options.data)}: rollouts by lead time"
        caption = f"Data: {described}. The rows and their settings are those of “{table.title}”."
        settings = tuple(
            replace(setting, paper_name="", rows=tuple(replace(row, paper_name="") for row in setting.rows))
            for setting in table.settings
        )
        table = replace(table, published="", claims=(), settings=settings)
    elif all(setting.stand_in is not None for setting in table.settings):
        title, caption = f"{table.title}, on a stand-in", f"Data: {described}. {table.caption}"
    else:
        return table
    given = {change.partition("=")[0] for change in options.set}
    return replace(
        table,
        title=table.title if "title" in given else title,
        caption=table.caption if "caption" in given else caption,
    )
