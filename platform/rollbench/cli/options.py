"""The options of every experiment, and those that other commands share."""

from __future__ import annotations

import argparse
import os

from rollbench.config.overrides import assignment

UNSTATED = (  # fields that no table of the paper states: units of work, presentation, intervals
    "training.micro_batch", "training.precision", "sampling.precision", "training.sharding", "training.recompute", "training.compile",
    "sampling.group", "metrics", "leads", "resamples", "caption", "title", "paper_name",
)  # fmt: skip


def add_storage(parser: argparse.ArgumentParser, what: str = "artifact store") -> None:
    parser.add_argument(
        "--storage",
        default=os.environ.get("ROLLBENCH_STORAGE", "store"),
        metavar="URI",
        help=f"{what}: a folder or a URI such as s3://bucket/path (default: $ROLLBENCH_STORAGE, else store)",
    )


def add_out(parser: argparse.ArgumentParser, what: str = "where reports go") -> None:
    parser.add_argument("--out", default="out", metavar="DIR", help=f"{what} (default: out)")


def add_tracking_uri(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--tracking-uri",
        metavar="URI",
        help="where runs are recorded (default: $MLFLOW_TRACKING_URI, else mlflow.db in --storage, or in --out if that is not a folder)",
    )


def add_options(parser: argparse.ArgumentParser, out: str = "where reports go") -> None:
    from rollbench.config.scale import SCALES

    add = parser.add_argument
    add(
        "--scale",
        default="laptop",
        metavar="NAME",
        help="caps on every size: " + ", ".join(SCALES) + " (default: laptop)",
    )
    add("--rows", nargs="+", metavar="ROW", help="rows by their name in the paper, or 'all' (default: the scale's own)")
    add("--seeds", nargs="+", type=int, metavar="N", help="training seeds (default: the scale's own)")
    add_storage(parser)
    add(
        "--data",
        metavar="SOURCE",
        help="'real' (ingested before), 'stand-in' (generated here), fields:PATH or folder:PATH (ingested now), "
        "corpora:TRAIN,TEST (two that were ingested, by their keys); default: the scale's own",
    )
    add_out(parser, out)
    add_tracking_uri(parser)
    add(
        "--workers",
        default="1",
        metavar="N",
        help="processes per row, for training and rollouts: N, or MIN-MAX for elastic training (default: 1)",
    )
    add(
        "--gpus-per-worker",
        type=float,
        metavar="X",
        help="GPUs per process, also a fraction (default: 1 if the cluster has any)",
    )
    add(
        "--groups-per-call",
        type=int,
        default=1,
        metavar="N",
        help="groups of samples per call of an actor (default: 1)",
    )
    add(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="change one field, e.g. training.steps=500 or data.frames=40",
    )
    add(
        "--preview",
        action="store_true",
        help="at each report of a training, save a picture of a sample to OUT/NAME/previews; costs one rollout of one clip",
    )
    add("--dry-run", action="store_true", help="print the plan and its cost, and run nothing")


def add_name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--name",
        dest="report_name",
        metavar="NAME",
        help="name of the table and of its folder in --out (default: the experiment with its scale, data and --set)",
    )


def scale_label(options: argparse.Namespace) -> str:
    """The scale with the changes of --set: a number at paper scale with a changed field is not at the paper's sizes."""
    return ", ".join([options.scale, *(change for change in options.set if assignment(change)[0] not in UNSTATED)])
