"""The command line, shared by every experiments/*.py and by `rollbench`.

    python experiments/table8.py --scale laptop            make a table
    python experiments/table8.py --scale paper --dry-run   say what that would take
    rollbench reproduce table8 --scale laptop              the same from anywhere
    rollbench ingest kinetics600 --source DIR              turn videos, records or fields into verified shards
    rollbench inspect KEY                                  show what a stage holds
    rollbench compare RUN RUN                              set recorded runs beside each other
    rollbench track                                        send results to a tracking server that was away
    rollbench fvd REAL/ FAKE/                              score two folders of videos

Exit codes: 0 done; 2 the input breaks a rule (one line says which); 1 a row failed; 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from rollbench.changes import assignment, leaves, own_rules, with_field
from rollbench.options import add_options, add_out, sizes
from rollbench.search import Search
from rollbench.spec import BadInput, Figure, Table, nearest
from rollbench.storage import absolute, without_secret

if TYPE_CHECKING:
    from rollbench.engine.resources import Resources
    from rollbench.pipeline import TableWork, Work
    from rollbench.store import Store

EXPERIMENTS = (
    "table1", "table2", "table3", "table4", "table5", "table6", "table7", "table8", "table9", "table10",
    "figure3", "figure4", "figure5", "figure6", "figure7", "figure8",
    "sweep_cond_gen", "search_beta", "efficiency", "robustness",
)  # fmt: skip

OF_A_TABLE = ("resamples", "caption", "title")  # fields that --set finds in the table, all others in its settings
NOT_SET = {
    "name": "a setting's name tells it from others; printed=TEXT changes what is shown",
    "seeds": "training seeds have an option of their own, as in --seeds 0 1 2",
    "rows": "--rows chooses rows by their names; what a row is, such as its method's fields, stands in the experiment's file",
}
OF_A_SEARCH = ("trials", "rungs", "reduction", "share", "proxy", "seed")  # fields that --set finds in the search itself


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, " ".join(f"{self.prog}: {message}; --help lists the options".split()) + "\n")


def words(arguments: Sequence[str] | None) -> list[str]:
    """The arguments given, else the process' own; a NUL, which ends a text for the system, is no part of any."""
    return [
        word.replace("\0", "\N{REPLACEMENT CHARACTER}") for word in (sys.argv[1:] if arguments is None else arguments)
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """`rollbench`: reproduce an experiment by name, ingest and inspect data, compare and send runs, score two folders of videos."""
    from evaluators import command as fvd
    from rollbench import commands

    arguments = words(arguments)
    parser = _Parser(prog="rollbench", description="Experiments and benchmarks for generative models of sequences.")
    subparsers = parser.add_subparsers(dest="command", required=True, parser_class=_Parser)
    one = subparsers.add_parser(
        "reproduce",
        help="make a table or figure of the paper, or another experiment",
        usage="rollbench reproduce EXPERIMENT [options]",
        epilog="rollbench reproduce EXPERIMENT --help lists the options of that one",
        add_help=False,  # what follows an experiment's name is the experiment's, --help too
    )
    one.add_argument("experiment", nargs="?", metavar="EXPERIMENT", help="one of " + ", ".join(EXPERIMENTS))
    for name, command in commands.COMMANDS.items():
        command.add_arguments(subparsers.add_parser(name, help=command.HELP))
    fvd.add_arguments(subparsers.add_parser("fvd", help="the Fréchet video distance of two folders of videos"))
    options, rest = parser.parse_known_args(arguments)
    if options.command == "reproduce":
        if options.experiment is None and {"-h", "--help"} & set(rest):
            one.print_help()
            return 0
        return _reproduce(options.experiment or "", rest)
    if rest:
        parser.error(f"unknown arguments {' '.join(rest)}")
    if options.command == "fvd":
        return guarded(lambda: fvd.run(options))
    return guarded(lambda: commands.COMMANDS[options.command].run(options))


def _reproduce(name: str, rest: Sequence[str]) -> int:
    if not name:
        return _refuse(BadInput(f"reproduce needs the name of an experiment; {nearest(name, EXPERIMENTS)}"))
    if name not in EXPERIMENTS:
        return _refuse(BadInput(f"unknown experiment {name!r}; {nearest(name, EXPERIMENTS)}"))
    return int(importlib.import_module(f"experiments.{name}").main(rest))


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


def guarded(work: Callable[[], int]) -> int:
    """Do `work`, and turn the user's errors into one line and an exit code."""
    from evaluators.base import BadInput as BadFiles

    try:
        return work()
    except (BadInput, BadFiles) as error:
        return _refuse(error)
    except KeyboardInterrupt:
        print("stopped; every finished stage is kept, run the same command to go on", file=sys.stderr)
        return 130
    except RuntimeError as error:  # of a storage too, which is an OSError as well
        print(without_secret(f"rollbench: {error}"), file=sys.stderr)
        return 1
    except OSError as error:
        name = str(error.filename or "a file")
        return _refuse(BadInput(f"{name[:200]!r} cannot be used ({error.strerror or error}); name another place"))


def _refuse(error: Exception) -> int:
    print(without_secret("rollbench: " + " ".join(str(error).split())), file=sys.stderr)
    return 2


def _run(experiment: Table | Figure, options: argparse.Namespace, command: str) -> int:
    from rollbench.store import Store

    store = Store(options.storage)
    with own_rules():
        works, needed = plan(experiment, options, store)
    if options.dry_run:
        from rollbench.dryrun import describe

        print(describe(works, options.scale, store, asked(options).workers))
        return 0
    from rollbench.engine.reproduce import reproduce

    around = _around(experiment.name, options, store, needed, command)
    reproduce(works, **around, figure=experiment if isinstance(experiment, Figure) else None)
    return 0


def _search(search: Search, options: argparse.Namespace, command: str) -> int:
    """The race of a search's candidates, and the table that its winner becomes a row of."""
    from rollbench.rungs import climb
    from rollbench.scale import scale, search_at_scale
    from rollbench.store import Store

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
        from rollbench.dryrun import describe_search

        print(describe_search(race, options.scale, store, asked(options).workers))
        return 0
    from rollbench.engine.search import search as run_search

    run_search(race, **_around(search.name, options, store, needed, command))
    return 0


def _around(
    name: str, options: argparse.Namespace, store: Store, needed: dict[Work, int], command: str
) -> dict[str, Any]:
    """What every run is given beside its work, its places found fit for what is missing of the bytes `needed`."""
    from rollbench.engine.place import Place, check_storage
    from rollbench.engine.progress import Progress
    from rollbench.tracking import tracking_uri

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
    from rollbench.engine.place import check_out
    from rollbench.estimate import stage_bytes
    from rollbench.pipeline import lay_out
    from rollbench.scale import at_scale, default_rows, scale
    from rollbench.sources import choose

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


if __name__ == "__main__":
    sys.exit(main())
