"""FID per frame through pytorch-fid, and pytorch-fid itself, imported so that it works on a CPU-only torch."""

from __future__ import annotations

import importlib
from types import ModuleType

import torch


def pytorch_fid_score() -> ModuleType:
    """The module `pytorch_fid.fid_score`.

    It imports torchvision, which fails on a torch without CUDA because its compiled operators are missing ("operator
    torchvision::nms does not exist"). Declaring the two names first, with no body, is enough: nobody calls them here.
    """
    if not hasattr(torch.ops.torchvision, "nms"):
        _declare()
    return importlib.import_module("pytorch_fid.fid_score")


_libraries: list[torch.library.Library] = []  # a library's operators vanish with it


def _declare() -> None:
    library = torch.library.Library("torchvision", "FRAGMENT")
    library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _libraries.append(library)
