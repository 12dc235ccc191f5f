"""Beyond the paper: quality over cost. How much do more network calls, longer films and finer frames cost, and what do they bring?

    python experiments/efficiency.py --scale laptop --rows all

Block and rolling diffusion on Kolmogorov flow. One model serves all numbers of calls and all lengths. Settings that a scale's caps make
equal are run once, under the first name.
"""

import sys
from dataclasses import replace
from functools import partial

if __name__ == "__main__":
    import _path  # noqa: F401

from experiments.table8 import SETTING
from rollbench.cli.experiment import run
from rollbench.config.table import Curve, Row, Setting, Table
from rollbench.methods import Rolling, Standard

LEADS = (1, 2, 4, 8, 12, 24, 48)


def variant(name: str, priority: int, *, calls: int = 32, horizon: int = 48, frame_grid: int = 64) -> Setting:
    """The setting of Table 8 with another cost, and two rows."""
    return replace(
        SETTING,
        name=name,
        data=replace(SETTING.data, frame_grid=frame_grid),
        sampling=replace(SETTING.sampling, calls_per_frame=calls, horizon=horizon),
        leads=tuple(lead for lead in LEADS if lead <= horizon),
        rows=(
            Row(f"Standard (2-4), {name}", Standard(2, 4), priority),
            Row(f"Rolling (2-4), {name}", Rolling(2, 4, init="clip"), priority),
        ),
    )


CALLS = tuple(variant(f"{calls} calls", 1, calls=calls) for calls in (1, 2, 4, 8, 16, 32))
LENGTHS = tuple(variant(f"{horizon} frames", 2, horizon=horizon) for horizon in (8, 24))
GRIDS = tuple(variant(f"{grid}² cells", 3, frame_grid=grid) for grid in (8, 16, 32))


def points(settings: tuple[Setting, ...]) -> tuple[tuple[str, str, float], ...]:
    return tuple((row.name, row.name.split(",")[0], float(row.priority)) for s in settings for row in s.rows)


TABLE = Table(
    name="efficiency",
    published="",
    title="Quality over cost: calls per frame, length, resolution",
    caption="Block and rolling diffusion (2-4) on Kolmogorov flow.",
    settings=(*CALLS, *LENGTHS, *GRIDS),
    curves=(
        Curve("fsd", "calls_per_frame_total", points(CALLS), lead=24),
        Curve("fsd", "seconds", points(CALLS), lead=24),
        Curve("mse_ratio", "seconds", points(GRIDS), lead=24),
    ),
)

main = partial(run, TABLE)

if __name__ == "__main__":
    sys.exit(main())
