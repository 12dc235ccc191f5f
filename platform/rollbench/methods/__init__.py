"""One file, one method."""

from rollbench.methods.base import DiffusionMethod, Method
from rollbench.methods.ensemble import Ensemble
from rollbench.methods.forcing import DiffusionForcing
from rollbench.methods.regression import Regression
from rollbench.methods.rolling import Rolling
from rollbench.methods.standard import Standard

__all__ = ["DiffusionForcing", "DiffusionMethod", "Ensemble", "Method", "Regression", "Rolling", "Standard"]
