"""Frozen values that say what is to be computed: tables and their settings, sampling, searches, scales."""

from rollbench.config.sampling import Degradation, Sampling
from rollbench.config.search import Search
from rollbench.config.table import Claim, Curve, Figure, Row, Setting, Table

__all__ = ["Claim", "Curve", "Degradation", "Figure", "Row", "Sampling", "Search", "Setting", "Table"]
