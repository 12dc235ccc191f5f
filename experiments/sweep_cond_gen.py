"""Beyond the paper's rows: how a window of 16 frames is best split into context and generated frames.

    python experiments/sweep_cond_gen.py --scale laptop --rows all

Both families at every split, at equal network calls per frame, on the fast Kinetics setting of Table 3. The longest context sets the
clip; all splits are scored on the same frames.
"""

import sys
from dataclasses import replace
from functools import partial

if __name__ == "__main__":
    import _path  # noqa: F401

from experiments.table3 import FAST
from rollbench.cli.experiment import run
from rollbench.config.table import Curve, Row, Table
from rollbench.datasets.files.kinetics import Kinetics600
from rollbench.datasets.sprites import Sprites
from rollbench.methods import Rolling, Standard

WINDOW = 16
CLEAN = (5, 8, 2, 11, 1, 14)  # most telling first: a small scale runs the first ones

SETTING = replace(
    FAST,
    name="",
    paper_name="",
    data=Kinetics600(size=64, stride=8, frames=max(CLEAN) + FAST.sampling.horizon),
    stand_in=Sprites(size=64, stride=8, frames=max(CLEAN) + FAST.sampling.horizon),
    rows=tuple(
        row
        for place, n in enumerate(CLEAN)
        for row in (
            Row(f"Standard ({n}-{WINDOW - n})", Standard(n, WINDOW - n), priority=2 * place),
            Row(f"Rolling ({n}-{WINDOW - n})", Rolling(n, WINDOW - n, init="clip"), priority=2 * place + 1),
        )
    ),
)

TABLE = Table(
    name="sweep_cond_gen",
    published="",
    title="How to split a window into context and generated frames",
    caption=f"A window of {WINDOW} frames, of which the first number is context; equal network calls per emitted frame.",
    settings=(SETTING,),
    curves=(
        Curve(
            "fvd",
            f"context frames of a window of {WINDOW}",
            tuple((row.name, row.name.split()[0], float(row.method.clean)) for row in SETTING.rows),
        ),
    ),
)

main = partial(run, TABLE)

if __name__ == "__main__":
    sys.exit(main())
