"""From tidy results to cells: pooling, intervals, and the refusals. Also the made-up results that the other report
tests render.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pandas as pd
import pytest

from evaluators.uncertainty import interval
from reports.model.cells import COLUMNS, cells
from reports.model.seeds import pool
from rollbench.errors import UserError

LEADS = (1, 2, 4, 8, 24)
LEVELS = {  # row → kind, FSD at each lead, MSE over climatology at each lead; shaped like a laptop's run
    "MSE (2-1)": ("method", (41, 52, 66, 84, 108), (0.55, 0.74, 0.9, 0.98, 1.02)),
    "Standard Diffusion (2-1)": ("method", (16, 19.5, 26, 34, 45), (0.9, 1.3, 1.6, 1.8, 1.95)),
    "Standard Diffusion (2-4)": ("method", (14.6, 15.8, 18.4, 19.6, 24.9), (0.91, 1.28, 1.58, 1.8, 1.93)),
    "Rolling Diffusion (init noise) (2-4)": ("method", (14.2, 15.5, 20.1, 26.6, 33.0), (0.9, 1.25, 1.5, 1.6, 1.64)),
    "Rolling 10-Ensemble (2-8)": ("method", (62, 180, 540, 1890, 130_000), (0.5, 0.69, 0.85, 0.95, 1.05)),
    "persistence": ("baseline", (9.1, 9.3, 9.2, 9.4, 9.3), (1.05, 1.3, 1.55, 1.75, 1.9)),
    "climatology": ("baseline", (152, 153, 152, 151, 152), (1.0, 1.0, 1.0, 1.0, 1.0)),
    "real vs real": ("floor", (8.0, 8.1, 7.9, 8.2, 8.1), (2.0, 2.01, 1.99, 2.0, 2.0)),
}


def results(seeds: tuple[int, ...] = (0,), count: int = 200, rows: tuple[str, ...] = tuple(LEVELS)) -> pd.DataFrame:
    """Made-up results of Table 8 at a laptop's scale: correlated replicates, as common resamples give them."""
    generator = np.random.default_rng(7)
    shared = {lead: generator.standard_normal(count) for lead in LEADS}
    records = []
    for row in rows:
        kind, fsd, ratio = LEVELS[row]
        method = kind == "method"
        for seed in seeds if method else (0,):
            mse = [3.1 * r for r in ratio]
            for metric, levels, spread in (("fsd", fsd, 0.06), ("mse", mse, 0.02), ("mse_ratio", ratio, 0.02)):
                for lead, level in zip(LEADS, levels, strict=True):
                    value = level * (1 + 0.02 * generator.standard_normal())
                    noise = 0.8 * shared[lead] + 0.6 * generator.standard_normal(count)
                    low, high = value * (1 - 2 * spread), value * (1 + 2 * spread)
                    records.append(
                        {
                            "table": "table8", "setting": "", "data": "simulated", "row": row, "kind": kind, "metric": metric, "lead": lead,
                            "scale": "laptop", "seed": seed, "value": value, "low": low, "high": high, "n": 128,
                            "replicates": value * (1.1 + spread * noise), "evaluator": f"{metric}@1",
                            "commit": "ae287dfc1b" * 4,
                            "calls_per_frame": 4.0 if method else None,
                            "calls_per_frame_total": 4.0 + (0.25 if "Rolling" in row else 0.0) if method else None,
                            "parameters": 331_776 if method else None, "train_steps": 300 if method else None,
                            "train_seconds": 83.2 if method else None, "seconds": 11.4, "device": "cpu",
                            "peak_memory_bytes": 812 * 2**20 if method else None, "data_key": digest_of("data"),
                            "model_key": digest_of(row, seed) if method else None,
                            "rollouts_key": digest_of(row, seed, "clips") if method else None,
                            "features_key": digest_of(row, seed, "features") if method else None,
                            "reference_key": digest_of("reference"), "results_key": digest_of(row, seed, "results"),
                        }
                    )  # fmt: skip
    return pd.DataFrame(records)


def digest_of(*of: object) -> str:
    """A content key, the same from run to run."""
    return hashlib.sha256(repr(of).encode()).hexdigest()[:20]


def test_one_seed_keeps_its_value_its_replicates_and_the_evaluators_interval() -> None:
    frame = results()
    pooled = cells(frame)[""]
    for record in frame.to_dict("records"):
        cell = pooled[record["row"], record["metric"], record["lead"]]
        assert cell.value == record["value"]
        np.testing.assert_array_equal(cell.replicates, record["replicates"])
        low, high = interval(record["value"], record["replicates"], positive=True)
        np.testing.assert_allclose((cell.low, cell.high), (low, high), rtol=1e-12)


def test_the_interval_of_a_wild_number_is_finite() -> None:
    low, high = interval(1e-9, np.linspace(-5, 5, 100), positive=True)
    assert 0 <= low <= 1e-9 <= high < float("inf")


