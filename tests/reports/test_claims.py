"""Claims decided on cases whose verdict is known by hand."""

from __future__ import annotations

import numpy as np
import pytest

from reports.model.cells import Cell, Provenance
from reports.model.claims import decide, relation
from rollbench.config.table import Claim
from rollbench.errors import UserError

COMMON = np.random.default_rng(1).standard_normal(400)  # what the trajectories drawn do to every row alike
COMMON = (COMMON - COMMON.mean()) / COMMON.std(ddof=1)
OWN = np.random.default_rng(2).standard_normal(400)
OWN = (OWN - OWN.mean()) / OWN.std(ddof=1)


def cell(row: str, lead: int | None, value: float, common: float = 0.0, own: float = 0.0, n: int = 64) -> Cell:
    """A cell whose replicates are value + common · (the same for all rows) + own · (of its own)."""
    trace = Provenance(0, value, "data", "model", "rollouts", "features", "reference", "results", "commit", "cpu", 1.0)
    replicates = value + common * COMMON + own * OWN
    rest = dict.fromkeys(("calls_per_frame", "calls_per_frame_total", "parameters", "train_steps", "train_seconds"))
    return Cell(setting="", row=row, kind="method", metric="fsd", lead=lead, scale="laptop", data="simulated", value=value,
                low=value, high=value, n=n, replicates=replicates, evaluator="fsd@1", peak_memory_bytes=None, seconds=None,
                traces=(trace,), **rest)  # fmt: skip


def table(*cells: Cell) -> dict[tuple[str, str, int | None], Cell]:
    return {(c.row, c.metric, c.lead): c for c in cells}


def claim(relation: str = "<", right: str | float = "B", **settings: object) -> Claim:
    return Claim("text", "source", "fsd", "A", relation, right, **settings)  # type: ignore[arg-type]


def test_what_two_rows_share_cancels() -> None:
    """A difference of 1 under a common noise of 10 is certain; under an own noise of 10 it is not."""
    shared = decide(claim(), table(cell("A", 1, 9.0, common=10), cell("B", 1, 10.0, common=10)))
    own = decide(claim(), table(cell("A", 1, 9.0, common=10, own=10), cell("B", 1, 10.0, common=10)))
    assert (shared.verdict, own.verdict) == ("shows", "undecided")
    assert own.leads[0].estimate == -1.0
    assert (own.leads[0].low, own.leads[0].high) == pytest.approx((-1 - 19.6, -1 + 19.6), abs=0.01)


@pytest.mark.parametrize(
    ("difference", "smaller", "greater"),
    [(-2.0, "shows", "does not show"), (2.0, "does not show", "shows"), (1.9, "undecided", "undecided")],
)
def test_the_whole_interval_decides(difference: float, smaller: str, greater: str) -> None:
    """The difference has a standard deviation of 1: beyond 1.96 it is decided."""
    both = table(cell("A", 1, 10 + difference, own=1), cell("B", 1, 10.0))
    assert decide(claim("<"), both).verdict == smaller
    assert decide(claim(">"), both).verdict == greater


def test_a_factor_scales_the_right_side_and_its_replicates() -> None:
    """A = 2 B exactly, noise included: A > 1.9 B is certain, A > 2.1 B its opposite."""
    both = table(cell("A", 1, 20.0, common=2), cell("B", 1, 10.0, common=1))
    assert decide(claim(">", factor=1.9), both).verdict == "shows"
    assert decide(claim(">", factor=2.1), both).verdict == "does not show"
    exact = decide(claim(">", factor=2.0), both).leads[0]
    assert exact.estimate == 0.0 and exact.high - exact.low < 1e-12


@pytest.mark.parametrize(
    ("value", "noise", "verdict"),
    [(2.1, 0.05, "shows"), (2.1, 0.5, "undecided"), (2.5, 0.05, "does not show"), (1.5, 0.05, "does not show")],
)
def test_nearly_equal_is_a_matter_of_the_interval_and_the_tolerance(value: float, noise: float, verdict: str) -> None:
    decided = decide(claim("≈", 2.0, tolerance=0.15), table(cell("A", 8, value, own=noise)))
    assert decided.verdict == verdict
    assert decided.leads[0].estimate == pytest.approx(value / 2)


def test_nearly_equal_to_a_row_with_a_factor() -> None:
    both = table(cell("A", 1, 20.0, common=2, own=0.1), cell("B", 1, 10.0, common=1))
    assert decide(claim("≈", factor=2.0, tolerance=0.1), both).verdict == "shows"
    assert decide(claim("≈", factor=1.0, tolerance=0.1), both).verdict == "does not show"


@pytest.mark.parametrize(
    ("differences", "verdict", "sentence"),
    [
        ((-5, -5, -5), "shows", "Shows at every lead measured (1, 2, 4)."),
        ((5, 5, 5), "does not show", "Does not show at every lead measured (1, 2, 4)."),
        ((0, 0, 0), "undecided", "Undecided at every lead measured (1, 2, 4)."),
        ((-5, 0, -5), "shows in part", "Shows in part: it shows at leads 1, 4; undecided at lead 2."),
        ((-5, 0, 5), "mixed", "Mixed: it shows at lead 1; the opposite is seen at lead 4; undecided at lead 2."),
        ((0, 0, 5), "does not show", "Does not show: the opposite is seen at lead 4; undecided at leads 1, 2."),
    ],
)
def test_over_the_leads(differences: tuple[float, ...], verdict: str, sentence: str) -> None:
    cells = [c for lead, d in zip((1, 2, 4), differences, strict=True)
             for c in (cell("A", lead, 10 + d, own=1), cell("B", lead, 10))]  # fmt: skip
    decided = decide(claim(), table(*cells))
    assert (decided.verdict, decided.sentence) == (verdict, sentence)


def test_the_leads_asked_for_that_are_there_are_used() -> None:
    cells = [c for lead in (1, 2, 4) for c in (cell("A", lead, 5, own=1), cell("B", lead, 10))]
    assert [at.lead for at in decide(claim(leads=(2, 4, 48)), table(*cells)).leads] == [2, 4]
    absent = decide(claim(leads=(24, 48)), table(*cells))
    assert (absent.verdict, absent.leads) == ("not run", ())
    assert "[24, 48]" in absent.sentence


def test_a_claim_about_whole_clips_has_no_lead() -> None:
    decided = decide(claim(), table(cell("A", None, 5, own=1), cell("B", None, 10)))
    assert (decided.verdict, decided.sentence, decided.leads[0].lead) == ("shows", "Shows.", None)


def test_a_row_that_was_not_run_decides_nothing() -> None:
    decided = decide(claim(), table(cell("A", 1, 5)))
    assert (decided.verdict, decided.sentence) == ("not run", "Not run: no results of B.")


@pytest.mark.parametrize("right", [cell("B", 1, 10.0, n=32)])
def test_rows_of_other_trajectories_are_not_compared(right: Cell) -> None:
    with pytest.raises(UserError, match=r"'A' \(n = 64, 400 replicates\) and 'B' \(n = 32"):
        decide(claim(), table(cell("A", 1, 5), right))


def test_a_claim_reads_as_a_relation() -> None:
    assert relation(claim(">", factor=2.0)) == "A > 2 × B"
    assert relation(claim("≈", 2.0, tolerance=0.15)) == "A ≈ 2 within 15%"
