"""`rollbench ingest`: what somebody has on disk becomes verified shards, once.

    rollbench ingest kinetics600 --source /data/k600 --split val --size 64 --frames 16
    rollbench ingest fields --source runs/ --variables u v --frames 64

The options of a data set are the fields of its value (`datasets/*.py`), and so are part of its corpus' key.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from typing import Any

from rollbench.cli.options import add_storage
from rollbench.datasets.files.bair import BAIR
from rollbench.datasets.files.base import FromFiles
from rollbench.datasets.files.fields import Fields
from rollbench.datasets.files.folder import Folder
from rollbench.datasets.files.kinetics import Kinetics600
from rollbench.errors import UserError
from rollbench.pipeline.corpora import CorpusStage, summary
from rollbench.store.artifact import Store

HELP = "turn videos, records or fields on disk into verified shards"
SHOWN = 10  # of what is left out
DATA_SETS: dict[str, type[FromFiles]] = {kind.cli_name: kind for kind in (Kinetics600, BAIR, Folder, Fields)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One subcommand for each data set."""
    subparsers = parser.add_subparsers(dest="data_set", required=True, metavar="DATA", parser_class=type(parser))
    for name, kind in DATA_SETS.items():
        text = (sys.modules[kind.__module__].__doc__ or "").split("\n\n")[0]
        one = subparsers.add_parser(name, help=text.split(":")[0], description=text)
        add, usual = one.add_argument, ("train", kind.test_splits[0])
        add("--source", required=True, metavar="PATH", help="where the files are")
        splits = f"of {' '.join(kind.splits)} (default: {' '.join(usual)})"
        add("--split", nargs="+", default=usual, metavar="SPLIT", help=splits)
        for field in dataclasses.fields(kind):
            if field.name != "split":
                _add_field(one, field)
        add_storage(one, "where shards go")
        add("--workers", type=int, metavar="N", help="shards made at a time (default: one a CPU)")
        add("--skip-bad", action="store_true", help="leave out what cannot be used, and list it")
        add("--dry-run", action="store_true", help="say what there is and what is to be done, and do nothing")


def _add_field(parser: argparse.ArgumentParser, field: dataclasses.Field[Any]) -> None:
    """The option of a data set's field."""
    several, choices, text = isinstance(field.default, tuple), field.metadata["choices"], field.metadata["help"]
    kind = str if several else type(field.default)
    parser.add_argument(
        f"--{field.name.replace('_', '-')}",
        type=kind,
        nargs="+" if several else None,
        default=field.default,
        metavar="|".join(choices) or {str: "NAME", int: "N", float: "X"}[kind],
        help=text if "default" in text or several else f"{text} (default: {field.default})",
    )


def run(options: argparse.Namespace) -> int:
    """Ingest the splits asked for, and say what they have become."""
    if options.workers is not None and options.workers < 1:
        raise UserError(f"--workers {options.workers} is below 1; the smallest is 1")
    kind, store = DATA_SETS[options.data_set], Store(options.storage)
    given = {f.name: getattr(options, f.name) for f in dataclasses.fields(kind) if f.name != "split"}
    fields = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    values = [kind(split=split, **fields) for split in dict.fromkeys(options.split)]
    stages = [CorpusStage.of(value, options.source) for value in values]
    if options.dry_run:
        print("\n".join(_described(stage, store) for stage in stages))
        return 0
    from rollbench.engine.ingest import ingest  # ray: not for the sake of --help
    from rollbench.progress import Progress

    for manifest in ingest(stages, store, Progress(), options.workers, options.skip_bad):
        print(summary(manifest))
    return 0


def _described(stage: CorpusStage, store: Store) -> str:
    """What there is of a split, and what is to be done."""
    source, artifact, shards = stage.source, stage.artifact(store), stage.shards()
    there = set(artifact.receipts()) & {shard["name"] for shard in shards}
    state = "finished" if artifact.manifest() else f"{len(there)} of {len(shards)} shards are there"
    size = stage.item_bytes * len(source.items)
    lines = [
        f"{stage.title}: {stage.value.describe()}",
        f"  source   {source.root}: {len(source.files):,} files of {sum(size for _, size, _ in source.files) / 1e6:,.1f} MB",
        f"  clips    at most {len(source.items) * source.clips:,}, of {source.shape} (channels, y, x), {size / 1e6:,.1f} MB",
        f"  corpus   {artifact}: {state}",
        *(f"  left out {fault.source}: {fault.reason}" for fault in source.missing[:SHOWN]),
        *([f"  left out {len(source.missing) - SHOWN:,} more"] if len(source.missing) > SHOWN else []),
    ]
    return "\n".join(lines)
