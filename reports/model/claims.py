"""The paper's qualitative claims, each decided by an interval at each lead.

A claim says: metric(left) `relation` factor · right. At a lead, with the 95 % interval of the paired bootstrap
(`model.seeds`):

    "<", ">"   d = left − factor · right      shows if the whole interval of d lies on the claimed side of 0,
    "≈"        d = left / (factor · right)    shows if it lies inside [1 − tolerance, 1 + tolerance];
               does not show if it lies wholly on the other side (outside); undecided if it contains a border.

Over its leads a claim "shows" if it does at all of them, "shows in part" if it does at some and is undecided at the
rest, is "mixed" if it shows at some and the opposite is seen at others, "does not show" if the opposite is seen at
some and it shows at none, and is "undecided" otherwise. A claim whose row or leads were not run says "not run".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from evaluators.uncertainty import interval
from reports.model.cells import Cell, Cells
from reports.model.seeds import Floats
from rollbench.config.table import Claim
from rollbench.errors import UserError

SHOWS, FAILS, OPEN, ABSENT = "shows", "does not show", "undecided", "not run"
PARTLY, MIXED = "shows in part", "mixed"


@dataclass(frozen=True)
class AtLead:
    """A claim at one lead (None: of the whole clip): `estimate` is the difference (the ratio for "≈") with its interval."""

    lead: int | None
    verdict: str
    left: float
    right: float
    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class ClaimVerdict:
    """A claim decided: over all its leads, at each of them, and as a sentence."""

    claim: Claim
    verdict: str
    leads: tuple[AtLead, ...]
    sentence: str


def decide(claim: Claim, cells: Cells) -> ClaimVerdict:
    """Decide one claim from the cells of a setting. Raises UserError if the two rows have different resamples."""
    names = [claim.left] + ([claim.right] if isinstance(claim.right, str) else [])
    wanted = [lead for lead in dict.fromkeys(k[2] for k in cells) if not claim.leads or lead in claim.leads]
    present = [lead for lead in wanted if all((name, claim.metric, lead) in cells for name in names)]
    present.sort(key=lambda lead: lead or 0)
    if not present:
        rows = {row for row, metric, _ in cells if metric == claim.metric}
        absent = [name for name in names if name not in rows]
        why = f"no results of {' or of '.join(absent)}" if absent else f"no lead of {list(claim.leads)} was measured"
        return ClaimVerdict(claim, ABSENT, (), f"Not run: {why}.")
    leads = tuple(_at(claim, cells, lead) for lead in present)
    overall = _overall({at.verdict for at in leads})
    return ClaimVerdict(claim, overall, leads, _sentence(overall, leads))


def _at(claim: Claim, cells: Cells, lead: int | None) -> AtLead:
    """The claim at one lead."""
    left = cells[claim.left, claim.metric, lead]
    right = cells[claim.right, claim.metric, lead] if isinstance(claim.right, str) else None
    if right is not None:
        paired(left, right)
    value, replicates = (
        (right.value, right.replicates) if right else (float(claim.right), np.full_like(left.replicates, claim.right))
    )
    if claim.relation == "≈":
        estimate, draws = left.value / (claim.factor * value), left.replicates / (claim.factor * replicates)
        low, high = interval(estimate, draws, positive=True)
        verdict = _position(low, high, 1 - claim.tolerance, 1 + claim.tolerance)
    else:
        estimate, draws = left.value - claim.factor * value, left.replicates - claim.factor * replicates
        low, high = interval(estimate, draws)
        verdict = _position(low, high, -np.inf, 0.0) if claim.relation == "<" else _position(low, high, 0.0, np.inf)
    return AtLead(lead, verdict, left.value, value, estimate, low, high)


def _position(low: float, high: float, border_low: float, border_high: float) -> str:
    """Where an interval lies against the claimed range."""
    if border_low < low and high < border_high:
        return SHOWS
    return FAILS if high < border_low or low > border_high else OPEN


def _overall(verdicts: set[str]) -> str:
    if verdicts == {SHOWS}:
        return SHOWS
    if FAILS in verdicts:
        return MIXED if SHOWS in verdicts else FAILS
    return PARTLY if SHOWS in verdicts else OPEN


def _sentence(overall: str, decided: Iterable[AtLead]) -> str:
    groups: dict[str, list[str]] = {}
    for at in decided:
        if at.lead is None:
            return f"{overall.capitalize()}."
        groups.setdefault(at.verdict, []).append(str(at.lead))
    if len(groups) == 1:
        (leads,) = groups.values()
        ranges = (
            f"at lead {leads[0]}, the only one measured"
            if len(leads) == 1
            else f"at every lead measured ({', '.join(leads)})"
        )
        return f"{overall.capitalize()} {ranges}."
    spelled = {SHOWS: "it shows", FAILS: "the opposite is seen", OPEN: "undecided"}
    parts = [f"{spelled[v]} at {_leads(groups[v])}" for v in (SHOWS, FAILS, OPEN) if v in groups]
    return f"{overall.capitalize()}: {'; '.join(parts)}."


def _leads(leads: list[str]) -> str:
    return f"lead{'s' if len(leads) > 1 else ''} {', '.join(leads)}"


def paired(left: Cell, right: Cell) -> Floats:
    """The replicates of left − right. Raises UserError if the two have different resamples."""
    if len(left.replicates) != len(right.replicates) or left.n != right.n:
        raise UserError(
            f"{left.row!r} (n = {left.n}, {len(left.replicates)} replicates) and {right.row!r} (n = {right.n}, "
            f"{len(right.replicates)}) have different resamples, so they cannot be compared pair by pair"
        )
    return left.replicates - right.replicates


def is_below(left: Cell, right: Cell) -> bool:
    """Whether the whole interval of the paired difference left − right lies below 0."""
    return interval(left.value - right.value, paired(left, right))[1] < 0


def relation(claim: Claim) -> str:
    """The claim as a formula: "FSD: MSE (2-1) > 2 × Rolling (2-8)"."""
    factor = "" if claim.factor == 1 or not isinstance(claim.right, str) else f"{claim.factor:g} × "
    right = claim.right if isinstance(claim.right, str) else f"{claim.factor * claim.right:g}"
    within = f" within {claim.tolerance:.0%}" if claim.relation == "≈" else ""
    return f"{claim.left} {claim.relation} {factor}{right}{within}"
