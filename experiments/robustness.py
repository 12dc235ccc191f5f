"""Beyond the paper: films from contexts that are not as in training: noisy, with a frame lost, or of a flow with other parameters.

    python experiments/robustness.py --scale laptop --rows all

The models are those of Table 8; only what they are given differs. Error by distance from the context.
"""

import sys
from dataclasses import replace
from functools import partial
from typing import Any

if __name__ == "__main__":
    import _path  # noqa: F401

from experiments.table8 import SETTING
from rollbench.cli.experiment import run
from rollbench.config.sampling import Degradation
from rollbench.config.table import Row, Setting, Table
from rollbench.methods import Regression, Rolling, Standard


def under(name: str, degradation: Degradation | None = None, **shifted: Any) -> Setting:
    """The setting of Table 8 with contexts degraded, or test flows of shifted parameters."""
    return replace(
        SETTING,
        name=name,
        test_data=replace(SETTING.data, **shifted) if shifted else None,
        sampling=replace(SETTING.sampling, degradation=degradation),
        rows=(
            Row(f"MSE (2-1), {name}", Regression(2, 1), priority=2),
            Row(f"Standard (2-4), {name}", Standard(2, 4), priority=3),
            Row(f"Rolling (2-4), {name}", Rolling(2, 4, init="clip"), priority=1),
        ),
    )


TABLE = Table(
    name="robustness",
    published="",
    title="Contexts that are not as in training",
    caption="Models trained on clean contexts, rolled out from contexts that are noisy, incomplete, or of other flows. "
    "Noise in standard deviations of the training frames.",
    settings=(
        under("clean"),
        under("noise 0.1", Degradation(noise=0.1)),
        under("noise 0.5", Degradation(noise=0.5)),
        under("last frame lost", Degradation(dropped=1)),
        under("viscosity doubled", viscosity=(1e-3, 1e-2)),
        under("forcing halved", forcing=1.25),
    ),
)

main = partial(run, TABLE)

if __name__ == "__main__":
    sys.exit(main())
