"""Runs one experiment with the options of the command line: plans it, checks it, and starts the work."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rollbench.cli.options import add_options, add_out, sizes
from rollbench.config.overrides import assignment, leaves, own_rules, with_field
from rollbench.config.search import Search
from rollbench.config.table import Figure, Table
from rollbench.errors import BadInput
from rollbench.store.filesystem import absolute
from rollbench.store.redact import without_secret

if TYPE_CHECKING:
    from rollbench.engine.resources import Resources
    from rollbench.pipeline.graph import TableWork, Work
    from rollbench.store.artifact import Store
from rollbench.cli.errors import _Parser, guarded, words

OF_A_TABLE = ("resamples", "caption", "title")  # fields that --set finds in the table, all others in its settings


NOT_SET = {
    "name": "a setting's name tells it from others; printed=TEXT changes what is shown",
    "seeds": "training seeds have an option of their own, as in --seeds 0 1 2",
    "rows": "--rows chooses rows by their names; what a row is, such as its method's fields, stands in the experiment's file",
}


OF_A_SEARCH = ("trials", "rungs", "reduction", "share", "proxy", "seed")  # fields that --set finds in the search itself


def run(experiment: Table | Figure | Search, arguments: Sequence[str] | None = None) -> int:
    """The `main` of an experiment: its table, figure or search, with the options of the command line."""
    arguments = words(arguments)
    script = f"experiments/{experiment.name}.py"
    parser = _Parser(prog=script, description=experiment.title)
    add_options(parser)
    options = parser.parse_args(arguments)
    command = shlex.join(["python", script, *arguments])
    if isinstance(experiment, Search):
        return guarded(lambda: _search(experiment, options, command))
    return guarded(lambda: _run(experiment, options, command))


def print_settings(
    number: str, ours: Mapping[str, object], notes: Mapping[str, str], arguments: Sequence[str] | None = None
) -> int:
    """The `main` of a table of settings: the values that the code uses, beside the paper's."""
    from reports.index import index
    from reports.settings_table import settings_table

    script = f"experiments/table{number}.py"
    parser = _Parser(prog=script, description=f"Table {number}: settings, ours beside the paper's.")
    add_out(parser)
    options = parser.parse_args(words(arguments))

    def work() -> int:
        page = settings_table(
            number, ours, Path(options.out) / f"table{number}", command=f"python {script}", notes=notes
        )
        index(Path(options.out))
        print(page)
        return 0

    return guarded(work)


def _run(experiment: Table | Figure, options: argparse.Namespace, command: str) -> int:
    from rollbench.store.artifact import Store

    store = Store(options.storage)
    with own_rules():
        works, needed = plan(experiment, options, store)
    if options.dry_run:
        from rollbench.cli.dry_run import describe

        print(describe(works, options.scale, store, asked(options).workers))
        return 0
    from rollbench.reproduce import reproduce

    around = _around(experiment.name, options, store, needed, command)
    reproduce(works, **around, figure=experiment if isinstance(experiment, Figure) else None)
    return 0


def _search(search: Search, options: argparse.Namespace, command: str) -> int:
    """The race of a search's candidates, and the table that its winner becomes a row of."""
    from rollbench.config.scale import scale, search_at_scale
    from rollbench.pipeline.search_graph import climb
    from rollbench.store.artifact import Store

    if options.rows:
        raise BadInput(
            f"--rows {options.rows[0]!r}: a search has its own rows; --set trials=8 changes how many candidates race"
        )
    store = Store(options.storage)
    own = [change for change in options.set if re.split(r"[.=]", change)[0] in OF_A_SEARCH]
    with own_rules():
        for change in own:
            search = with_field(search, *assignment(change))
        scaled = search_at_scale(search, scale(options.scale))
        options.set, options.rows = [change for change in options.set if change not in own], ["all"]
        also = [path for path in leaves(search) if path.split(".")[0] in OF_A_SEARCH]
        works, needed = plan(scaled.entered(), options, store, also)
        race = climb(scaled, works.table)
    if options.dry_run:
        from rollbench.cli.dry_run import describe_search

        print(describe_search(race, options.scale, store, asked(options).workers))
        return 0
    from rollbench.reproduce import search as run_search

    run_search(race, **_around(search.name, options, store, needed, command))
    return 0


