"""Figure 5: film strips of Kinetics-600 rollouts with eight source frames from one frame to the next. A picture of Table 3.

python experiments/figure5.py --scale laptop
"""

import sys
from dataclasses import replace
from functools import partial

if __name__ == "__main__":
    import _path  # noqa: F401

from experiments.table3 import FAST, TABLE
from rollbench.cli.experiment import run
from rollbench.config.table import Figure

FIGURE = Figure(
    name="figure5",
    title="Rollouts of Kinetics-600 with eight source frames from one frame to the next",
    table=replace(TABLE, settings=(FAST,), claims=()),
    draw="strips",
)

main = partial(run, FIGURE)

if __name__ == "__main__":
    sys.exit(main())
