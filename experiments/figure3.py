"""Figure 3: the vorticity of one test trajectory, and of the films that methods make from its first frames. A picture of runs of Table 8.

python experiments/figure3.py --scale laptop
"""

import sys
from functools import partial

if __name__ == "__main__":
    import _path  # noqa: F401

from experiments.table8 import TABLE
from rollbench.cli.experiment import run
from rollbench.config.table import Figure

FIGURE = Figure(
    name="figure3",
    title="Vorticity of rollouts",
    table=TABLE,
    draw="rollouts",
    rows=("MSE (2-1)", "Standard Diffusion (2-1)", "Standard Diffusion (2-4)", "Rolling Diffusion (init noise) (2-4)"),
)

main = partial(run, FIGURE)

if __name__ == "__main__":
    sys.exit(main())
