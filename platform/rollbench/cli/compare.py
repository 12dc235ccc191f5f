"""`rollbench compare RUN …`: recorded runs side by side: the parameters that differ, then the numbers by lead.

    rollbench compare "MSE (2-4)" "Rolling Diffusion (init noise) (2-4)" --metric fsd
    rollbench compare 9f7c0c1 table8 --json

RUN is a run's id or a prefix of one, the name of a row (its newest run), or the name or run of a table (all its rows). The numbers are
those that MLflow shows, with as many digits as a report prints; --json has all digits.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reports.format import bounds, numeral
from rollbench.cli import track
from rollbench.errors import UserError, did_you_mean
from rollbench.store.artifact import Store

if TYPE_CHECKING:
    from rollbench.tracking.client import LoggedRun, Tracking

HELP = "compare recorded runs"
ID_PREFIX = re.compile(r"[0-9a-f]{4,32}")  # shorter prefixes would match many runs
# Tags that identify a run, in addition to its parameters.
IDENTIFYING_TAGS = ("table", "setting", "row", "seed", "scale", "data_kind", "data_key", "commit", "device")
EVALUATOR, LOW, HIGH = "evaluator.", "_low", "_high"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs", nargs="+", metavar="RUN", help="a run's id or a prefix of it, the name of a row, or the name of a table"
    )
    parser.add_argument(
        "--metric",
        action="append",
        metavar="NAME",
        help="a metric to show, e.g. fsd; may be given again (default: all)",
    )
    track.add_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print JSON, with all digits, instead of text")


def run(options: argparse.Namespace) -> int:
    """Print the runs side by side and return 0. Raises UserError for a run that is not recorded or cannot be read."""
    from rollbench.tracking.client import TrackingError, open_tracking, tracking_uri

    store = Store(options.storage)
    uri = tracking_uri(options.tracking_uri, store, options.out)
    database = Path(uri.removeprefix("sqlite:///"))
    if uri.startswith("sqlite:///") and not database.is_file():
        raise UserError(f"nothing is recorded in {database}; name another --storage, or a server with --tracking-uri")
    try:
        tracking = open_tracking(uri)
        resolved = [run for reference in options.runs for run in resolve(tracking, reference)]
        unique_runs = list({run.run_id: run for run in resolved}.values())
        metrics = chosen(unique_runs, options.metric)
        loaded_runs = [tracking.read(run.run_id, with_intervals(metrics, run)) for run in unique_runs]
    except TrackingError as error:
        raise UserError(str(error)) from None
    print(
        json.dumps(as_json(loaded_runs, metrics), indent=1)
        if options.json
        else "\n".join(as_text(loaded_runs, metrics))
    )
    return 0


def resolve(tracking: Tracking, reference: str) -> list[LoggedRun]:
    """The runs that a RUN of the command line stands for."""
    from rollbench.tracking.client import PARENT

    run = _by_name(tracking, reference) or _by_id_prefix(tracking, reference)
    if not run:
        names = {name for run in tracking.search() for name in (run.tags.get("row"), run.tags.get("table")) if name}
        choice = did_you_mean(reference, sorted(names)) if names else "nothing is recorded there"
        raise UserError(f"no run {reference!r} at {tracking.place}; {choice}")
    rows = [] if PARENT in run.tags else tracking.rows(run.run_id)
    return sorted(rows, key=lambda run: (run.tags.get("kind") != "method", run.recorded)) or [run]


def _by_name(tracking: Tracking, name: str) -> LoggedRun | None:
    """The newest run of a row, or of a table."""
    if "'" in name and '"' in name:
        return None  # mlflow's queries have no way to say it
    text = f'"{name}"' if "'" in name else f"'{name}'"
    rows = tracking.search(f"tags.row = {text} and attributes.status = 'FINISHED'")
    tables = (run for run in tracking.search(f"tags.table = {text}") if "row" not in run.tags)
    return next(chain(rows, tables, tracking.search(f"attributes.run_name = {text}")), None)


def _by_id_prefix(tracking: Tracking, start: str) -> LoggedRun | None:
    """The only run whose id starts with `start`."""
    if not ID_PREFIX.fullmatch(start):
        return None
    runs = list(tracking.search(f"attributes.run_id LIKE '{start}%'"))
    if len(runs) > 1:
        listed = ", ".join(f"{run.run_id} ({run.name})" for run in runs[:3])
        raise UserError(f"{start!r} is a prefix of the ids of {len(runs)} runs: {listed}; give more digits")
    return runs[0] if runs else None


def chosen(runs: Sequence[LoggedRun], reference: Sequence[str] | None) -> list[str]:
    """The metrics to show: those asked for, else all results, in the order of names."""
    known = sorted({name for run in runs for name in run.metrics})
    for name in reference or ():
        if name not in known:
            raise UserError(f"no metric {name!r} in these runs; {did_you_mean(name, results(runs) or known)}")
    return list(dict.fromkeys(reference)) if reference else results(runs)


def results(runs: Iterable[LoggedRun]) -> list[str]:
    """The metrics of evaluators, without those of training."""
    return sorted({tag.removeprefix(EVALUATOR) for run in runs for tag in run.tags if tag.startswith(EVALUATOR)})


def with_intervals(metrics: Iterable[str], run: LoggedRun) -> list[str]:
    """The names under which MLflow holds these metrics of a run."""
    return [name for metric in metrics for name in (metric, metric + LOW, metric + HIGH) if name in run.metrics]


def as_json(runs: Sequence[LoggedRun], metrics: Sequence[str]) -> dict[str, Any]:
    return {
        "differ": dict(differing(runs)),
        "runs": [
            {
                "id": run.run_id,
                "name": run.name,
                "params": run.params,
                "tags": {name: text for name, text in run.tags.items() if not name.startswith("mlflow.")},
                "metrics": {
                    m: {str(step): number(run, m, step) for step in steps([run], m)}
                    for m in metrics
                    if m in run.metrics
                },
            }
            for run in runs
        ],
    }


def number(run: LoggedRun, metric: str, step: int) -> dict[str, float] | None:
    """A run's number, with its interval where it has one."""
    values = {
        end: run.metrics[name][step]
        for end, name in (("value", metric), ("low", metric + LOW), ("high", metric + HIGH))
        if step in run.metrics.get(name, {})
    }
    return values or None


