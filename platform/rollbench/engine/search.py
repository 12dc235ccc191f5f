"""A search on Ray Tune: a trial per candidate, stopped early by ASHA; then the winner's training is finished and it is scored as a row.

What a candidate is worth at a rung is a stage, its training so far a checkpoint in its model's own folder, and every decision of ASHA a
small file beside the outcome. So a search that was killed goes on by the same command: nothing is computed twice and no decision is
taken back. The winner's model stage goes on from its last rung.

A candidate's numbers depend on the seeds alone. Which candidates are stopped depends on what the others had scored by then, so with
several trials side by side it may differ between two searches from the beginning; one at a time, it does not.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from ray import tune
from ray.tune.schedulers import ASHAScheduler, TrialScheduler

from evaluators import uncertainty
from rollbench.engine import cluster, nodes
from rollbench.engine.actor_pool import ActorPool
from rollbench.engine.checkpoint_sync import newest
from rollbench.engine.model import WEIGHTS, with_weights
from rollbench.engine.resources import Resources
from rollbench.engine.rollout import RolloutWriter, groups
from rollbench.engine.run_stage import StageOutput, run_stage
from rollbench.engine.simulate import ingest
from rollbench.engine.train import TrainingSegment, train
from rollbench.engine.trials import TrialCallback, TrialProgress, failure, run_trials
from rollbench.pipeline.frames import check_ingested
from rollbench.pipeline.graph import HISTORY
from rollbench.pipeline.measure import EvalBatch, number
from rollbench.pipeline.measures import EnsembleScores
from rollbench.pipeline.pending import clear_stale, missing
from rollbench.pipeline.search_graph import Rung, SearchPipeline
from rollbench.progress import Progress
from rollbench.store.artifact import Artifact, Store
from rollbench.store.lease import hold_lease

SCORE, TRIALS = "score.json", "trials.json"
RESAMPLES = 1000  # behind the interval of a proxy


@dataclass(frozen=True)
class Trial:
    """What became of a candidate. rungs: {step, value, low, high, n} at each it reached. ended: "stopped", or "last rung"."""

    name: str
    fields: dict[str, Any]
    rungs: tuple[dict[str, Any], ...]
    ended: str

    @property
    def value(self) -> float:
        return float(self.rungs[-1]["value"])


def race(stages: SearchPipeline, store: Store, resources: Resources, progress: Progress) -> tuple[Trial, ...]:
    """All candidates, raced now as far as they were not before.

    Raises RuntimeError if a trial fails, after the others are done, and KeyboardInterrupt if they were stopped.
    """
    found = missing(stages.stages(), store)
    check_ingested(found and stages.data(), store)
    clear_stale(found, store)
    if stages.outcome in found:
        progress.line(f"{stages.search.name}: a race of {len(stages.candidates)} candidates")
        with cluster.cluster():
            nodes.check_shared(store)
            resources = resources.resolve()
            for stage in stages.data():
                run_stage(stage, set(found), store, progress, lambda w: ingest(w, store, progress))
            run_stage(
                stages.outcome, {stages.outcome}, store, progress, lambda _: _race(stages, store, resources, progress)
            )
    artifact = stages.outcome.artifact(store)
    receipt = artifact.file(TRIALS)
    trials = json.loads(artifact.read(receipt).to_pybytes())
    return tuple(Trial(**{**trial, "rungs": tuple(trial["rungs"])}) for trial in trials)


def winner(trials: tuple[Trial, ...]) -> int:
    """The place of the best of those that came to the last rung."""
    return min((t.value, place) for place, t in enumerate(trials) if t.ended == "last rung")[1]


def _race(stages: SearchPipeline, store: Store, resources: Resources, progress: Progress) -> StageOutput:
    candidates, artifact = stages.candidates, stages.outcome.artifact(store)
    listener = TrialCallback([(candidate.row,) for candidate in candidates], progress, lambda row: None)
    scheduler = PersistentASHA(stages, artifact)
    run_trials("search", run_candidate, listener, resources, scheduler, stages=stages, store=store)
    trials = [_trial(stages, place, store) for place in range(len(candidates))]
    if any(trial.ended == "under way" for trial in trials):
        raise KeyboardInterrupt
    return StageOutput([artifact.write(TRIALS, json.dumps([vars(trial) for trial in trials], indent=1).encode())])


def _trial(stages: SearchPipeline, place: int, store: Store) -> Trial:
    """What became of the candidate at this place, from its rungs and ASHA's decisions."""
    candidate, artifact = stages.candidates[place], stages.outcome.artifact(store)
    scores = [_score(rung, store) for rung in candidate.rungs if rung.artifact(store).manifest()]
    ended = "under way"
    if len(scores) == len(candidate.rungs):
        ended = "last rung"
    elif scores and artifact.get(_decision(place, scores[-1]["step"])) == TrialScheduler.STOP.encode():
        ended = "stopped"
    fields = {axis.field: getattr(candidate.row.row.method, axis.field) for axis in stages.search.space}
    return Trial(candidate.name, fields, tuple(scores), ended)


