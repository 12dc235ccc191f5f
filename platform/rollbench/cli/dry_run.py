"""The plan of a table as text: which stages are there, what each row costs, and how long it will take on this device."""

from __future__ import annotations

from typing import Any

from rollbench.pipeline.cpus import processors
from rollbench.pipeline.estimate import (
    H200,
    PROCESS_BYTES,
    calibrate,
    data_bytes,
    generated_data,
    h200_seconds,
    row_cost,
    seconds_of_data,
    storage_bytes,
)
from rollbench.pipeline.graph import Pipeline
from rollbench.pipeline.pending import missing
from rollbench.pipeline.search_graph import SearchPipeline
from rollbench.progress import duration
from rollbench.store.artifact import Store

SUSTAINED = 0.35  # of the measured matrix-product rate, which convolutions and attention of these sizes reach


def describe(stages: Pipeline, scale: str, store: Store, workers: int = 1) -> str:
    """Stages done and missing, parameters, calls, bytes, estimated time and memory. Reads manifests and writes nothing."""
    title = f"{stages.table.name} at scale {scale}: {stages.table.title}"
    parts = (_stages(stages, store), _sizes(stages), _rows(stages, workers), _totals(stages, workers))
    return "\n".join([title, *(line for part in parts for line in ("", *part))])


def describe_search(stages: SearchPipeline, scale: str, store: Store, workers: int = 1) -> str:
    """The plan of a search: what the race takes, and the table with one of the candidates in the winner's place."""
    pending, every = missing(stages.stages(), store), list(stages.stages())
    steps = [rung.step for rung in stages.candidates[0].rungs]
    total = stages.with_candidates.settings[0].setting.training.steps
    trials, search = len(stages.candidates), stages.search
    going = sum(
        max(1, trials // search.reduction**k) * (to - at)
        for k, (at, to) in enumerate(zip([0, *steps], steps, strict=False))
    )
    race = [
        f"{search.name} at scale {scale}: {search.title}",
        f"stages of the race: {len(every) - len(pending)} of {len(every)} done in {store}",
        f"{trials} candidates, rungs after {', '.join(f'{step:,}' for step in steps)} of {total:,} steps",
        f"{going:,} training steps if one in {search.reduction} goes on at each rung, {trials * steps[-1]:,} if all do; then up to "
        f"{total - steps[-1]:,} of the winner",
        f"proxy: {search.proxy.contexts * search.proxy.samples:,} films of {search.proxy.horizon} frames at each rung",
    ]
    table = stages.table(stages.candidates[0].row.row)
    return "\n".join(
        [*race, "", "with the first candidate in the winner's place:", describe(table, scale, store, workers)]
    )


def _stages(pipeline: Pipeline, store: Store) -> list[str]:
    pending, every = missing(pipeline.stages(), store), list(pipeline.stages())
    lines = [f"  missing  {s.kind:<10} {s.title:<46} {s.key}  ({why.reason})" for s, why in pending.items()]
    return [f"stages: {len(every) - len(pending)} of {len(every)} done in {store}", *lines]


def _sizes(stages: Pipeline) -> list[str]:
    lines = []
    for stage in stages.settings:
        setting = stage.setting
        training, sampling = setting.training, setting.sampling
        lines += [
            *([f"setting {setting.name}"] if setting.name else []),
            f"  data: {setting.train_clips:,} training + {sampling.contexts:,} test clips, {setting.data.describe()}, "
            f"{size(data_bytes(stage.data))} to make",
            *_ingesting(setting.data),
            f"  training: {setting.steps_text()}, learning rate {training.learning_rate:.2g}",
            f"  sampling: {sampling.contexts * sampling.samples:,} films of {sampling.horizon} frames per row",
        ]
    return lines


def _ingesting(data: Any) -> list[str]:
    """How to make a data set that no corpus in storage serves yet."""
    return [f"    not ingested yet: `{data.command}`"] if hasattr(data, "command") else []


def _rows(stages: Pipeline, workers: int) -> list[str]:
    head = ("row", "parameters", "calls/frame", "with init", "train PFLOP", "roll PFLOP", "films", "memory")
    lines = ["{:<45} {:>12} {:>11} {:>9} {:>11} {:>10} {:>8} {:>8}".format(*head)]
    for row in stages.rows:
        cost, sampling = row_cost(row, workers), row.setting.sampling
        plan = row.row.method.plan(sampling.horizon, sampling.calls_of(row.row.method))
        lines.append(
            f"{f'{row.row.name}, seed {row.seed}':<45} {cost.parameters:>12,} {float(plan.calls_per_frame):>11.3g} "
            f"{float(plan.calls_per_frame_total):>9.3g} {cost.train_flops / 1e15:>11.3g} {cost.roll_flops / 1e15:>10.3g} "
            f"{size(cost.rollout_bytes):>8} {size(cost.memory):>8}"
        )
    return lines


def _totals(stages: Pipeline, workers: int) -> list[str]:
    cores = processors()
    costs = {row: row_cost(row, workers) for row in stages.rows}
    flops = sum(costs[group[0]].train_flops for group in stages.by_model()) + sum(c.roll_flops for c in costs.values())
    rate = calibrate()
    making = sum(seconds_of_data(data) for data in generated_data(stages))
    memory = max(c.memory for c in costs.values()) + PROCESS_BYTES
    return [
        f"storage: {size(storage_bytes(stages))}",
        f"memory: {size(memory)} for the largest training process (float32, one micro-batch), of {workers} per row",
        f"data: {duration(making / cores)} on {cores} cores, calibrated here on a short piece",
        f"networks: {duration(flops / (SUSTAINED * rate.flops) / rate.units)} on {rate.all}, if {SUSTAINED:.0%} of the "
        f"{rate.flops / 1e9:,.0f} GFLOP/s that a matrix product reaches here on one {rate.unit} is sustained",
        f"networks on GPUs: {h200_seconds(stages) / 3600:,.1f} H200-hours, if "
        + " and ".join(f"{sustained / 1e12:.0f} TFLOP/s in {name}" for name, sustained in H200.items())
        + " (fp32: TF32) are sustained",
    ]


def size(count: float) -> str:
    """Bytes as a person reads them: 1.3 TB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
