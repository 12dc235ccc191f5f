"""Table 10: the search for β, the share of training windows at the sliding noise levels, for both init phases and both strides.

    python experiments/table10.py --scale laptop

β is P(linear): the caption and the row "clip, β = 0.0" say so, the branch printed in Algorithm 1 is swapped. Rows that Table 3 has too
are the same runs.
"""

import sys
from dataclasses import replace
from functools import partial
from typing import Literal

if __name__ == "__main__":
    import _path  # noqa: F401

from experiments.table3 import FAST, SLOW
from rollbench.cli.experiment import run
from rollbench.config.table import Claim, Curve, Row, Table
from rollbench.methods import Rolling, Standard


def rolling(init: Literal["clip", "rescaled"], beta: float, stride: int, priority: int) -> Row:
    """A row of rolling diffusion (5-11)."""
    name = f"Rolling {init} β={beta} (5-11), stride {stride}"
    return Row(name, Rolling(5, 11, init=init, beta=beta), priority, paper_name=f"Rolling init {init} beta={beta}")


def standard(clean: int, generated: int, priority: int) -> Row:
    name = f"Standard ({clean}-{generated}), stride 1"
    return Row(name, Standard(clean, generated), priority, paper_name="Standard Diffusion")


FAST_ROWS = (
    rolling("rescaled", 0.1, 8, priority=1),
    rolling("rescaled", 0.2, 8, priority=5),
    rolling("rescaled", 0.5, 8, priority=6),
    rolling("rescaled", 0.7, 8, priority=7),
    rolling("rescaled", 0.8, 8, priority=8),
    rolling("rescaled", 0.9, 8, priority=2),
    rolling("clip", 0.0, 8, priority=3),
    rolling("clip", 0.2, 8, priority=9),
    rolling("clip", 0.5, 8, priority=10),
    rolling("clip", 0.7, 8, priority=4),
)
SLOW_ROWS = (
    rolling("rescaled", 0.7, 1, priority=4),
    rolling("rescaled", 0.8, 1, priority=5),
    rolling("rescaled", 0.9, 1, priority=1),
    standard(15, 1, priority=6),
    standard(5, 1, priority=7),
    standard(8, 8, priority=3),
    standard(5, 8, priority=2),
)

TABLE = Table(
    name="table10",
    published="10",
    title="Kinetics-600: the search for β",
    caption="FVD over β = P(linear), for both init phases, at two strides. Standard diffusion stands below for comparison.",
    settings=(replace(FAST, rows=FAST_ROWS), replace(SLOW, rows=SLOW_ROWS)),
    curves=tuple(
        Curve("fvd", "β = P(linear)", tuple((row.name, row.method.init, row.method.beta) for row in rows if "β" in row.name))
        for rows in (FAST_ROWS, SLOW_ROWS)
    ),
    claims=(
        Claim(
            "With fast motion a low β is best: rescaled",
            "Table 10", "fvd", FAST_ROWS[0].name, "<", FAST_ROWS[5].name,
        ),
        Claim(
            "With fast motion a high β is best: clip",
            "Table 10", "fvd", FAST_ROWS[9].name, "<", FAST_ROWS[6].name,
        ),
    ),
)  # fmt: skip

main = partial(run, TABLE)

if __name__ == "__main__":
    sys.exit(main())
