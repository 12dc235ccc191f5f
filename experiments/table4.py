"""Table 4: what is trained for Kolmogorov flow, as the code uses it, beside what the paper prints. Nothing is run.

python experiments/table4.py
"""

import sys
from functools import partial

if __name__ == "__main__":
    import _path  # noqa: F401

from experiments._hyperparameters import network_and_training
from experiments.table8 import SETTING
from rollbench.cli.experiment import print_settings

NOTES = {
    "Loss": "SNR + 1 on x is the v-loss; eps and x are options of every method",
    "Number of Steps": "of the paper's rollout experiments",
}

main = partial(print_settings, "4", network_and_training(SETTING), NOTES)

if __name__ == "__main__":
    sys.exit(main())
