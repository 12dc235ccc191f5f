"""The command line, shared by every experiments/*.py and by `rollbench`.

    python experiments/table8.py --scale laptop            make a table
    python experiments/table8.py --scale paper --dry-run   say what that would take
    rollbench reproduce table8 --scale laptop              the same from anywhere
    rollbench fvd REAL/ FAKE/                              score two folders of videos

Exit codes: 0 done; 2 the input breaks a rule (one line says which); 1 a row failed; 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import argparse
import importlib
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from rollbench.spec import BadInput, Table, nearest, with_field

if TYPE_CHECKING:
    from rollbench.pipeline import TableWork

TABLES = ("table8",)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; --help lists the options\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """`rollbench`: reproduce a table by name, or score two folders of videos."""
    from evaluators import command as fvd

    arguments = list(sys.argv[1:] if arguments is None else arguments)
    parser = _Parser(prog="rollbench", description="Experiments and benchmarks for generative models of sequences.")
    commands = parser.add_subparsers(dest="command", required=True, parser_class=_Parser)
    one = commands.add_parser("reproduce", help="make a table of the paper")
    one.add_argument("table", help="one of " + ", ".join(TABLES))
    _add_options(one)
    fvd.add_arguments(commands.add_parser("fvd", help="the Fréchet video distance of two folders of videos"))
    options = parser.parse_args(arguments)
    if options.command == "fvd":
        return fvd.run(options)
    if options.table not in TABLES:
        return _refuse(BadInput(f"unknown table {options.table!r}; {nearest(options.table, TABLES)}"))
    table = importlib.import_module(f"experiments.{options.table}").TABLE
    return _guarded(table, options, shlex.join(["rollbench", *arguments]))


def run(table: Table, arguments: Sequence[str] | None = None) -> int:
    """The `main` of an experiment: its table, with the options of the command line."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    script = f"experiments/{table.name}.py"
    parser = _Parser(prog=script, description=table.title)
    _add_options(parser)
    return _guarded(table, parser.parse_args(arguments), shlex.join(["python", script, *arguments]))


def _add_options(parser: argparse.ArgumentParser) -> None:
    from rollbench.scale import SCALES

    add = parser.add_argument
    add(
        "--scale",
        default="laptop",
        metavar="NAME",
        help="caps on every size: " + ", ".join(SCALES) + " (default: laptop)",
    )
    add("--rows", nargs="+", metavar="ROW", help="rows by their name in the paper, or 'all' (default: the scale's own)")
    add("--seeds", nargs="+", type=int, metavar="N", help="training seeds (default: the scale's own)")
    add(
        "--storage",
        default=os.environ.get("ROLLBENCH_STORAGE", "store"),
        metavar="URI",
        help="where stages lie: a folder or a URI such as s3://bucket/path (default: $ROLLBENCH_STORAGE, else store)",
    )
    add("--out", default="out", metavar="DIR", help="where reports go (default: out)")
    add(
        "--workers",
        type=int,
        default=1,
        metavar="N",
        help="processes per row, for training and for rollouts (default: 1)",
    )
    add("--batch", type=int, default=1, metavar="N", help="groups of films handed to an actor at a time (default: 1)")
    add(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="change one field, e.g. training.steps=500 or data.frames=40",
    )
    add("--dry-run", action="store_true", help="print the plan and its cost, and run nothing")


def _guarded(table: Table, options: argparse.Namespace, command: str) -> int:
    """Run, and turn the user's errors into one line."""
    try:
        return _run(table, options, command)
    except BadInput as error:
        return _refuse(error)
    except KeyboardInterrupt:
        print("stopped; every finished stage is kept, run the same command to go on", file=sys.stderr)
        return 130
    except RuntimeError as error:
        print(f"rollbench: {error}", file=sys.stderr)
        return 1


def _refuse(error: Exception) -> int:
    print("rollbench: " + " ".join(str(error).split()), file=sys.stderr)
    return 2


def _run(table: Table, options: argparse.Namespace, command: str) -> int:
    from rollbench.store import Store

    store = Store(options.storage)
    try:
        works, scaled, scale_name, needed = _planned(table, options)
    except ValueError as error:  # the values' own rules
        raise error if isinstance(error, BadInput) else BadInput(str(error)) from None
    if options.dry_run:
        from rollbench.dryrun import describe

        print(describe(works, scale_name, store))
        return 0
    from rollbench.engine.place import Place
    from rollbench.engine.progress import Progress
    from rollbench.engine.reproduce import reproduce
    from rollbench.tracking import open_tracking

    store.check_writable()
    store.check_space(needed)
    place = Place(store, Path(options.out) / table.name, scale_name, _scale_text(scaled, scale_name), command)
    tracking = open_tracking(None, Path(store.path) if store.local else Path(options.out))
    reproduce(works, place, tracking, workers=options.workers, batch=options.batch, progress=Progress())
    return 0


def _planned(table: Table, options: argparse.Namespace) -> tuple[TableWork, Table, str, int]:
    """The graph of stages, the table at its scale, the scale's name and the bytes that the stages will take."""
    from rollbench.estimate import storage_bytes
    from rollbench.pipeline import lay_out
    from rollbench.scale import at_scale, default_rows, scale

    caps = scale(options.scale)
    scaled = _changed(at_scale(table, caps), options)
    for name in ("workers", "batch"):
        if getattr(options, name) < 1:
            raise BadInput(f"--{name} {getattr(options, name)} is below 1; the smallest is 1")
    if options.workers > scaled.training.micro_batches:
        most = scaled.training.micro_batches
        raise BadInput(
            f"--workers {options.workers} exceeds the {most} micro-batches of a global batch; the most is {most}"
        )
    works = lay_out(scaled, _row_names(scaled, options.rows, default_rows(table, caps)))
    return works, scaled, caps.name, storage_bytes(works)


def _changed(table: Table, options: argparse.Namespace) -> Table:
    """The table with --set and --seeds applied; every rule of its values is checked again."""
    for change in options.set:
        path, separator, text = change.partition("=")
        if not separator:
            raise BadInput(f"--set {change!r} has no '='; write FIELD=VALUE, e.g. training.steps=500")
        table = with_field(table, path, text)
    if options.seeds:
        if len(set(options.seeds)) < len(options.seeds) or min(options.seeds) < 0:
            raise BadInput(f"--seeds {options.seeds}: seeds are whole numbers from 0, each once, e.g. --seeds 0 1 2")
        table = replace(table, seeds=tuple(options.seeds))
    return table


def _row_names(table: Table, asked: Sequence[str] | None, default: Sequence[str]) -> tuple[str, ...]:
    if not asked:
        return tuple(default)
    if list(asked) == ["all"]:
        return tuple(row.name for row in table.rows)
    wanted = {table.row(name).name for name in asked}
    return tuple(row.name for row in table.rows if row.name in wanted)


def _scale_text(table: Table, name: str) -> str:
    t, s = table.training, table.sampling
    return (
        f"scale “{name}”: {table.train_clips} training and {s.contexts} test trajectories, frames of {table.data.frame_grid}² cells from a "
        f"{table.data.grid}² simulation every {table.data.frame_interval} s, {t.steps} training steps of {t.batch} windows, "
        f"{s.calls_per_frame} network calls per frame, horizon {s.horizon} frames"
    )


if __name__ == "__main__":
    sys.exit(main())
