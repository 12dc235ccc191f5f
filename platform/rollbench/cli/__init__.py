"""The command line: `rollbench` is `cli.main`, an experiment's own is `cli.experiment`."""

from rollbench.cli.experiment import print_settings, run

__all__ = ["print_settings", "run"]
