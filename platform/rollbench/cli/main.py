"""The command line, shared by every experiments/*.py and by `rollbench`.

    python experiments/table8.py --scale laptop            make a table
    python experiments/table8.py --scale paper --dry-run   print the plan and its cost
    rollbench reproduce table8 --scale laptop              the same from anywhere
    rollbench ingest kinetics600 --source DIR              turn videos, records or fields into verified shards
    rollbench inspect KEY                                  show an artifact and what it was computed from
    rollbench compare RUN RUN                              show recorded runs side by side
    rollbench verify out/table8                            check every file of a report
    rollbench track                                        send pending results to a tracking server
    rollbench fvd REAL/ FAKE/                              score two folders of videos
    rollbench new mytable.py --from table8                 write an experiment of your own; `reproduce mytable.py` runs it
    rollbench contexts table8 --out contexts/              write the contexts of a table for a model that is trained elsewhere
    rollbench enter table8 --samples mine/ --name Mine     score its samples as a row of that table
    rollbench entries table8                               list or remove entries

Exit codes: 0 success; 1 a row failed; 2 invalid input (one line names the rule); 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib import metadata
from types import ModuleType

from rollbench.cli import compare, entries, ingest, inspect, own_file, track, verify
from rollbench.cli import experiment as experiment_cli
from rollbench.cli.errors import Parser, argv, fail, run_guarded
from rollbench.errors import UserError, did_you_mean
from rollbench.store.provenance import commit

COMMANDS: dict[str, ModuleType] = {
    "ingest": ingest,
    "inspect": inspect,
    "compare": compare,
    "verify": verify,
    "track": track,
    "new": own_file,
}
EXPERIMENTS = (
    "table1", "table2", "table3", "table4", "table5", "table6", "table7", "table8", "table9", "table10",
    "figure3", "figure4", "figure5", "figure6", "figure7", "figure8",
    "sweep_cond_gen", "search_beta", "efficiency", "robustness",
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """`rollbench`: reproduce an experiment by name, ingest and inspect data, compare and send runs, score two folders of videos."""
    from evaluators import command as fvd

    arguments = argv(arguments)
    parser = Parser(prog="rollbench", description="Experiments and benchmarks for generative models of sequences.")
    parser.add_argument("--version", action="store_true", help="print the version")
    subparsers = parser.add_subparsers(dest="command", parser_class=Parser)
    of_experiment = {"reproduce": "make a table or figure of the paper, or another experiment", **entries.HELPS}
    parsers = {}
    for name, text in of_experiment.items():
        parsers[name] = subparsers.add_parser(
            name,
            help=text,
            usage=f"rollbench {name} EXPERIMENT [options]",
            epilog=f"rollbench {name} EXPERIMENT --help lists the options",
            add_help=False,  # options after the experiment's name, --help too, are parsed by the command
        )
        parsers[name].add_argument(
            "experiment", nargs="?", metavar="EXPERIMENT", help="one of " + ", ".join(EXPERIMENTS)
        )
    for name, command in COMMANDS.items():
        command.add_arguments(subparsers.add_parser(name, help=command.HELP))
    fvd.add_arguments(subparsers.add_parser("fvd", help="the Fréchet video distance of two folders of videos"))
    options, rest = parser.parse_known_args(arguments)
    if options.command is None and not rest:
        print(f"rollbench {_version()}" if options.version else parser.format_help())
        return 0
    if options.command in parsers:
        if options.experiment is None and {"-h", "--help"} & set(rest):
            parsers[options.command].print_help()
            return 0
        return _with_experiment(options.command, options.experiment or "", rest)
    if rest:
        parser.error(f"unknown arguments {' '.join(rest)}")
    if options.command == "fvd":
        return run_guarded(lambda: fvd.run(options))
    return run_guarded(lambda: COMMANDS[options.command].run(options))


def _version() -> str:
    """The installed version with the commit; the commit alone where the project runs from its files."""
    try:
        return f"{metadata.version('rollbench')}, commit {commit()}"
    except metadata.PackageNotFoundError:
        return f"(not installed), commit {commit()}"


def _with_experiment(command: str, name: str, rest: Sequence[str]) -> int:
    if not name:
        return fail(UserError(f"{command} needs the name of an experiment; {did_you_mean(name, EXPERIMENTS)}"))
    if name.endswith(".py"):
        return run_guarded(lambda: _of_file(command, name, list(rest)))
    if name not in EXPERIMENTS:
        return fail(UserError(f"unknown experiment {name!r}; {did_you_mean(name, EXPERIMENTS)}"))
    if command != "reproduce":
        return entries.main(command, name, rest)
    return int(importlib.import_module(f"experiments.{name}").main(rest))


def _of_file(command: str, name: str, rest: list[str]) -> int:
    verbose = "--verbose" in rest
    _, experiment = own_file.load(name, verbose)
    rest = [argument for argument in rest if argument != "--verbose"]
    if command != "reproduce":
        return entries.main(command, name, rest, experiment)
    return experiment_cli.run(experiment, rest, script=name)


if __name__ == "__main__":
    sys.exit(main())
