"""A model that no worker holds whole: weights, gradients, averages and optimiser states in shards, one per worker (FSDP2).

Each block of the network is gathered just before it computes and let go right after, forwards and backwards. What remains on a
worker of N is an N-th of every tensor, cut along its first axis; a tensor with fewer rows than workers leaves some with none.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeGuard

import torch
import torch.distributed as dist
from torch import Tensor, nn

from rollbench.models.layers import Block

# What makes shards is imported where they are made: it takes as long as the rest of torch, and most runs need none of it.


def shard(module: nn.Module, device: torch.device, world: int) -> nn.Module:
    """`module` in shards on `device`, block by block; its parameters are DTensors from now on.

    It may come on the CPU: the device never holds more of it than its shard and one block. `module` itself gathers what is in no
    block, so it must be called as it is, and not by a method of its own.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(device.type, (world,))
    for parameter in module.parameters():
        parameter.data = parameter.data.contiguous()  # of convolutions too: shards have no channels-last format
    for part in module.modules():
        if isinstance(part, Block):
            fully_shard(part, mesh=mesh)
    fully_shard(module, mesh=mesh)  # in place
    return module


def clip(gradients: Iterable[Tensor], largest: float) -> Tensor:
    """`clip_grad_norm_` of gradients in shards: scaled in place to a global norm of at most `largest`; returns the norm before."""
    shards = [local(g) for g in gradients]
    squares = torch.stack(torch._foreach_norm(shards)).square().sum()
    dist.all_reduce(squares)
    norm = squares.sqrt()
    torch._foreach_mul_(shards, (largest / (norm + 1e-6)).clamp(max=1.0))
    return norm


def local(value: Tensor) -> Tensor:
    """This worker's shard of a tensor, sharing its memory; the tensor itself if it is whole."""
    return (value.to_local() if _is_shard(value) else value).detach()


def whole(value: Tensor) -> Tensor:
    """The tensor that `value` is a shard of. Every worker must ask at the same time."""
    return (value.full_tensor() if _is_shard(value) else value).detach()


def fill(value: Tensor, content: Tensor) -> None:
    """Set `value` to `content`, a whole tensor, which every worker has: each takes its shard."""
    if _is_shard(value):
        from torch.distributed.tensor import distribute_tensor

        content = distribute_tensor(content, value.device_mesh, value.placements, src_data_rank=None)
    local(value).copy_(local(content))


def _is_shard(value: Any) -> TypeGuard[Any]:
    """Whether it is a DTensor."""
    return hasattr(value, "full_tensor")
