"""Whether a cell reproduces the paper's value: one of five verdicts, or none where the paper prints nothing.

The paper prints a value p without an interval; ours is a value with its 95 % interval. In this order:

    other scale       our sizes or settings differ from the paper's (a field changed by --set is named), or the data do
    other protocol    our scoring is not one of those that agree with everything the paper states: `comparable` in
                      paper.yaml names them for each table; it is empty where units, norms or the number of clips
                      are not stated
    reproduced        the whole interval lies within ±10 % of p
    not reproduced    the whole interval lies outside
    underpowered      the interval contains a border of that range: more clips, or more seeds, would decide

Numbers within ten percent count as equal: the paper's own tables differ by 7 % for one quantity (Standard
Diffusion, stride 1: 1369 in Table 3 and 1460 in Table 10), and two ways of resizing, between which the paper
does not choose, move FVD by 6 %.
"""

from __future__ import annotations

from dataclasses import dataclass

from reports.model.cells import Cell
from reports.model.published import Published

REPRODUCED, FAILED, OPEN = "reproduced", "not reproduced", "underpowered"
PROTOCOL, SCALE = "other protocol", "other scale"
TOLERANCE = 0.10
PAPER = "paper"  # the scale with the paper's sizes
OTHER_DATA = {"stand-in": "on stand-in data", "part": "on part of the training clips", "own": "on data of one's own"}

RULE = (
    f"Against the paper's value: reproduced if our whole interval lies within {TOLERANCE:.0%} of it, not reproduced if it "
    "lies outside, underpowered if it contains a border of that range. Other protocol: our scoring differs from what the "
    "paper states. Other scale: our sizes, settings or data differ from the paper's. In both cases nothing is concluded."
)


@dataclass(frozen=True)
class Verdict:
    """A verdict with its reason; both are "" where the paper prints no value."""

    verdict: str = ""
    why: str = ""


def judge(cell: Cell, published: Published | None) -> Verdict:
    """The verdict of a cell against the paper's value."""
    if published is None:
        return Verdict()
    sizes = f"scale {cell.scale}" if cell.scale != PAPER else ""
    if other := ", ".join(filter(None, (sizes, OTHER_DATA.get(cell.data)))):
        return Verdict(SCALE, other)
    if not is_comparable(cell.evaluator, published.comparable):
        known = f"; the paper's can be compared with {', '.join(published.comparable)}" if published.comparable else ""
        return Verdict(PROTOCOL, f"scored as {cell.evaluator}{known or ', and how the paper scored is not stated'}")
    low, value, high = (x / published.number for x in (cell.low, cell.value, cell.high))
    seeds = f"{len(cell.seeds)} training seed{'s' if len(cell.seeds) > 1 else ''}"
    why = f"{value - 1:+.1%} against the paper's {published.number:g}, n = {cell.n}, {seeds}"
    if 1 - TOLERANCE < low and high < 1 + TOLERANCE:
        return Verdict(REPRODUCED, why)
    return Verdict(FAILED if high < 1 - TOLERANCE or low > 1 + TOLERANCE else OPEN, why)


def is_comparable(evaluator: str, comparable: tuple[str, ...]) -> bool:
    """Whether a number's evaluator ("fvd@1 kinetics-rollout@2 i3d… 24 frames") names one of the protocols, at the protocol's counts.

    Other counts follow the name: "… at 64 clips" for a scaled table, "… (64 real clips, …)" for scored files.
    """
    protocol, _, rest = evaluator.partition(" ")[2].partition(" ")
    return protocol in comparable and not rest.startswith("at ") and "(" not in rest
