"""Figure 4: FSD over leads. A picture of Table 8.

python experiments/figure4.py --scale laptop
"""

import sys
from functools import partial

if __name__ == "__main__":
    import _path  # noqa: F401

from experiments.table8 import TABLE
from rollbench.cli.experiment import run
from rollbench.config.table import Figure

FIGURE = Figure(
    name="figure4",
    title="FSD over leads",
    table=TABLE,
    draw="over leads",
    metric="fsd",
)

main = partial(run, FIGURE)

if __name__ == "__main__":
    sys.exit(main())
