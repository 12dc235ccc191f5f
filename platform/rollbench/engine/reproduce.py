"""A table from end to end: make what is missing, record it, report it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from rollbench.engine.place import Place
from rollbench.engine.progress import Progress, duration
from rollbench.measures import VideoDistance
from rollbench.pipeline import Absent, RowWork, TableWork, Work, absent, prepare
from rollbench.spec import Figure, plain
from rollbench.store import Store
from rollbench.tracking import Run, Tracking, points


def reproduce(
    works: TableWork,
    place: Place,
    tracking: Tracking,
    *,
    workers: int,
    batch: int,
    progress: Progress,
    figure: Figure | None = None,
) -> Path:
    """Make every stage of `works` that is not there, record each row in MLflow and write the report (of the table, or of a figure of
    it); returns its page.

    Finished stages stay whatever happens afterwards. Raises RuntimeError where a row failed, after the others are done.
    """
    start = time.monotonic()
    todo = absent(works.works(), place.store)
    _announce(works, todo, progress)
    prepare(todo, place.store)
    with ExitStack() as stack:
        recorder = stack.enter_context(_Recorder(works, place, tracking))
        if todo:
            _make(works, set(todo), place.store, workers, batch, progress, recorder.record)
        for row in works.rows:
            recorder.record(row)
        from rollbench.engine.report import report
        from rollbench.engine.results import table_results

        results = table_results(works, place.scale, place.store)
        page = report(works, results, place, tracking=recorder.summary(), figure=figure)
        recorder.keep(place.out)
    progress.line(f"{works.table.name}: done in {duration(time.monotonic() - start)}; the report is {page}")
    return page


def _announce(works: TableWork, todo: dict[Work, Absent], progress: Progress) -> None:
    count = sum(1 for _ in works.works())
    progress.line(
        f"{works.table.name}: {count - len(todo)} of {count} stages are done"
        + (", nothing to compute" if not todo else "")
    )
    for why in todo.values():
        if why.damaged:
            progress.line(f"  damaged: {why.reason}; it is made again")


def _make(
    works: TableWork,
    todo: set[Work],
    store: Store,
    workers: int,
    batch: int,
    progress: Progress,
    on_done: Callable[[RowWork], None],
) -> None:
    """Run the missing stages on Ray: the data, the reference, then the rows as trials."""
    from rollbench.engine import cluster

    with cluster.cluster():
        from rollbench.engine.evaluate import keep_weights, refer, score_trivial
        from rollbench.engine.ingest import ingest
        from rollbench.engine.stages import make
        from rollbench.engine.tune import EVALUATOR_GPUS, Resources, run_rows

        resources = Resources(workers, batch, gpu=cluster.gpus() >= 1)
        resources.check()
        share = EVALUATOR_GPUS if resources.gpu else 0.0
        if any(isinstance(m, VideoDistance) for w in works.shared() for m in w.made_from.get("measures", ())):
            keep_weights(store)
        run = {
            "data": lambda w: ingest(w, store, progress),
            "reference": lambda w: refer(
                w, store, progress, actors=max(workers, cluster.cpus()), batch=batch, gpus=share
            ),
            "results": lambda w: cluster.call(score_trivial, w, store),
        }
        for work in works.shared():
            make(work, todo, store, progress, run[work.kind])
        groups = [g for g in works.by_model() if any(w in todo for row in g for w in row.works())]
        if groups:
            run_rows(groups, todo, store, resources, progress, on_done)


class _Recorder:
    """MLflow as this table sees it: a parent run, and a child for each row whose results are not recorded yet."""

    def __init__(self, works: TableWork, place: Place, tracking: Tracking) -> None:
        self.works, self.place, self.tracking = works, place, tracking
        self.parent: Run | None = None
        self.children: dict[RowWork, str] = {}

    def record(self, row: RowWork) -> None:
        """Record a row's numbers by lead, its training history, parameters and lineage, once."""
        if row in self.children:
            return
        tags = {"results_key": row.results.key, "table": self.works.table.name, "row": row.row.name}
        known = self.tracking.find(tags)
        if known is None:
            from rollbench.engine.results import history, row_results

            (setting,) = (s for s in self.works.settings if s.setting == row.setting)
            numbers = row_results(row, setting, self.works.table.name, self.place.scale, self.place.store)
            first = numbers.iloc[0]
            lineage = {
                name: str(first[name])
                for name in ("data_key", "model_key", "clips_key", "commit", "device", "evaluator", "scale")
            }
            costs = {
                name: first[name].item()
                for name in ("parameters", "train_steps", "calls_per_frame", "calls_per_frame_total")
            }
            params = {**plain(row.model.made_from), "sampling": plain(row.clips.made_from["sampling"]), **costs}
            with self._parent().row(row.row.name, row.seed, params, {**lineage, **tags}) as child:
                child.metrics(points(numbers.to_dict("records")))
                child.metrics(history(row, self.place.store))
            known = child.id
        self.children[row] = known

    def _parent(self) -> Run:
        if self.parent is None:
            table = self.works.table
            params = plain(
                {"scale": self.place.scale}
                | {
                    name: {s.setting.name or "only": getattr(s.setting, name) for s in self.works.settings}
                    for name in ("data", "network", "training")
                }
            )
            keys = ",".join(dict.fromkeys(s.data.key for s in self.works.settings))
            self.parent = self.tracking.table_run(
                table.name, params, {"scale": self.place.scale, "data_key": keys}
            ).__enter__()
        return self.parent

    def summary(self) -> dict[str, object]:
        """Where the numbers are recorded, for the report."""
        runs: dict[str, dict[int, str]] = {}
        for row, run_id in self.children.items():
            runs.setdefault(row.row.name, {})[row.seed] = run_id
        return {"uri": self.tracking.uri, "experiment": "rollbench", "runs": runs}

    def keep(self, folder: Path) -> None:
        """Tables and pictures as artifacts of the parent run, where this table has recorded something new."""
        if self.parent is not None:
            self.parent.artifact(folder)

    def __enter__(self) -> _Recorder:
        return self

    def __exit__(self, *error: object) -> None:
        if self.parent is not None:
            self.parent.__exit__(*error)  # type: ignore[arg-type]
