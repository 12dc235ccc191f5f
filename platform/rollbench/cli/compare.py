"""`rollbench compare RUN …`: recorded runs side by side, first where their parameters differ, then their numbers by lead.

    rollbench compare "MSE (2-4)" "Rolling Diffusion (init noise) (2-4)" --metric fsd
    rollbench compare 9f7c0c1 table8 --json

RUN is a run's id or the beginning of one, the name of a row (the newest run of it), or a table's name or run, which stands for all its
rows. The numbers are those that MLflow shows, with as many digits as a report prints; --json has all digits.
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

HELP = "set recorded runs beside each other"
PREFIX = re.compile(r"[0-9a-f]{4,32}")  # of an id: shorter ones would find half of all runs
# What tells two runs apart beside their parameters.
TOLD = ("table", "setting", "row", "seed", "scale", "data_kind", "data_key", "commit", "device")
EVALUATOR, LOW, HIGH = "evaluator.", "_low", "_high"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs", nargs="+", metavar="RUN", help="a run's id or its beginning, a row's name, or a table's"
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
    """Print the runs asked for beside each other; 0. Raises UserError where they are not recorded or nothing can be read."""
    from rollbench.tracking.client import TrackingError, open_tracking, tracking_uri

    store = Store(options.storage)
    uri = tracking_uri(options.tracking_uri, store, options.out)
    database = Path(uri.removeprefix("sqlite:///"))
    if uri.startswith("sqlite:///") and not database.is_file():
        raise UserError(f"nothing is recorded in {database}; name another --storage, or a server with --tracking-uri")
    try:
        tracking = open_tracking(uri)
        found = [run for resources_from in options.runs for run in resolve(tracking, resources_from)]
        once = list({run.run_id: run for run in found}.values())
        wanted = chosen(once, options.metric)
        whole = [tracking.read(run.run_id, with_intervals(wanted, run)) for run in once]
    except TrackingError as error:
        raise UserError(str(error)) from None
    print(json.dumps(as_json(whole, wanted), indent=1) if options.json else "\n".join(as_text(whole, wanted)))
    return 0


def resolve(tracking: Tracking, resources_from: str) -> list[LoggedRun]:
    """The runs that a word of the user's stands for."""
    from rollbench.tracking.client import PARENT

    found = _called(tracking, resources_from) or _begun(tracking, resources_from)
    if not found:
        names = {name for run in tracking.search() for name in (run.tags.get("row"), run.tags.get("table")) if name}
        near = did_you_mean(resources_from, sorted(names)) if names else "nothing is recorded there"
        raise UserError(f"no run {resources_from!r} at {tracking.place}; {near}")
    rows = [] if PARENT in found.tags else tracking.rows(found.run_id)
    return sorted(rows, key=lambda run: (run.tags.get("kind") != "method", run.recorded)) or [found]


def _called(tracking: Tracking, name: str) -> LoggedRun | None:
    """The newest run of a row, or of a table."""
    if "'" in name and '"' in name:
        return None  # mlflow's queries have no way to say it
    text = f'"{name}"' if "'" in name else f"'{name}'"
    rows = tracking.search(f"tags.row = {text} and attributes.status = 'FINISHED'")
    tables = (run for run in tracking.search(f"tags.table = {text}") if "row" not in run.tags)
    return next(chain(rows, tables, tracking.search(f"attributes.run_name = {text}")), None)


def _begun(tracking: Tracking, start: str) -> LoggedRun | None:
    """The only run whose id begins so."""
    if not PREFIX.fullmatch(start):
        return None
    found = list(tracking.search(f"attributes.run_id LIKE '{start}%'"))
    if len(found) > 1:
        listed = ", ".join(f"{run.run_id} ({run.name})" for run in found[:3])
        raise UserError(f"{start!r} begins the ids of {len(found)} runs: {listed}; give more of it")
    return found[0] if found else None


def chosen(runs: Sequence[LoggedRun], resources_from: Sequence[str] | None) -> list[str]:
    """The metrics to show: those asked for, else all results, in the order of names."""
    known = sorted({name for run in runs for name in run.metrics})
    for name in resources_from or ():
        if name not in known:
            raise UserError(f"no metric {name!r} in these runs; {did_you_mean(name, results(runs) or known)}")
    return list(dict.fromkeys(resources_from)) if resources_from else results(runs)


def results(runs: Iterable[LoggedRun]) -> list[str]:
    """The metrics that an evaluator made, as against what training or the work itself told."""
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
    found = {
        word: run.metrics[name][step]
        for word, name in (("value", metric), ("low", metric + LOW), ("high", metric + HIGH))
        if step in run.metrics.get(name, {})
    }
    return found or None


def steps(runs: Iterable[LoggedRun], metric: str) -> list[int]:
    return sorted({step for run in runs for step in run.metrics.get(metric, ())})


def differing(runs: Sequence[LoggedRun]) -> list[tuple[str, list[str | None]]]:
    """What is not the same in all runs: of what tells them apart, and of the parameters of methods (a trivial forecast has few)."""
    evaluators = sorted({tag for run in runs for tag in run.tags if tag.startswith((EVALUATOR, "n."))})
    params = list(dict.fromkeys(name for run in runs for name in run.params if name not in TOLD))
    methods = [run for run in runs if run.tags.get("kind") == "method"] or runs
    told = [(name, [run.tags.get(name) for run in runs]) for name in (*TOLD, *evaluators)]
    lines = [(name, texts) for name, texts in told if len(set(texts)) > 1]
    apart = [name for name in params if len({run.params.get(name) for run in methods}) > 1]
    return lines + [(name, [run.params.get(name) for run in runs]) for name in apart]


def as_text(runs: Sequence[LoggedRun], metrics: Sequence[str]) -> list[str]:
    """One table, a column for each run, under a list that says which is which."""
    letters = [_letter(place) for place in range(len(runs))]
    legend = [
        [letter, run.run_id, f"{run.name}, of {run.tags.get('table', '?')}"]
        for letter, run in zip(letters, runs, strict=True)
    ]
    lines: list[list[str]] = [["", *letters]]
    lines += [[name, *(_said(name, text) for text in texts)] for name, texts in differing(runs)]
    for metric in metrics:
        lines += [[""], [metric]]
        for step in steps(runs, metric):
            found = [number(run, metric, step) for run in runs]
            named = f"lead {step}" if metric in results(runs) else f"step {step}"
            lines.append([f"  {named if step else 'whole clip'}", *map(_cell, found)])
    return [*_aligned(legend), "", *_aligned(lines)]


def _letter(place: int) -> str:
    return (_letter(place // 26 - 1) if place >= 26 else "") + chr(ord("A") + place % 26)


def _said(name: str, text: str | None) -> str:
    """A parameter or tag; of a key or a commit as much as tells it from others."""
    if text is None:
        return "–"
    return re.sub(r"^([0-9a-f]{12})[0-9a-f]+", r"\1", text) if name in ("commit", "data_key") else text


def _cell(found: dict[str, float] | None) -> str:
    if found is None or "value" not in found:
        return "–"
    if "low" not in found or "high" not in found:
        return numeral(found["value"])
    value, low, high = bounds(found["value"], found["low"], found["high"])
    return f"{value} [{low}, {high}]"


def _aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    """Columns as wide as their widest text."""
    widths = [max(len(line[place]) for line in lines if place < len(line)) for place in range(max(map(len, lines)))]
    return ["  ".join(text.ljust(width) for text, width in zip(line, widths, strict=False)).rstrip() for line in lines]
