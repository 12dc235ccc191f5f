"""Beyond the paper's grid: a search for β and the init phase of rolling diffusion, with early stopping.

    python experiments/search_beta.py --scale laptop

Table 10 trains every value of β to the end. Here candidates from the whole of [0, 1] × {clip, rescaled} start, few go on, and one is
trained to the end and set beside the paper's two best rows of its fast setting. β = 0 and 1 are not among them: with rescaled init
times a model trained at β = 0 could never slide.
"""

import sys
from dataclasses import replace
from functools import partial

if __name__ == "__main__":
    import _path  # noqa: F401

from experiments.table3 import FAST
from experiments.table10 import FAST_ROWS
from rollbench.cli.experiment import run
from rollbench.config.sampling import Sampling
from rollbench.config.search import Choice, Search, Uniform
from rollbench.config.table import Table
from rollbench.methods import Rolling

BEST = (
    "Rolling rescaled β=0.1 (5-11), stride 8",
    "Rolling clip β=0.7 (5-11), stride 8",
)  # by the paper's FVD, of each init phase

SEARCH = Search(
    name="search_beta",
    title="A search for β and the init phase",
    table=Table(
        name="search_beta",
        published="10",
        title="Kinetics-600: the β that a search finds, beside the paper's two best",
        caption="FVD of rolling diffusion with fast motion, all trained alike.",
        settings=(replace(FAST, rows=tuple(row for row in FAST_ROWS if row.name in BEST)),),
    ),
    base=Rolling(5, 11),
    space=(Uniform("beta", 0.0, 1.0), Choice("init", ("clip", "rescaled"))),
    name_template="Rolling {init} β={beta:g} {label}, found",
    proxy=Sampling(horizon=8, calls_per_frame="100/11", contexts=256, group=32, samples=2, precision="bf16"),
)

main = partial(run, SEARCH)

if __name__ == "__main__":
    sys.exit(main())
