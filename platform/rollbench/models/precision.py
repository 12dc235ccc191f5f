"""The precision that a network computes in. Weights, losses and samples are always float32."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

Precision = Literal["fp32", "bf16"]


@contextmanager
def computing(precision: Precision, device: torch.device, *, cache: bool = True) -> Iterator[None]:
    """Within this context networks compute in `precision` on `device`.

    fp32    float32; on a GPU the factors of matrix products and convolutions are rounded to TF32 (10 bits), their sums are float32
    bf16    autocast: those products in bfloat16 (7 bits), norms and sums in float32

    cache: keep weights that were cast until the context ends.
    """
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.allow_tf32 = True
    with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16", cache_enabled=cache):
        yield
