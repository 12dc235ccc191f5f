"""Table 6: what is trained for Kinetics-600, as the code uses it, beside what the paper prints. Nothing is run.

python experiments/table6.py
"""

import sys
from functools import partial

if __name__ == "__main__":
    import _path  # noqa: F401

from experiments._hyperparameters import network_and_training
from experiments.table3 import FAST
from rollbench.cli.experiment import print_settings

NOTES = {
    "Loss": "SNR + 1 on x is the v-loss; eps and x are options of every method",
    "Number of Steps": "of the paper's rollout experiments",
}

main = partial(print_settings, "6", network_and_training(FAST), NOTES)

if __name__ == "__main__":
    sys.exit(main())
