"""Figure 7: the horizontal velocity of one test trajectory, and of each method's film of it. A picture of Table 8.

python experiments/figure7.py --scale laptop
"""

import sys
from functools import partial

if __name__ == "__main__":
    import _path  # noqa: F401

from experiments.table8 import TABLE
from rollbench.cli.experiment import run
from rollbench.config.table import Figure

FIGURE = Figure(
    name="figure7",
    title="Velocity of rollouts, all methods",
    table=TABLE,
    draw="rollouts",
    shows="velocity",
)

main = partial(run, FIGURE)

if __name__ == "__main__":
    sys.exit(main())
