"""Samples that were made elsewhere as rows of a table.

    rollbench contexts table8 --out contexts/              write what a model is given: test contexts, with --train training clips
    rollbench enter table8 --samples mine/ --name "Mine"   check, store and score samples; the table's report shows them from then on
    rollbench entries table8 [--remove NAME]               list what was entered

All three take the options of the experiment, which select the table that is meant.
"""

from __future__ import annotations

import argparse
import importlib
import math
import re
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rollbench.cli.errors import Parser, argv, run_guarded
from rollbench.cli.experiment import plan, run_context
from rollbench.cli.options import add_options
from rollbench.config.overrides import as_user_error
from rollbench.config.search import Search
from rollbench.config.table import Figure, Table
from rollbench.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from rollbench.pipeline.graph import Pipeline, SettingStages, Stage
    from rollbench.store.artifact import Store

HELPS = {
    "contexts": "write the contexts of a table's test clips for a model that is trained elsewhere",
    "enter": "score samples that were made elsewhere as a row of a table",
    "entries": "list or remove the entries of a table",
}


def main(
    command: str, name: str, arguments: Sequence[str] | None = None, experiment: Table | Figure | Search | None = None
) -> int:
    """One of the three commands for the experiment `name` of this project, or for one of a user's own file."""
    arguments = argv(arguments)
    parser = Parser(prog=f"rollbench {command} {name}", description=HELPS[command])
    add = parser.add_argument
    if command == "contexts":
        add("--format", default="npz", metavar="NAME", help="npz, netcdf, zarr or arrow (default: npz)")
        add("--train", action="store_true", help="write the training clips too")
    elif command == "enter":
        add(
            "--samples",
            required=True,
            metavar="PATH",
            help="a file with key, ids and samples, or the folder that holds it",
        )
        add("--name", required=True, help="the row's name in reports")
        add("--setting", default="", metavar="NAME", help="the setting, where several have the same contexts")
        add("--calls-per-frame", type=float, metavar="X", help="network calls per frame, as stated in reports")
        add("--parameters", type=float, metavar="N", help="parameters of the network")
        add("--train-seconds", type=float, metavar="S", help="seconds of training")
        add("--url", metavar="URL", help="where the model is described")
    else:
        add("--remove", metavar="NAME", help="remove this entry with its scores")
    add_options(parser, "where the contexts go" if command == "contexts" else "where reports go")
    if command == "contexts":
        parser.set_defaults(out="contexts")
    options = parser.parse_args(arguments)
    run: dict[str, Callable[[Table, argparse.Namespace, str], int]] = {
        "contexts": _contexts,
        "enter": _enter,
        "entries": _entries,
    }
    typed = shlex.join(["rollbench", command, name, *arguments])  # `run_context` leaves out secrets
    return run_guarded(lambda: run[command](_table(name, experiment), options, typed))


def _table(name: str, experiment: Table | Figure | Search | None) -> Table:
    if experiment is None:
        module = importlib.import_module(f"experiments.{name}")
        experiment = getattr(module, "TABLE", None) or getattr(module, "FIGURE", None)
    if isinstance(experiment, Figure):
        return experiment.table
    if not isinstance(experiment, Table):
        raise UserError(f"{name} has no rows that samples can stand beside; choose a table such as table8")
    return experiment


def _planned(table: Table, options: argparse.Namespace) -> tuple[Pipeline, dict[Stage, int], Store]:
    """The pipeline of all rows of the table; data that is missing is not made yet."""
    from rollbench.store.artifact import Store

    store = Store(options.storage)
    if options.dry_run:
        raise UserError("--dry-run is an option of the experiment; this command takes seconds beside its data")
    options.rows = ["all"]
    with as_user_error():
        pipeline, needed = plan(table, options, store)
    return pipeline, needed, store


