"""The options that every experiment has, and what they make of a scale's name."""

from __future__ import annotations

import argparse
import os

from rollbench.changes import assignment

UNSTATED = (  # fields that no table of the paper states: how work is cut, how it is shown, how sure a number is
    "training.micro_batch", "training.precision", "sampling.precision", "training.sharding", "training.recompute", "training.compile",
    "sampling.group", "metrics", "leads", "resamples", "caption", "title", "printed",
)  # fmt: skip


def add_options(parser: argparse.ArgumentParser) -> None:
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
    add(
        "--data",
        metavar="SOURCE",
        help="'real' (ingested before), 'stand-in' (generated here), fields:PATH or folder:PATH (ingested now); "
        "default: the scale's own",
    )
    add("--out", default="out", metavar="DIR", help="where reports go (default: out)")
    add(
        "--workers",
        default="1",
        metavar="N",
        help="processes per row, for training and for rollouts; 2-4: at least 2, up to 4 where there is room (default: 1)",
    )
    add("--gpus-per-worker", type=float, metavar="X", help="may be a part of one (default: 1 where there are GPUs)")
    add("--batch", type=int, default=1, metavar="N", help="groups of films handed to an actor at a time (default: 1)")
    add(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="change one field, e.g. training.steps=500 or data.frames=40",
    )
    add("--dry-run", action="store_true", help="print the plan and its cost, and run nothing")


def sizes(options: argparse.Namespace) -> str:
    """The scale, and what was changed of it: a number at the paper's scale with a field set otherwise is not at the paper's sizes."""
    return ", ".join([options.scale, *(change for change in options.set if assignment(change)[0] not in UNSTATED)])
