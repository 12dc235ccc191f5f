"""Workers that form a group (Gloo), a process each."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

# Of a folder and {rank, world}; a function of a module, since it travels by name.
Stage = Callable[[Path, dict[str, int]], None]


def together(work: Stage, folder: Path, world: int) -> None:
    """Run `work` on `world` workers; raises what the first of them that fails raised."""
    mp.spawn(_member, (world, folder, work), nprocs=world)


def _member(rank: int, world: int, folder: Path, work: Stage) -> None:
    torch.set_num_threads(1)
    meeting = f"file://{folder}/meet-{work.__name__}"
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=world)
    work(folder, {"rank": rank, "world": world})
    # Gloo's threads let go of the last tensors a little later than `work` returns. An interpreter that is ending by then
    # aborts (pytorch/pytorch#190489), so this one does not end: the process does.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
