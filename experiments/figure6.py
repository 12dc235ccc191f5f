"""Figure 6: film strips of Kinetics-600 rollouts with every source frame. A picture of Table 3.

python experiments/figure6.py --scale laptop
"""

import sys
from dataclasses import replace
from functools import partial

if __name__ == "__main__":
    import _path  # noqa: F401

from experiments.table3 import SLOW, TABLE
from rollbench.cli.experiment import run
from rollbench.config.table import Figure

FIGURE = Figure(
    name="figure6",
    title="Rollouts of Kinetics-600 with every source frame",
    table=replace(TABLE, settings=(SLOW,), claims=()),
    draw="strips",
)

main = partial(run, FIGURE)

if __name__ == "__main__":
    sys.exit(main())