class PersistentASHA(ASHAScheduler):
    """ASHA whose decisions are kept in a stage's folder: what was decided before a restart stays decided."""

    def __init__(self, stages: SearchPipeline, artifact: Artifact) -> None:
        steps = [rung.step for rung in stages.candidates[0].rungs]
        super().__init__("step", "proxy", "min", steps[-1] + 1, steps[0], stages.search.reduction)
        self.artifact = artifact

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        decision = super().on_trial_result(tune_controller, trial, result)
        if "proxy" not in result:
            return str(decision)
        name = _decision(trial.config["trial"], result["step"])
        if (known := self.artifact.get(name)) is not None:
            return known.decode()
        self.artifact.put(name, decision.encode())
        return str(decision)


def _decision(place: int, step: int) -> str:
    return f"decision-{place:04d}-{step:08d}"


# --- in a trial ---------------------------------------------------------------------------------------------------------------
def run_candidate(config: dict[str, Any], stages: SearchPipeline, store: Store, resources: Resources) -> None:
    """One candidate from rung to rung, until it is through or Tune stops it at a report."""
    progress, candidate = TrialProgress(), stages.candidates[config["trial"]]
    pool = ActorPool.of_row(resources)
    try:
        for rung in candidate.rungs:
            if rung.artifact(store).manifest() is None:
                if pool.kept:
                    pool.wait_ready()
                run_stage(
                    rung,
                    {rung},
                    store,
                    progress,
                    lambda w: _climb(w, store, pool, resources, progress),
                    idle=pool.release,
                )
            tune.report({"step": rung.step, "proxy": _score(rung, store)["value"]})
    except Exception as error:
        tune.report({"failed": f"{candidate.name}: {failure(error)}"})


def _climb(rung: Rung, store: Store, pool: ActorPool, resources: Resources, progress: Progress) -> StageOutput:
    """Train up to a rung, in the model's own folder unless it has gone past it, and score what there is then."""
    model, step = rung.model, rung.step
    own, here = model.artifact(store), rung.artifact(store)

    def wait(why: str) -> None:
        pool.release()
        progress.line(why)

    with hold_lease(own, wait) as unfinished:
        segment = TrainingSegment(step, own if unfinished and newest(own) <= step else here, here)
        train(model, store, pool, max_workers=resources.max_workers, on_report=tune.report, segment=segment)
    return StageOutput([pool.call(score_rung, rung, store)])


def score_rung(rung: Rung, store: Store) -> dict[str, Any]:
    """The CRPS of short films of the held-out clips, by the averaged weights that lie in the rung's folder; the score's receipt."""
    artifact, sampling = rung.artifact(store), rung.sampling
    roller = RolloutWriter(rung, store, with_weights(rung.model, artifact, artifact.receipts()[WEIGHTS]))
    reduce = EnsembleScores(tuple(range(1, sampling.horizon + 1))).reducer()
    found = []
    for shard in groups(sampling.contexts, sampling.group):
        split, films = roller.films(shard["group"])
        clips = np.stack(split.clips)
        truth, past = clips[:, -sampling.horizon :], clips[:, : -sampling.horizon]
        found.append(reduce(EvalBatch(films, truth, past[:, None], roller.normalisation.video))["crps"].mean(1))
    crps = np.concatenate(found)
    draws = uncertainty.resamples(len(crps), RESAMPLES, seed=0)
    score = number("crps", None, crps.mean(), crps[draws].mean(1), "", len(crps))
    summary = {name: score[name] for name in ("value", "low", "high", "n")}
    artifact.invalidate((WEIGHTS, HISTORY))  # no longer needed
    return artifact.write(SCORE, json.dumps({"step": rung.step, **summary, "clips": crps.tolist()}).encode())


def _score(rung: Rung, store: Store) -> dict[str, Any]:
    """The score of a finished rung."""
    artifact = rung.artifact(store)
    receipt = artifact.file(SCORE)
    score = json.loads(artifact.read(receipt).to_pybytes())
    return {name: score[name] for name in ("step", "value", "low", "high", "n")}
