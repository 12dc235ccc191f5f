"""Training on bare torch, one worker or many. The engine calls it under Ray Train."""

from rollbench.training.loop import fit
from rollbench.training.settings import Training

__all__ = ["Training", "fit"]
