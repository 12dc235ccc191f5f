"""Runs one experiment with the options of the command line: plans it, checks it, and starts the work."""

from __future__ import annotations

import argparse
import importlib.util
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rollbench.cli.options import add_name, add_options, add_out, scale_label
from rollbench.config.overrides import as_user_error, assignment, leaves, with_field
from rollbench.config.search import Search
from rollbench.config.table import Figure, Setting, Table
from rollbench.errors import UserError
from rollbench.store.filesystem import absolute
from rollbench.store.redact import redact

if TYPE_CHECKING:
    from rollbench.engine.resources import Resources
    from rollbench.pipeline.graph import Pipeline, Stage
    from rollbench.store.artifact import Store
from rollbench.cli.errors import Parser, argv, run_guarded

OF_A_TABLE = ("resamples", "caption", "title")  # fields that --set finds in the table, all others in its settings


NOT_SET = {
    "name": "the name identifies a setting; paper_name=TEXT changes the displayed name",
    "seeds": "use --seeds, as in --seeds 0 1 2",
    "rows": "use --rows to choose rows by name; the experiment's file defines their methods",
}


OF_A_SEARCH = ("trials", "rungs", "reduction", "share", "proxy", "seed")  # fields that --set finds in the search itself


def run(experiment: Table | Figure | Search, arguments: Sequence[str] | None = None, script: str = "") -> int:
    """The `main` of an experiment: its table, figure or search, with the options of the command line.

    script: the file that holds it, by default the one that Python runs, else that of this project.
    """
    arguments = argv(arguments)
    script = script or _running(experiment) or f"experiments/{experiment.name}.py"
    parser = Parser(prog=script, description=experiment.title)
    add_options(parser)
    add_name(parser)
    options = parser.parse_args(arguments)
    command = shlex.join(["python", script, *arguments])
    if isinstance(experiment, Search):
        return run_guarded(lambda: _search(experiment, options, command))
    return run_guarded(lambda: _run(experiment, options, command))


def _running(experiment: Table | Figure | Search) -> str:
    """The path of the file that Python runs, if it holds the experiment and lies outside of this project."""
    module = sys.modules["__main__"]
    path = getattr(module, "__file__", None)
    if path is None or not any(value is experiment for value in vars(module).values()):
        return ""
    spec = importlib.util.find_spec(f"experiments.{Path(path).stem}")
    ours = spec is not None and spec.origin is not None and Path(spec.origin).samefile(path)
    return "" if ours else sys.argv[0]


def print_settings(
    number: str, ours: Mapping[str, object], notes: Mapping[str, str], arguments: Sequence[str] | None = None
) -> int:
    """The `main` of a table of settings: the values that the code uses, beside the paper's."""
    from reports.index import index
    from reports.settings_table import settings_table

    script = f"experiments/table{number}.py"
    parser = Parser(prog=script, description=f"Table {number}: settings, ours beside the paper's.")
    add_out(parser)
    options = parser.parse_args(argv(arguments))

    def write() -> int:
        page = settings_table(
            number, ours, Path(options.out) / f"table{number}", command=f"python {script}", notes=notes
        )
        index(Path(options.out))
        print(page)
        return 0

    return run_guarded(write)


def _run(experiment: Table | Figure, options: argparse.Namespace, command: str) -> int:
    from rollbench.store.artifact import Store

    store = Store(options.storage)
    with as_user_error():
        stages, needed = plan(experiment, options, store)
    if options.dry_run:
        from rollbench.cli.dry_run import describe

        print(describe(stages, options.scale, store, resources_from(options).workers))
        return 0
    from rollbench.reproduce import reproduce

    context = run_context(experiment.name, options, store, needed, command)
    reproduce(stages, **context, figure=experiment if isinstance(experiment, Figure) else None)
    return 0


def _search(search: Search, options: argparse.Namespace, command: str) -> int:
    """Run a search, then the table with its winner as a row."""
    from rollbench.config.scale import scale, search_at_scale
    from rollbench.pipeline.search_graph import search_graph
    from rollbench.store.artifact import Store

    if options.rows:
        raise UserError(
            f"--rows {options.rows[0]!r}: a search has its own rows; --set trials=8 changes how many candidates race"
        )
    store = Store(options.storage)
    own = [change for change in options.set if re.split(r"[.=]", change)[0] in OF_A_SEARCH]
    with as_user_error():
        for change in own:
            search = with_field(search, *assignment(change))
        scaled = search_at_scale(search, scale(options.scale))
        options.set, options.rows = [change for change in options.set if change not in own], ["all"]
        also = [path for path in leaves(search) if path.split(".")[0] in OF_A_SEARCH]
        stages, needed = plan(scaled.with_candidates(), options, store, also)
        race = search_graph(scaled, stages.table)
    if options.dry_run:
        from rollbench.cli.dry_run import describe_search

        print(describe_search(race, options.scale, store, resources_from(options).workers))
        return 0
    from rollbench.reproduce import search as run_search

    run_search(race, **run_context(search.name, options, store, needed, command))
    return 0