def test_pooled_seeds_have_the_variance_of_a_mean_of_seeds() -> None:
    """Seeds 1, 2, 6 without any other noise: sd² = 7, so the mean of three has the variance 7 / 3, widened by Student's quantile."""
    values = np.array([1.0, 2.0, 6.0])
    mean, replicates = pool(values, np.repeat(values[:, None], 40_000, axis=1))
    assert mean == 3.0
    assert replicates.mean() == pytest.approx(3.0, abs=0.06)
    assert replicates.var() == pytest.approx(7 / 3 * (4.302653 / 1.959964) ** 2, rel=0.03)


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("clips", [0.0, 0.3, 3.0])
def test_intervals_over_a_few_seeds_hold_what_they_say(seeds: int, clips: float) -> None:
    """Seeds vary by 1, the draw of clips by `clips`: 95 % and not, as with a normal quantile, 71 % of two seeds."""
    rng = np.random.default_rng(0)
    draws, held = clips * rng.standard_normal(100), []
    for _ in range(1000):
        values = 10 + rng.standard_normal(seeds) + clips * rng.standard_normal()
        value, replicates = pool(values, values[:, None] + draws)
        low, high = interval(value, replicates)
        held.append(low <= 10 <= high)
    assert 0.93 <= np.mean(held) <= 0.995


def test_pooled_seeds_keep_what_the_draws_of_trajectories_share() -> None:
    """Two seeds that agree: only the common noise of the trajectories is left, unchanged."""
    noise = np.random.default_rng(0).standard_normal(100)
    _, replicates = pool(np.array([5.0, 5.0]), np.stack([5 + noise, 5 + noise]))
    np.testing.assert_allclose(replicates, 5 + noise, rtol=1e-12)


def test_a_cell_of_several_seeds_sums_their_cost_and_knows_their_runs() -> None:
    frame = results(seeds=(0, 1, 5))
    cell = cells(frame)[""]["MSE (2-1)", "fsd", 4]
    mine = frame[(frame["row"] == "MSE (2-1)") & (frame["metric"] == "fsd") & (frame["lead"] == 4)]
    assert cell.value == pytest.approx(mine["value"].mean(), rel=1e-12)
    assert cell.seeds == (0, 1, 5) and [t.value for t in cell.traces] == list(mine["value"])
    assert [t.results_key for t in cell.traces] == list(mine["results_key"])
    assert cell.train_seconds == pytest.approx(3 * 83.2) and cell.peak_memory_bytes == 812 * 2**20
    assert cells(frame)[""]["persistence", "fsd", 4].parameters is None


@pytest.mark.parametrize("column", ["evaluator", "data_key", "model_key", "rollouts_key", "results_key", "commit"])
@pytest.mark.parametrize("nothing", [None, "", float("nan")])
def test_a_number_without_what_made_it_is_refused(column: str, nothing: Any) -> None:
    frame = results(rows=("Standard Diffusion (2-4)",)).astype({column: object})
    frame.at[7, column] = nothing
    with pytest.raises(UserError, match=f"Standard Diffusion .*without its artefacts: {column} is missing"):
        cells(frame)


@pytest.mark.parametrize("replicates", [None, [], [1.0] * 19, [float("nan")] * 200, "0.1"])
def test_a_number_without_replicates_is_refused(replicates: Any) -> None:
    frame = results(rows=("Standard Diffusion (2-4)",))
    frame.at[3, "replicates"] = replicates
    with pytest.raises(UserError, match=r"fsd at lead 8, seed 0: a number without its artefacts: .*replicates"):
        cells(frame)


def test_a_trivial_row_needs_no_model() -> None:
    assert cells(results(rows=("persistence", "real vs real")))[""]["real vs real", "fsd", 1].kind == "floor"


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("value", float("inf"), "not finite"),
        ("kind", "methods", "did you mean 'method'"),
        ("scale", "smoke", "several of scale"),
        ("evaluator", "fsd@2", r"fsd: .* several of evaluator \['fsd@1', 'fsd@2'\]"),
        ("data", "stand-in", r"several of data \['simulated', 'stand-in'\]"),
        ("data", "standin", "did you mean 'stand-in'"),
        ("n", 0, "n = 0"),
        ("seed", 1, "given twice"),
        ("lead", 2, "given twice"),
    ],
)
def test_results_that_must_not_stand_together_are_refused(column: str, value: Any, message: str) -> None:
    frame = results(seeds=(0, 1), rows=("Standard Diffusion (2-4)",))
    frame.at[0, column] = value
    with pytest.raises(UserError, match=message):
        cells(frame)


def test_seeds_scored_on_other_trajectories_are_refused() -> None:
    frame = results(seeds=(0, 1), rows=("Standard Diffusion (2-4)",))
    frame.at[0, "n"] = 64
    with pytest.raises(UserError, match="the seeds differ in n"):
        cells(frame)


@pytest.mark.parametrize("column", COLUMNS)
def test_a_missing_column_is_named(column: str) -> None:
    with pytest.raises(UserError, match=f"lack the column '{column}'"):
        cells(results().drop(columns=column))


def test_no_results_are_no_table() -> None:
    with pytest.raises(UserError, match="empty"):
        cells(results().iloc[:0])
