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
from rollbench.engine.actor_pool import Crew
from rollbench.engine.checkpoint_sync import newest
from rollbench.engine.model import WEIGHTS, with_weights
from rollbench.engine.resources import Resources
from rollbench.engine.rollout import Roller, groups
from rollbench.engine.run_stage import Product, make
from rollbench.engine.simulate import ingest
from rollbench.engine.train import Leg, train
from rollbench.engine.trials import Listener, Say, failure, run_trials
from rollbench.pipeline.frames import check_ingested
from rollbench.pipeline.graph import HISTORY, Work, absent, prepare
from rollbench.pipeline.measures import Ensembles, Seen, number
from rollbench.pipeline.search_graph import SearchWork
from rollbench.progress import Progress
from rollbench.store.artifact import Stage, Store
from rollbench.store.lease import claimed

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


def race(works: SearchWork, store: Store, resources: Resources, progress: Progress) -> tuple[Trial, ...]:
    """All candidates, raced now as far as they were not before.

    Raises RuntimeError if a trial fails, after the others are done, and KeyboardInterrupt if they were stopped.
    """
    found = absent(works.works(), store)
    check_ingested(found and works.data(), store)
    prepare(found, store)
    if works.outcome in found:
        progress.line(f"{works.search.name}: a race of {len(works.candidates)} candidates")
        with cluster.cluster():
            nodes.check_shared(store)
            settled = resources.settled()
            for work in works.data():
                make(work, set(found), store, progress, lambda w: ingest(w, store, progress))
            make(works.outcome, {works.outcome}, store, progress, lambda _: _race(works, store, settled, progress))
    stage = works.outcome.stage(store)
    (receipt,) = (stage.manifest() or {})["files"]
    told = json.loads(stage.read(receipt).to_pybytes())
    return tuple(Trial(**{**trial, "rungs": tuple(trial["rungs"])}) for trial in told)


def winner(trials: tuple[Trial, ...]) -> int:
    """The place of the best of those that came to the last rung."""
    return min((t.value, place) for place, t in enumerate(trials) if t.ended == "last rung")[1]


def _race(works: SearchWork, store: Store, resources: Resources, progress: Progress) -> Product:
    candidates, stage = works.candidates, works.outcome.stage(store)
    listener = Listener([(candidate.row,) for candidate in candidates], progress, lambda row: None)
    scheduler = Remembering(works, stage)
    run_trials("search", run_candidate, listener, resources, scheduler, works=works, store=store)
    trials = [_trial(works, place, store) for place in range(len(candidates))]
    if any(trial.ended == "under way" for trial in trials):
        raise KeyboardInterrupt
    return Product([stage.write(TRIALS, json.dumps([vars(trial) for trial in trials], indent=1).encode())])


def _trial(works: SearchWork, place: int, store: Store) -> Trial:
    """What became of the candidate at this place, from its rungs and ASHA's decisions."""
    candidate, stage = works.candidates[place], works.outcome.stage(store)
    scores = [_score(rung, store) for rung in candidate.rungs if rung.stage(store).manifest()]
    ended = "under way"
    if len(scores) == len(candidate.rungs):
        ended = "last rung"
    elif scores and stage.get(_decision(place, scores[-1]["step"])) == TrialScheduler.STOP.encode():
        ended = "stopped"
    fields = {axis.field: getattr(candidate.row.row.method, axis.field) for axis in works.search.space}
    return Trial(candidate.name, fields, tuple(scores), ended)


class Remembering(ASHAScheduler):
    """ASHA whose decisions are kept in a stage's folder: what was decided before a restart stays decided."""

    def __init__(self, works: SearchWork, stage: Stage) -> None:
        steps = [rung.made_from["step"] for rung in works.candidates[0].rungs]
        super().__init__("step", "proxy", "min", steps[-1] + 1, steps[0], works.search.reduction)
        self.stage = stage

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        decision = super().on_trial_result(tune_controller, trial, result)
        if "proxy" not in result:
            return str(decision)
        name = _decision(trial.config["trial"], result["step"])
        if (known := self.stage.get(name)) is not None:
            return known.decode()
        self.stage.put(name, decision.encode())
        return str(decision)


def _decision(place: int, step: int) -> str:
    return f"decision-{place:04d}-{step:08d}"


# --- in a trial ---------------------------------------------------------------------------------------------------------------
def run_candidate(config: dict[str, Any], works: SearchWork, store: Store, resources: Resources) -> None:
    """One candidate from rung to rung, until it is through or Tune stops it at a report."""
    said, candidate = Say(), works.candidates[config["trial"]]
    crew = Crew.of_row(resources)
    try:
        for rung in candidate.rungs:
            if rung.stage(store).manifest() is None:
                if crew.kept:
                    crew.hire()
                make(rung, {rung}, store, said, lambda w: _climb(w, store, crew, resources, said), idle=crew.dismiss)
            tune.report({"step": rung.made_from["step"], "proxy": _score(rung, store)["value"]})
    except Exception as error:
        tune.report({"failed": f"{candidate.name}: {failure(error)}"})


def _climb(rung: Work, store: Store, crew: Crew, resources: Resources, said: Progress) -> Product:
    """Train up to a rung, in the model's own folder unless it has gone past it, and score what there is then."""
    model, step = rung.needs[0], rung.made_from["step"]
    own, here = model.stage(store), rung.stage(store)

    def wait(why: str) -> None:
        crew.dismiss()
        said.line(why)

    with claimed(own, wait) as unfinished:
        leg = Leg(step, own if unfinished and newest(own) <= step else here, here)
        train(model, store, crew, most=resources.most, told=tune.report, leg=leg)
    return Product([crew.call(score_rung, rung, store)])


def score_rung(rung: Work, store: Store) -> dict[str, Any]:
    """The CRPS of short films of the held-out clips, by the averaged weights that lie in the rung's folder; the score's receipt."""
    stage, sampling = rung.stage(store), rung.made_from["sampling"]
    roller = Roller(rung, store, with_weights(rung.needs[0], stage, stage.receipts()[WEIGHTS]))
    reduce = Ensembles(tuple(range(1, sampling.horizon + 1))).reducer()
    found = []
    for shard in groups(sampling.contexts, sampling.group):
        split, films = roller.films(shard["group"])
        clips = np.stack(split.clips)
        truth, past = clips[:, -sampling.horizon :], clips[:, : -sampling.horizon]
        found.append(reduce(Seen(films, truth, past[:, None], roller.normalisation.video))["crps"].mean(1))
    crps = np.concatenate(found)
    draws = uncertainty.resamples(len(crps), RESAMPLES, seed=0)
    told = number("crps", None, crps.mean(), crps[draws].mean(1), "", len(crps))
    kept = {name: told[name] for name in ("value", "low", "high", "n")}
    stage.reopen((WEIGHTS, HISTORY))  # they have done their work
    return stage.write(SCORE, json.dumps({"step": rung.made_from["step"], **kept, "clips": crps.tolist()}).encode())


def _score(rung: Work, store: Store) -> dict[str, Any]:
    """The score of a finished rung."""
    stage = rung.stage(store)
    (receipt,) = (stage.manifest() or {})["files"]
    told = json.loads(stage.read(receipt).to_pybytes())
    return {name: told[name] for name in ("step", "value", "low", "high", "n")}