def _around(
    name: str, options: argparse.Namespace, store: Store, needed: dict[Work, int], command: str
) -> dict[str, Any]:
    """What every run is given beside its work, its places found fit for what is missing of the bytes `needed`."""
    from rollbench.pipeline.run_context import Place, check_storage
    from rollbench.progress import Progress
    from rollbench.tracking.client import tracking_uri

    check_storage(store, needed)
    out = absolute(options.out)
    return {
        "place": Place(store, Path(out) / name, sizes(options), without_secret(command)),
        "mlflow": tracking_uri(options.tracking_uri, store, out),
        "resources": asked(options),
        "progress": Progress(),
    }


def asked(options: argparse.Namespace) -> Resources:
    """What of the cluster the options ask for."""
    from rollbench.engine.resources import Resources, bounds

    return Resources(*bounds(options.workers), options.groups_per_call, options.gpus_per_worker)


def plan(
    experiment: Table | Figure, options: argparse.Namespace, store: Store, also: Sequence[str] = ()
) -> tuple[TableWork, dict[Work, int]]:
    """The graph of stages of a table (or of a figure's table) as the options ask for it, and the bytes that its stages take.

    also: what --set can change beside the table's own fields.
    """
    from rollbench.cli.data_source import choose
    from rollbench.config.scale import at_scale, default_rows, scale
    from rollbench.pipeline.estimate import stage_bytes
    from rollbench.pipeline.graph import lay_out
    from rollbench.pipeline.run_context import check_out

    table = experiment.table if isinstance(experiment, Figure) else experiment
    caps = scale(options.scale)
    if not options.dry_run:
        check_out(options.out, experiment.name)
    if options.groups_per_call < 1:
        raise BadInput(f"--groups-per-call {options.groups_per_call} is below 1; the smallest is 1")
    workers = asked(options).most
    source = options.data or ("stand-in" if caps.stand_in else "real")
    asked_for = _changed(at_scale(table, caps), options, also)
    # Every rule is checked on what is planned, before anything is ingested.
    planned = choose(asked_for, table, source, store, planning=True)
    most = min(setting.training.micro_batches for setting in planned.settings)
    if workers > most:
        raise BadInput(f"--workers {workers} exceeds the {most} micro-batches of a global batch; the most is {most}")
    default = (isinstance(experiment, Figure) and experiment.rows) or default_rows(table, caps)
    names = _row_names(planned, options.rows, default)
    works = lay_out(planned, names)
    if not options.dry_run:
        works = lay_out(choose(asked_for, table, source, store), names)
    return works, stage_bytes(works)


def _changed(table: Table, options: argparse.Namespace, also: Sequence[str]) -> Table:
    """The table with --set and --seeds applied; every rule of its values is checked again."""
    for change in options.set:
        path, text = assignment(change)
        head = path.split(".")[0]
        if head in NOT_SET:
            raise BadInput(f"--set {change!r}: {NOT_SET[head]}")
        if path in OF_A_TABLE:
            table = with_field(table, path, text)
        else:
            known = (*also, *OF_A_TABLE)
            table = replace(table, settings=tuple(with_field(setting, path, text, known) for setting in table.settings))
    if options.seeds:
        if len(set(options.seeds)) < len(options.seeds) or not all(0 <= seed < 2**63 for seed in options.seeds):
            raise BadInput(f"--seeds {options.seeds}: give whole numbers from 0 to 2**63 - 1, each once, as in 0 1 2")
        table = replace(table, seeds=tuple(options.seeds))
    return table


def _row_names(table: Table, asked: Sequence[str] | None, default: Sequence[str]) -> tuple[str, ...]:
    if not asked:
        return tuple(default)
    if list(asked) == ["all"]:
        return tuple(row.name for row in table.rows)
    wanted = {table.row(name).name for name in asked}
    return tuple(row.name for row in table.rows if row.name in wanted)
