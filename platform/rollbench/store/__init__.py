"""Artifacts by content key, on any filesystem of pyarrow: manifests, checksums, leases, and a node's own copies."""

from rollbench.store.artifact import Artifact, Store

__all__ = ["Artifact", "Store"]
