"""The verdict of a cell against the paper's value, on cases at each border of the rule."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evaluators.protocols import PROTOCOLS
from reports.model.published import Published, paper
from reports.model.verdict import FAILED, OPEN, PROTOCOL, REPRODUCED, SCALE, judge
from rollbench.pipeline.measures import protocol_of
from tests.reports.test_claims import cell  # type: ignore[import-not-found]

PRINTED = Published("paper", "3", "A", "here", "fvd", None, 100.0, "as stated", comparable=("kinetics-rollout@2",))
ALIKE = "fvd@1 kinetics-rollout@2 i3d 24 frames"


def verdict(low: float, high: float, evaluator: str = ALIKE, scale: str = "paper", data: str = "real") -> str:
    mine = replace(cell("A", None, (low + high) / 2), low=low, high=high, evaluator=evaluator, scale=scale, data=data)
    return judge(mine, PRINTED).verdict


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (90.1, 109.9, REPRODUCED),
        (101.0, 102.0, REPRODUCED),  # the paper's value need not lie inside: ten percent are the same number
        (90.0, 109.9, OPEN),
        (90.1, 110.0, OPEN),
        (50.0, 200.0, OPEN),
        (109.9, 115.0, OPEN),
        (110.0, 115.0, OPEN),
        (110.1, 115.0, FAILED),
        (85.0, 90.0, OPEN),
        (85.0, 89.9, FAILED),  # better than the paper is not the paper either
    ],
)
def test_the_interval_decides_at_ten_percent(low: float, high: float, expected: str) -> None:
    assert verdict(low, high) == expected


@pytest.mark.parametrize(
    ("evaluator", "expected"),
    [
        (ALIKE, REPRODUCED),
        ("fvd@1 kinetics-rollout@1 i3d 24 frames", PROTOCOL),
        ("fvd@1 kinetics-rollout-stride1@2 i3d 64 frames", PROTOCOL),
        ("fvd@1 kinetics-rollout@2 i3d 24 frames (64 real clips, 64 generated ones of 1 samples)", PROTOCOL),
        (f"fvd@1 {protocol_of('kinetics-rollout', 24, 8192, 1).key} i3d 24 frames", REPRODUCED),
        (f"fvd@1 {protocol_of('kinetics-rollout', 24, 50, 1).key} i3d 24 frames", PROTOCOL),
        (f"fvd@1 {protocol_of('kinetics-rollout', 24, 8192, 4).key} i3d 24 frames", PROTOCOL),
        ("fsd@1", PROTOCOL),
    ],
)
def test_only_a_comparable_protocol_is_set_against_the_paper(evaluator: str, expected: str) -> None:
    assert verdict(95, 105, evaluator) == expected


@pytest.mark.parametrize(
    ("scale", "data", "expected"),
    [
        ("paper", "real", REPRODUCED),
        ("paper", "simulated", REPRODUCED),
        ("paper", "stand-in", SCALE),
        ("paper", "part", SCALE),
        ("paper", "own", SCALE),
        ("paper, training.steps=1000", "real", SCALE),
        ("lab", "real", SCALE),
        ("laptop", "stand-in", SCALE),
    ],
)
def test_a_smaller_scale_or_a_stand_in_concludes_nothing(scale: str, data: str, expected: str) -> None:
    assert verdict(95, 105, scale=scale, data=data) == expected
    assert verdict(95, 105, "fsd@1", scale=scale, data=data) in (expected, PROTOCOL)


def test_a_reason_stands_with_each_verdict() -> None:
    mine = replace(cell("A", None, 100.0, n=512), low=99.0, high=104.0, evaluator=ALIKE, scale="paper", data="real")
    assert judge(mine, PRINTED).why == "+0.0% against the paper's 100, n = 512, 1 training seed"
    assert judge(replace(mine, scale="lab", data="stand-in"), PRINTED).why == "scale lab, on stand-in data"
    assert "not stated" in judge(replace(mine, evaluator="fsd@1"), replace(PRINTED, comparable=())).why
    assert "kinetics-rollout@2" in judge(replace(mine, evaluator="fsd@1"), PRINTED).why
    assert judge(mine, None).verdict == judge(mine, None).why == ""


def test_the_comparable_protocols_exist() -> None:
    named = {name for value in paper().values for name in value.comparable}
    assert named and named <= {protocol.key for protocol in PROTOCOLS.values()}
    assert not any(value.comparable for value in paper().of("8")), "Table 8 states neither units nor counts"
