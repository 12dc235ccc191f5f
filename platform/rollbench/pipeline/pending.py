"""Which stages of a graph are still to be computed, and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rollbench.pipeline.graph import Stage
from rollbench.store.artifact import MANIFEST, Store


@dataclass(frozen=True)
class Missing:
    """Why a stage must be made: nothing there, files damaged, or something upstream is to be made anew."""

    reason: str
    damaged: tuple[str, ...] = ()
    stale: bool = False


def missing(stages: Iterable[Stage], store: Store, *, look: bool = True) -> dict[Stage, Missing]:
    """The stages still to be made, each with its reason; `stages` must come in the order of `Pipeline.stages`.

    look: for damage, which takes reading what is finished.
    """
    pending: dict[Stage, Missing] = {}
    for stage in stages:
        artifact = stage.artifact(store)
        upstream = next((other for other in stage.upstream.values() if other in pending), None)
        if artifact.manifest() is None:
            torn = look and artifact.get(MANIFEST) is not None
            pending[stage] = (
                Missing(f"{artifact.path}/{MANIFEST} is damaged", (MANIFEST,)) if torn else Missing("not made yet")
            )
        elif upstream is not None:
            pending[stage] = Missing(f"its {upstream.kind} is to be made", stale=True)
        elif look and (damage := artifact.damage()):
            pending[stage] = Missing("; ".join(damage.values()), damaged=tuple(damage))
    return pending


def clear_stale(pending: dict[Stage, Missing], store: Store) -> None:
    """Make room for the stages that are to be made: stale ones go whole, of a damaged one only the damaged files."""
    for stage, why in pending.items():
        artifact = stage.artifact(store)
        if why.stale:
            artifact.remove()
        elif why.damaged:
            artifact.invalidate(why.damaged)
