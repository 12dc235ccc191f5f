"""Builds the denoiser of a model stage on a Ray worker: initialised for training, or with trained weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ray
import safetensors.torch
import torch

from rollbench.diffusion.denoiser import Denoiser
from rollbench.pipeline.graph import Model
from rollbench.store.artifact import Artifact, Store

WEIGHTS = "weights.safetensors"


def own_device() -> torch.device:
    """The GPU that Ray assigned to this process, else the CPU; other GPUs belong to other processes."""
    return torch.device("cuda" if ray.get_gpu_ids() and torch.cuda.is_available() else "cpu")


def build_denoiser(model: Model, *, recompute: bool = False) -> Denoiser:
    """The network of a model stage, its weights drawn from the stage's seed, read in the parametrisation that its method asks for."""
    method, shape = model.method, model.data.data.frame_shape
    with torch.random.fork_rng():
        torch.manual_seed(model.seed)
        options = {"recompute": True} if recompute else {}  # a network that cannot compute again need not know the word
        network = model.network.build(shape, method.clean, method.generated, **options)
    return Denoiser(network, parametrisation=method.parametrisation)


def load_denoiser(model: Model, store: Store) -> Denoiser:
    """The trained denoiser of a finished model stage, averaged weights, ready to sample. Raises Damaged."""
    artifact = model.artifact(store)
    return with_weights(model, artifact, artifact.file(WEIGHTS))


def with_weights(model: Model, artifact: Artifact, receipt: Mapping[str, Any]) -> Denoiser:
    """The denoiser of a model stage with the weights in a file of `artifact`."""
    denoiser = build_denoiser(model)
    denoiser.load_state_dict(safetensors.torch.load(artifact.read(receipt).to_pybytes()))
    return denoiser.eval()