def run_context(
    name: str, options: argparse.Namespace, store: Store, needed: dict[Stage, int], command: str
) -> dict[str, Any]:
    """Keyword arguments of a run. Raises UserError if the storage has no room for the missing part of the bytes `needed`."""
    from rollbench.cli.naming import report_name
    from rollbench.pipeline.run_context import RunContext, check_storage
    from rollbench.progress import Progress
    from rollbench.tracking.client import tracking_uri

    check_storage(store, needed)
    out = absolute(options.out)
    return {
        "place": RunContext(
            store, Path(out) / report_name(name, options), scale_label(options), redact(command), options.preview
        ),
        "mlflow": tracking_uri(options.tracking_uri, store, out),
        "resources": resources_from(options),
        "progress": Progress(),
    }


def resources_from(options: argparse.Namespace) -> Resources:
    """The resources that the options request."""
    from rollbench.engine.resources import Resources, bounds

    return Resources(*bounds(options.workers), options.groups_per_call, options.gpus_per_worker)


def plan(
    experiment: Table | Figure, options: argparse.Namespace, store: Store, also: Sequence[str] = ()
) -> tuple[Pipeline, dict[Stage, int]]:
    """The pipeline of a table (or of a figure's table) under the options, and the size of each large stage in bytes.

    also: paths that --set accepts beside the fields of the table.
    """
    from rollbench.cli.data_source import resolve_data
    from rollbench.cli.naming import on_its_data, report_name
    from rollbench.config.scale import at_scale, default_rows, scale
    from rollbench.pipeline.estimate import stage_bytes
    from rollbench.pipeline.graph import build_pipeline
    from rollbench.pipeline.run_context import check_out

    table = experiment.table if isinstance(experiment, Figure) else experiment
    caps = scale(options.scale)
    if not options.dry_run:
        check_out(options.out, report_name(experiment.name, options))
    if options.groups_per_call < 1:
        raise UserError(f"--groups-per-call {options.groups_per_call} is below 1; the smallest is 1")
    workers = resources_from(options).max_workers
    source = options.data or ("stand-in" if caps.stand_in else "real")
    requested = _changed(at_scale(table, caps), options, also)
    # Every rule is checked on what is planned, before anything is ingested.
    planned = resolve_data(requested, table, source, store, planning=True)
    default = (isinstance(experiment, Figure) and experiment.rows) or default_rows(table, caps)
    names = _row_names(planned, options.rows, default)
    batches = [s.training_of(row).micro_batches for s in planned.settings for row in s.rows if row.name in names]
    if workers > min(batches):
        raise UserError(
            f"--workers {workers} exceeds the {min(batches)} micro-batches of a global batch; the most is {min(batches)}"
        )
    stages = build_pipeline(planned, names)
    if not options.dry_run:
        from rollbench.pipeline.entries import entries_of

        stages = build_pipeline(
            on_its_data(resolve_data(requested, table, source, store), options),
            names,
            lambda setting: entries_of(setting, store),
        )
    return stages, stage_bytes(stages)


def _changed(table: Table, options: argparse.Namespace, also: Sequence[str]) -> Table:
    """The table with --set and --seeds applied and every value validated again."""
    for change in options.set:
        path, text = assignment(change)
        head = path.split(".")[0]
        if head in NOT_SET:
            raise UserError(f"--set {change!r}: {NOT_SET[head]}")
        if path in OF_A_TABLE:
            table = with_field(table, path, text)
        else:
            known = (*also, *OF_A_TABLE)
            settings = table.settings
            if path == "training.batch":
                settings = tuple(_with_batch(setting, text, options.set) for setting in settings)
            table = replace(table, settings=tuple(with_field(setting, path, text, known) for setting in settings))
    if options.seeds:
        if len(set(options.seeds)) < len(options.seeds) or not all(0 <= seed < 2**63 for seed in options.seeds):
            raise UserError(f"--seeds {options.seeds}: give whole numbers from 0 to 2**63 - 1, each once, as in 0 1 2")
        table = replace(table, seeds=tuple(options.seeds))
    return table


def _with_batch(setting: Setting, text: str, changes: Sequence[str]) -> Setting:
    """The number of windows that --set asks for holds for every row; in two micro-batches or more, unless their size is set too."""
    training = setting.training
    if text.isdecimal() and (batch := int(text)) and not any(c.startswith("training.micro_batch=") for c in changes):
        largest = max(1, min(training.unit, batch // 2))
        micro_batch = next(size for size in range(largest, 0, -1) if batch % size == 0)
        training = replace(training, batch=batch, micro_batch=micro_batch)
    return replace(setting, step_frames=None, micro_frames=None, training=training)


def _row_names(table: Table, requested: Sequence[str] | None, default: Sequence[str]) -> tuple[str, ...]:
    if not requested:
        return tuple(default)
    if list(requested) == ["all"]:
        return tuple(row.name for row in table.rows)
    wanted = {table.row(name).name for name in requested}
    return tuple(row.name for row in table.rows if row.name in wanted)