def steps(runs: Iterable[LoggedRun], metric: str) -> list[int]:
    return sorted({step for run in runs for step in run.metrics.get(metric, ())})


def differing(runs: Sequence[LoggedRun]) -> list[tuple[str, list[str | None]]]:
    """The identifying tags and the parameters that differ between runs (parameters: of methods, a trivial forecast has few)."""
    evaluators = sorted({tag for run in runs for tag in run.tags if tag.startswith((EVALUATOR, "n."))})
    params = list(dict.fromkeys(name for run in runs for name in run.params if name not in IDENTIFYING_TAGS))
    methods = [run for run in runs if run.tags.get("kind") == "method"] or runs
    tags = [(name, [run.tags.get(name) for run in runs]) for name in (*IDENTIFYING_TAGS, *evaluators)]
    different = [(name, texts) for name, texts in tags if len(set(texts)) > 1]
    names = [name for name in params if len({run.params.get(name) for run in methods}) > 1]
    return different + [(name, [run.params.get(name) for run in runs]) for name in names]


def as_text(runs: Sequence[LoggedRun], metrics: Sequence[str]) -> list[str]:
    """A legend of the runs, then a table with a column for each run."""
    letters = [_letter(index) for index in range(len(runs))]
    legend = [
        [letter, run.run_id, f"{run.name}, of {run.tags.get('table', '?')}"]
        for letter, run in zip(letters, runs, strict=True)
    ]
    rows: list[list[str]] = [["", *letters]]
    rows += [[name, *(_shortened(name, text) for text in texts)] for name, texts in differing(runs)]
    for metric in metrics:
        rows += [[""], [metric]]
        for step in steps(runs, metric):
            numbers = [number(run, metric, step) for run in runs]
            named = f"lead {step}" if metric in results(runs) else f"step {step}"
            rows.append([f"  {named if step else 'whole clip'}", *map(_cell, numbers)])
    return [*_aligned(legend), "", *_aligned(rows)]


def _letter(index: int) -> str:
    return (_letter(index // 26 - 1) if index >= 26 else "") + chr(ord("A") + index % 26)


def _shortened(name: str, text: str | None) -> str:
    """A parameter or tag; a key or a commit in 12 digits."""
    if text is None:
        return "–"
    return re.sub(r"^([0-9a-f]{12})[0-9a-f]+", r"\1", text) if name in ("commit", "data_key") else text


def _cell(values: dict[str, float] | None) -> str:
    if values is None or "value" not in values:
        return "–"
    if "low" not in values or "high" not in values:
        return numeral(values["value"])
    value, low, high = bounds(values["value"], values["low"], values["high"])
    return f"{value} [{low}, {high}]"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns as wide as their widest text."""
    widths = [max(len(row[i]) for row in rows if i < len(row)) for i in range(max(map(len, rows)))]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=False)).rstrip() for row in rows]
