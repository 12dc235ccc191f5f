"""Figure 8: error over the distance from the context. A picture of Table 9.

python experiments/figure8.py --scale laptop
"""

import sys
from functools import partial

if __name__ == "__main__":
    import _path  # noqa: F401

from experiments.table9 import TABLE
from rollbench.cli.experiment import run
from rollbench.config.table import Figure

FIGURE = Figure(
    name="figure8",
    title="Error over the distance from the context",
    table=TABLE,
    draw="over leads",
    metric="mse",
)

main = partial(run, FIGURE)

if __name__ == "__main__":
    sys.exit(main())