def _make_data(pipeline: Pipeline, store: Store) -> None:
    """Make the data stages that are missing."""
    from rollbench.config.source import sources
    from rollbench.engine import cluster, nodes
    from rollbench.engine.run_stage import run_stage
    from rollbench.engine.simulate import ingest
    from rollbench.pipeline.graph import Data
    from rollbench.pipeline.pending import clear_stale, missing
    from rollbench.pipeline.run_context import check_storage
    from rollbench.progress import Progress

    data = [stage for stage in pipeline.shared() if isinstance(stage, Data)]
    pending = missing(data, store)
    if not pending:
        return
    check_storage(store, {})
    clear_stale(pending, store)
    progress = Progress()
    cluster.carry(sources(pipeline.table))
    with cluster.cluster():
        nodes.check_shared(store)
        for stage in data:
            run_stage(stage, set(pending), store, progress, lambda w: ingest(w, store, progress))


def _contexts(table: Table, options: argparse.Namespace, command: str) -> int:
    from rollbench.pipeline.entries import write_contexts
    from rollbench.pipeline.exchange import FORMATS

    if options.format not in FORMATS:
        raise UserError(f"--format {options.format!r} is unknown; {did_you_mean(options.format, FORMATS)}")
    pipeline, _, store = _planned(table, options)
    _make_data(pipeline, store)
    for setting in pipeline.settings:
        name = "" if len(pipeline.settings) == 1 else re.sub(r"[^\w.-]+", "-", setting.setting.name)
        for file in write_contexts(
            setting, table, Path(options.out) / name, options.format, store, train=options.train
        ):
            print(file)
    return 0


def _enter(table: Table, options: argparse.Namespace, command: str) -> int:
    from rollbench.pipeline.entries import FACTS, enter, entries_of
    from rollbench.pipeline.graph import build_pipeline
    from rollbench.reproduce import reproduce

    facts = {name: value for name in FACTS if (value := getattr(options, name)) is not None}
    for name, value in facts.items():
        if isinstance(value, float) and not (0 < value < math.inf):
            raise UserError(f"--{name.replace('_', '-')} {value:g} must be positive and finite")
    if options.url is not None and not re.fullmatch(r"https?://\S+", options.url):
        raise UserError(f"--url {options.url!r} is not a web address; it starts with https:// or http://")
    pipeline, needed, store = _planned(table, options)
    _make_data(pipeline, store)
    setting = _setting(pipeline, options)
    entry = enter(setting, options.name, Path(options.samples), facts, store)
    print(f"{entry.name!r} is entered as {entry.rollouts}")
    entered = build_pipeline(
        pipeline.table, (), lambda stages: entries_of(stages, store)
    )  # the report adds finished rows
    reproduce(entered, **run_context(table.name, options, store, needed, command))
    return 0


def _setting(pipeline: Pipeline, options: argparse.Namespace) -> SettingStages:
    """The setting whose contexts the samples continue."""
    from rollbench.pipeline.entries import contexts_key
    from rollbench.pipeline.exchange import read_key

    named = {setting.setting.name: setting for setting in pipeline.settings}
    if options.setting:
        if options.setting not in named:
            raise UserError(f"--setting {options.setting!r} is unknown; {did_you_mean(options.setting, named)}")
        return named[options.setting]
    key = read_key(Path(options.samples))
    return next((s for s in pipeline.settings if contexts_key(s) == key), pipeline.settings[0])


def _entries(table: Table, options: argparse.Namespace, command: str) -> int:
    from rollbench.pipeline.entries import damaged, entries_of, remove

    pipeline, _, store = _planned(table, options)
    holders = [s for s in pipeline.settings if options.remove in {e.name for e in entries_of(s, store)}]
    if options.remove:
        for setting in holders or pipeline.settings[:1]:
            remove(setting, options.remove, store)
            print(f"removed {options.remove!r}")
    lines = []
    for setting in pipeline.settings:
        for entry in entries_of(setting, store):
            facts = ", ".join(f"{name} {value}" for name, value in entry.facts.items())
            lines.append("  ".join(filter(None, (entry.name, setting.setting.name, str(entry.rollouts), facts))))
        lines += damaged(setting, store)
    print("\n".join(lines) or f"{table.name} at scale {options.scale} has no entries")
    return 0
