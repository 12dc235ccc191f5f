"""Table 5: what is trained for BAIR, as the code uses it, beside what the paper prints. Nothing is run.

python experiments/table5.py
"""

import sys
from functools import partial

if __name__ == "__main__":
    import _path  # noqa: F401

from experiments._hyperparameters import network_and_training
from experiments.table1 import SETTING
from rollbench.cli.experiment import print_settings

NOTES = {
    "Loss": "SNR + 1 on x is the v-loss; eps and x are options of every method",
}

main = partial(print_settings, "5", network_and_training(SETTING), NOTES)

if __name__ == "__main__":
    sys.exit(main())
