"""Table 7: how Kolmogorov flow is simulated, as the code uses it, beside what the paper prints. Nothing is run.

python experiments/table7.py
"""

import sys
from functools import partial

if __name__ == "__main__":
    import _path  # noqa: F401

from experiments._hyperparameters import simulation
from experiments.table8 import SETTING
from rollbench.cli.experiment import print_settings

NOTES = {
    "Max dt": "an outer step, divided so that the CFL factor holds",
    "Viscosity": "divided by the density, like forcing and drag, as in jax-cfd",
}

main = partial(print_settings, "7", simulation(SETTING), NOTES)

if __name__ == "__main__":
    sys.exit(main())
